"""A bucket that was copied is all that is needed: a new Redis and a new stack read everything as before."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from deploy.config import DEVELOPMENT_SECRET, Environment
from deploy.tokens import token
from tests.e2e.test_stack_up import ROOT, SMALL, Up, call, until, up, upload

pytestmark = pytest.mark.e2e


def read(stack: Up, path: str) -> Any:
    """What ops get at this path."""
    status, found = call(f"{stack.record()['balancers'][0]['url']}{path}", "ops", "ops")
    return found if status == 200 else status


def everything(stack: Up, posts: list[dict[str, Any]]) -> dict[str, Any]:
    """All that the stack says of these posts: records, pages, counts, every byte of every picture."""
    url, found = stack.record()["balancers"][0]["url"], dict[str, Any]()
    bearer = token(DEVELOPMENT_SECRET, "ops", "ops", now=time.time(), ttl_s=600)
    for post in posts:
        moment = post["moment_id"]
        for path in (f"/v1/moments/{moment}", f"/v1/moments/{moment}/summary", f"/v1/users/{post['user_id']}/posts"):
            found[path] = read(stack, path)
        record = read(stack, f"/v1/posts/{post['id']}")
        if record == 404:
            found[post["id"]] = record
            continue
        found[post["id"]] = {**record, "links": sorted(record["links"])}  # links carry the time of their signature
        for path in (f"{side}/{size}" for side in ("front", "back") for size in ("thumb", "feed", "full")):
            where = f"/v1/posts/{post['id']}/photos/{path}"
            request = urllib.request.Request(f"{url}{where}", headers={"Authorization": f"Bearer {bearer}"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                found[where] = hashlib.sha256(answer.read()).hexdigest()
    for path, page in found.items():
        if path.startswith("/v1/users"):
            found[path] = [one["id"] for one in page["posts"]]
    return found


def copied(bucket: Path, copy: Path) -> None:
    """As deploy/README.md says: renditions first, then pairs, then moments."""
    for pattern in ("*/media", "*/intake", "moments"):
        for folder in bucket.glob(pattern):
            shutil.copytree(folder, copy / folder.relative_to(bucket))


def test_a_copied_bucket_reads_as_before(tmp_path: Path) -> None:
    """Copied while the first stack runs; the first one is gone, its Redis too, when the second begins."""
    bucket, copy = tmp_path / "bucket", tmp_path / "copy"
    with up(tmp_path / "first", "--port", "0", "--store", f"file://{bucket}", *SMALL) as first:
        posts = [upload(first, user) for user in ("ann", "ben", "cem")]
        url = first.record()["balancers"][0]["url"]
        moment = posts[2]["moment_id"]
        bearer = token(DEVELOPMENT_SECRET, "cem", "upload", now=time.time(), ttl_s=600)
        fields = {"Authorization": f"Bearer {bearer}"}
        erased = urllib.request.Request(f"{url}/v1/users/cem/posts", headers=fields, method="DELETE")
        with urllib.request.urlopen(erased, timeout=30) as answer:
            assert len(json.loads(answer.read())["deleted"]) == 1
        before = everything(first, posts)
        copied(bucket, copy)
        assert first.stop(signal.SIGTERM) == 0
    shutil.rmtree(bucket)
    shutil.rmtree(tmp_path / "first")

    with up(tmp_path / "second", "--port", "0", "--store", f"file://{copy}", *SMALL) as second:
        assert everything(second, posts) == before
        until(lambda: everything(second, posts) == before)  # and when the sweeper has told the index
        for post in posts:
            done = verified(second, copy, post["moment_id"])
            assert done["ok"] is True, done
        assert upload(second, "dan")["state"] == "ready"
        assert read(second, f"/v1/moments/{moment}/summary")["accepted"] == 0


def verified(stack: Up, copy: Path, moment: str) -> Any:
    """`python -m processors verify` of a moment."""
    where = {"SNAPSURGE_STORE_URL": f"file://{copy}", "SNAPSURGE_REDIS_URL": stack.record()["redis"]}
    done = subprocess.run(
        [sys.executable, "-m", "processors", "verify", moment, "--json"],
        cwd=ROOT,
        env={**Environment.current(), **where},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)
