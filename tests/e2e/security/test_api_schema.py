"""`/openapi.json` against a real node, by Schemathesis: no 5xx, and no answer that the document does not know.

It runs as its own program: its pytest plugin is switched off in pyproject.toml. It is not asked whether every valid
request is accepted, because JSON Schema cannot say what a photo is.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.security.conftest import Stack, token

pytestmark = pytest.mark.e2e

# Of Schemathesis: a part of an upload is bytes.
HOOKS = """
import schemathesis

schemathesis.serializer.alias("application/partial-upload", "application/octet-stream")
"""
SETTINGS = """
hooks = "hooks.py"
headers = {{ Authorization = "Bearer {ops}" }}
parameters = {{ "path.post_id" = "{post}" }}

[checks]
positive_data_acceptance.enabled = false
# A moment that was just created has no account yet; Schemathesis 4.32 cannot switch this check off for one operation.
ensure_resource_availability.enabled = false
# Another moment than an open one is refused before the body is looked at, and so is a body that is too long.
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 409, 410, 413, 415, 422]

[[operations]]
include-operation-id = "upload"
headers = {{ Authorization = "Bearer {upload}" }}

# It would end the post that the others are asked about.
[[operations]]
include-operation-id = "delete_post"
parameters = {{ "path.post_id" = "{other}" }}

# The others' posts are of other users; the moments that are changed and cancelled are their own.
[[operations]]
include-operation-id = "change_moment"
parameters = {{ "path.moment_id" = "{later}" }}

[[operations]]
include-operation-id = "cancel_moment"
parameters = {{ "path.moment_id" = "{later}" }}

[[operations]]
include-operation-id = "erase_user"
parameters = {{ "path.user_id" = "nobody" }}
"""


def run(stack: Stack, folder: Path, examples: int, seed: int) -> None:
    """Each operation with so many examples; pytest shows what disagrees, and how to repeat it."""
    log, moment = stack.folder / "node.log", stack.moment()
    before = log.stat().st_size  # another file's tests cause faults on purpose
    posts = [stack.upload(moment, user).rsplit("/", 1)[1] for user in ("kept", "deleted")]
    stack.ready(f"/v1/posts/{posts[0]}")
    later = stack.moment(b',"fires_at":"2099-06-01T12:00:00Z"')
    stack.decided()
    settings = SETTINGS.format(
        ops=token("ops", "ops"), upload=token("alice"), post=posts[0], other=posts[1], later=later
    )
    (folder / "schemathesis.toml").write_text(settings)
    (folder / "hooks.py").write_text(HOOKS)
    where = f"http://127.0.0.1:{stack.node}/openapi.json"
    command = [str(Path(sys.executable).with_name("st")), "run", where, "--seed", str(seed), "-n", str(examples)]
    done = subprocess.run(
        [*command, "--continue-on-failure", "--warnings", "off"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert "Tested: 27" in done.stdout
    assert b"Traceback" not in log.read_bytes()[before:]


def test_every_answer_is_in_the_document(stack: Stack, tmp_path: Path) -> None:
    """Examples, edge cases, random requests valid and not, and chains of calls: statuses, types, schemas, headers."""
    run(stack, tmp_path, examples=8, seed=1)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", [2, 3])
def test_every_answer_is_in_the_document_long(stack: Stack, tmp_path: Path, seed: int) -> None:
    """The same with many more examples."""
    run(stack, tmp_path, examples=300, seed=seed)
