"""Clients that others' generators make of /openapi.json: built, and used to post a pair, wait for it and read it.

The document is also checked by a validator. Generators and libraries are fetched by the tools of their languages; where
one is not to be had, its test is skipped.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import ENVIRONMENT, Service, built, lines_of, made, started, tool

pytestmark = [pytest.mark.long, pytest.mark.e2e, pytest.mark.timeout(1800)]

DRIVERS = Path(__file__).parent / "drivers"
OPENAPI_GENERATOR = "7.17.0"
TYPESCRIPT, NODE_TYPES = "5.9.3", "20.19.0"
PYTHON_TOOLS = ("openapi-python-client==0.29.1", "openapi-spec-validator==0.9.0")
# An image, an archive and a part of an upload are files: the generator knows only application/octet-stream as one.
PYTHON_SETTINGS = """package_name_override: snapsurge
content_type_overrides: {image/jpeg: application/octet-stream, application/zip: application/octet-stream,
  application/partial-upload: application/octet-stream}
"""
TSCONFIG = """{"compilerOptions": {"target": "es2022", "module": "nodenext", "strict": true, "outDir": "out",
"rootDir": ".", "skipLibCheck": true, "types": ["node"]}, "include": ["client.ts", "generated/**/*.ts"]}"""


@pytest.fixture
def document(service: Service, tmp_path: Path) -> Path:
    """The document as the service gives it."""
    path = tmp_path / "openapi.json"
    path.write_bytes(service.stack.call("GET", "/openapi.json"))
    return path


def python_tools(folder: Path) -> dict[str, str]:
    """The environment in which the Python generator and the validator can be imported."""
    command = (sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", "tools")
    built(*command, *PYTHON_TOOLS, folder=folder, why="pip cannot fetch the generator")
    return {"PYTHONPATH": f"{folder}:{folder}/tools", "PATH": f"{folder}/tools/bin:{ENVIRONMENT['PATH']}"}


def generate(document: Path, language: str, folder: Path, *options: str) -> None:
    """Run openapi-generator; what it reports as an error is one."""
    coordinates = f"org.openapitools:openapi-generator-cli:{OPENAPI_GENERATOR}"
    copying = (f"-Dartifact={coordinates}", f"-DoutputDirectory={folder}", "-Dmdep.stripVersion=true")
    tool("java")
    built("mvn", "-q", "-B", "dependency:copy", *copying, folder=folder, why="Maven cannot fetch openapi-generator")
    words = ("generate", "-i", str(document), "-g", language, "-o", str(folder / "generated"), *options)
    log = made("java", "-jar", "openapi-generator-cli.jar", *words, folder=folder)
    assert "ERROR" not in log, log


def python(document: Path, folder: Path) -> tuple[list[str], dict[str, str]]:
    """openapi-python-client."""
    environment = python_tools(folder)
    (folder / "settings.yaml").write_text(PYTHON_SETTINGS)
    words = ("generate", "--path", str(document), "--meta", "none", "--config", "settings.yaml")
    words += ("--output-path", "snapsurge", "--overwrite", "--fail-on-warning")
    made(sys.executable, "-m", "openapi_python_client", *words, folder=folder, **environment)
    return [sys.executable, str(DRIVERS / "client.py")], environment


def typescript(document: Path, folder: Path) -> tuple[list[str], dict[str, str]]:
    """openapi-generator, typescript-fetch."""
    generate(document, "typescript-fetch", folder, "--additional-properties=importFileExtension=.js")
    (folder / "package.json").write_text('{"type": "module", "private": true}')
    (folder / "tsconfig.json").write_text(TSCONFIG)
    (folder / "client.ts").write_text((DRIVERS / "client.ts").read_text())
    packages = (f"typescript@{TYPESCRIPT}", f"@types/node@{NODE_TYPES}")
    built("npm", "install", "--silent", "--no-save", *packages, folder=folder, why="npm cannot fetch TypeScript")
    made("node", "node_modules/typescript/bin/tsc", folder=folder)
    return [tool("node"), str(folder / "out" / "client.js")], {}


def java(document: Path, folder: Path) -> tuple[list[str], dict[str, str]]:
    """openapi-generator, java with OkHttp and Gson."""
    tool("javac")
    generate(document, "java", folder, "--additional-properties=useSingleRequestParameter=true")
    copying = ("dependency:copy-dependencies", f"-DoutputDirectory={folder}/lib", "-DincludeScope=compile")
    built("mvn", "-q", "-B", *copying, folder=folder / "generated", why="Maven cannot fetch the client's libraries")
    sources = [str(path) for path in (folder / "generated/src/main").rglob("*.java")]
    made("javac", "-nowarn", "-cp", "lib/*", "-d", "out", *sources, str(DRIVERS / "Client.java"), folder=folder)
    return [tool("java"), "-cp", f"{folder}/out:{folder}/lib/*", "Client"], {}


def go(document: Path, folder: Path) -> tuple[list[str], dict[str, str]]:
    """openapi-generator, go."""
    tool("go")
    generate(document, "go", folder, "--additional-properties=packageName=snapsurge,withGoMod=false")
    client = folder / "generated"
    (client / "go.mod").write_text("module example.org/snapsurge\n\ngo 1.23\n")
    (client / "driver").mkdir()
    (client / "driver" / "main.go").write_text((DRIVERS / "client.go").read_text())
    made("go", "build", "-o", str(folder / "client"), "./driver", folder=client)
    return [str(folder / "client")], {}


LANGUAGES = [python, typescript, java, go]


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda one: one.__name__)
def test_a_generated_client_posts_a_pair_and_reads_it(
    service: Service,
    document: Path,
    tmp_path: Path,
    language: Callable[[Path, Path], tuple[list[str], dict[str, str]]],
) -> None:
    """Its photos are files; it waits, reads a picture and the meta, and understands an error."""
    command, environment = language(document, tmp_path)
    name = language.__name__
    done, (first, *others) = lines_of(started([*command, *service.words(name, service.stack.moment())], environment))

    assert (done, first.split()[0]) == (0, "201")
    assert service.stored(first.split()[1])["user_id"] == name
    assert others[:4] == ["ready", "ffd8", "hello", "no-such-post"]


def test_the_document_is_valid(document: Path, tmp_path: Path) -> None:
    """By openapi-spec-validator, which finds a fault that is put into it."""
    environment = python_tools(tmp_path)
    command = (sys.executable, "-m", "openapi_spec_validator")
    assert "OK" in made(*command, str(document), folder=tmp_path, **environment)
    document.write_text(document.read_text().replace('"required":["front","back"]', '"required":"front"'))
    done, _ = lines_of(started([*command, str(document)], environment))
    assert done != 0
