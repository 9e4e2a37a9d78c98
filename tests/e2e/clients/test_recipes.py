"""The programs that the documentation shows, run as they stand there: `pytest -m long -s` prints the client matrix.

Each stack posts a pair (201) and waits for its pictures, posts it again (200, replayed), is refused before it has sent
its body (401), is refused for want of nodes and keeps its time by the ticket, and does the first over TLS.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.guide import RECIPES
from storage.records import to_ms

from .conftest import Service, built, lines_of, made, started, tool

pytestmark = [pytest.mark.long, pytest.mark.e2e, pytest.mark.timeout(1800)]

FOLDER = Path(__file__).resolve().parents[3] / "ingest" / "recipes"
README = FOLDER.parent / "README.md"
OKHTTP = "4.12.0"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>x</groupId><artifactId>x</artifactId><version>1</version><dependencies><dependency>
<groupId>com.squareup.okhttp3</groupId><artifactId>okhttp</artifactId><version>{OKHTTP}</version>
</dependency></dependencies></project>"""

Environment = dict[str, str]
# Name in the table, the command of the program, and the environment in which it believes a certificate.
Built = tuple[str, list[str], Environment]


def python(library: str) -> Callable[[Path, Path], Built]:
    """A program for this Python."""

    def build(_folder: Path, certificate: Path) -> Built:
        version = pytest.importorskip(library).__version__
        environment = {"REQUESTS_CA_BUNDLE": str(certificate), "SSL_CERT_FILE": str(certificate)}
        return f"Python {library} {version}", [sys.executable, str(FOLDER / f"python_{library}.py")], environment

    return build


def fetch(folder: Path, certificate: Path) -> Built:
    """A program for Node."""
    version = made("node", "--version", folder=folder).strip()
    return (
        f"fetch, Node {version}",
        [tool("node"), str(FOLDER / "fetch.mjs")],
        {"NODE_EXTRA_CA_CERTS": str(certificate)},
    )


def go(file: str, does: str = "") -> Callable[[Path, Path], Built]:
    """A program of the standard library alone."""

    def build(folder: Path, certificate: Path) -> Built:
        made("go", "vet", str(FOLDER / file), folder=folder)
        made("go", "build", "-o", "upload", str(FOLDER / file), folder=folder)
        version = made("go", "version", folder=folder).split()[2].removeprefix("go")
        return f"Go {version} net/http{does}", [str(folder / "upload")], {"SSL_CERT_FILE": str(certificate)}

    return build


def okhttp(folder: Path, certificate: Path) -> Built:
    """A program whose library Maven fetches."""
    tool("javac")
    (folder / "pom.xml").write_text(POM)
    (folder / "Upload.java").write_text((FOLDER / "okhttp.java").read_text())
    fetching = ("dependency:copy-dependencies", "-DoutputDirectory=lib")
    built("mvn", "-q", "-B", *fetching, folder=folder, why="Maven cannot fetch OkHttp")
    made("javac", "-cp", "lib/*", "-d", "out", "Upload.java", folder=folder)
    trust = ("-keystore", "trust.p12", "-storepass", "changeit", "-noprompt")
    made("keytool", "-importcert", "-file", str(certificate), "-alias", "x", *trust, folder=folder)
    options = f"-Djavax.net.ssl.trustStore={folder}/trust.p12 -Djavax.net.ssl.trustStorePassword=changeit"
    return (
        f"OkHttp {OKHTTP}",
        [tool("java"), "-cp", f"{folder}/out:{folder}/lib/*", "Upload"],
        {"JDK_JAVA_OPTIONS": options},
    )


def curl(folder: Path, certificate: Path) -> Built:
    """A shell script."""
    version = made("curl", "--version", folder=folder).split()[1]
    return f"curl {version}", [tool("sh"), str(FOLDER / "curl.sh")], {"CURL_CA_BUNDLE": str(certificate)}


STACKS: dict[str, Callable[[Path, Path], Built]] = {
    "okhttp": okhttp,
    "fetch": fetch,
    "nethttp": go("nethttp.go"),
    "resume": go("resume.go", ", resuming"),
    "python_requests": python("requests"),
    "python_httpx": python("httpx"),
    "python_aiohttp": python("aiohttp"),
    "curl": curl,
}


@pytest.fixture
def moment(service: Service) -> str:
    """An open moment."""
    return service.stack.moment()


@pytest.mark.parametrize("stack", STACKS)
def test_a_recipe_does_what_the_guide_says(service: Service, moment: str, stack: str, tmp_path: Path) -> None:
    """The five cases of one stack, one row of the matrix."""
    name, command, environment = STACKS[stack](tmp_path, service.certificate)

    def run(words: list[str]) -> tuple[int, list[str]]:
        return lines_of(started([*command, *words], environment))

    words = service.words(stack, moment)
    done, (first, state, *_) = run(words)
    status, post, received_at = first.split()
    assert (done, status, state) == (0, "201", "ready")
    assert service.stored(post)["received_at"] == received_at
    done, (again, state, *_) = run(words)
    assert (done, again, state) == (0, f"200 {post} {received_at}", "ready")
    large = [*words[:2], "no-token", *map(str, service.large)]
    assert run(large)[1][0] == "401 unauthenticated"
    kept = ticket(service, [*command, *service.words(f"{stack}-ticket", moment)], environment)
    done, (first, state, *_) = run(service.words(f"{stack}-tls", moment, secure=True))
    assert (done, first.split()[0], state) == (0, "201", "ready")
    print(f"\n| {name} | 201 | 200, replayed | 401 | {kept} | 201 |")


def ticket(service: Service, command: list[str], environment: Environment) -> str:
    """Refused while there is no node, accepted when there is one again, and received at the first try."""
    with service.without_nodes() as has_refused:
        process = started(command, environment)
        while not has_refused():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        refused_ms = time.time_ns() // 1_000_000
    done, (first, state, *_) = lines_of(process)
    status, _, received_at = first.split()
    assert (done, status, state) == (0, "201", "ready")
    assert to_ms(received_at) <= refused_ms
    return "503, then 201 with the first time"


def test_every_recipe_is_run_or_said_not_to_be() -> None:
    """By this file; the page says which are not, and the README has a row for each that is."""
    assert README.read_text().count("| 503, then 201 with the first time |") == len(STACKS)
    page = (FOLDER.parent / "pages" / "recipes.html").read_text()
    unrun = {file for file in RECIPES if file.partition(".")[0] not in STACKS}
    assert unrun == {"urlsession.swift", "dio.dart"}
    assert "The URLSession and the Dio program were not run" in page
