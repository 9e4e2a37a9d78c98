"""`python -m processors verify` as operators run it: the result on stdout, progress on stderr, three exits."""

from pathlib import Path
from typing import Any

import msgspec

from processors.verifying.command import words
from processors.verifying.verdicts import Verified
from storage import keys
from tests.component.processors.test_main import said


async def test_verify_says_what_is_wrong_and_repairs_it(world: Any, redis_url: str, tmp_path: Path) -> None:
    """One JSON object on stdout; exit 0 good, 1 bad, 2 could not tell."""
    post_id = await world.post()
    store = {"SNAPSURGE_STORE_URL": f"file://{tmp_path}/store", "SNAPSURGE_REDIS_URL": redis_url}

    bad = said("verify", world.moment_id, "--repair", "--json", **store)
    unknown = said("verify", "eu-20260101-none", "--json", **store)
    told = said("verify", world.moment_id, **store)

    found = msgspec.json.decode(bad.stdout)
    key = keys.intake(world.moment_id, post_id)
    assert (bad.returncode, found["ok"], found["found"]) == (1, False, {"damaged": 1})  # its digests are not its own
    assert [(one["kind"], one["object"], one["repaired"]) for one in found["findings"]] == [("damaged", key, False)]
    assert "verify: 256/256 spreads, 1 posts" in bad.stderr
    assert (unknown.returncode, unknown.stdout, "Traceback" in unknown.stderr) == (2, "", False)
    assert told.stdout.splitlines()[-1].startswith(f"{world.moment_id}: 1 posts")


async def test_without_redis_it_could_not_tell(world: Any, free_port: int, tmp_path: Path) -> None:
    """Exit 2 although the store is good, and the words say why."""
    url = f"redis://127.0.0.1:{free_port}/0"

    done = said("verify", world.moment_id, SNAPSURGE_STORE_URL=f"file://{tmp_path}/store", SNAPSURGE_REDIS_URL=url)

    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
    assert done.stdout.splitlines()[-1] == "Redis did not answer: the index was not compared"


def test_the_words_name_every_finding() -> None:
    """A line each, the repaired ones with what was done, and the sum at the end."""
    found = Verified(moment="m", posts=2)
    found.say("lost", "aa/x", "gone")
    found.say("unfinished", "aa/y", "no job", "the job is queued")

    assert words(found).splitlines() == [
        "lost: aa/x: gone",
        "unfinished: aa/y: no job; repaired: the job is queued",
        "m: 2 posts (0 without their photos, 0 pending), 0 deleted, 0 bytes read: 1 lost, 1 unfinished, 1 repaired",
    ]
