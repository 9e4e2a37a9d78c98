"""Every kind of harm to a moment is found, told from what is merely under way, and repaired where that is possible."""

from typing import Any

import pytest
from redis.asyncio import Redis

from processors.verifying.verdicts import Finding, Verified
from processors.verifying.verifier import Verifier
from storage import intake, keys
from storage.index import Counts, Index
from tests.component.processors.verifying.pairs import finish, receive
from tests.stores import put


async def verified(world: Any, *, repairs: bool = False, redis: Redis | None = None) -> Verified:
    """The moment of the world, verified."""
    redis = redis or world.redis
    return await Verifier(world.store, redis, {"": redis}, repairs=repairs, again_s=0.01).moment(world.moment_id)


def told(found: Verified) -> list[tuple[str, str, bool]]:
    """Kind, object and whether it was repaired, of each finding."""
    return [(one.kind, one.object, one.repaired) for one in found.findings]


async def spoil(world: Any, key: str, at: int = 200) -> None:
    """Change one byte of an object, behind the back of every program."""
    body = bytearray(await world.store.read(key))
    body[at] ^= 0xFF
    await put(world.store, key, bytes(body))


async def test_a_whole_moment_is_good_on_each_store(any_world: Any) -> None:
    """Ready, waiting and deleted posts, without a finding, and the counts are those of the index."""
    await finish(any_world, "ann")
    waiting = await receive(any_world, "ben")
    await any_world.enqueue(waiting.id)
    await finish(any_world, "cem")
    await any_world.delete("cem")

    found = await verified(any_world)

    assert found.ok
    assert found.findings == []
    assert (found.posts, found.deleted, found.pending) == (2, 1, 1)
    assert found.store == Counts(accepted=2, on_time=1, ready=1, pending=1) == found.index
    assert found.bytes_read > 4000


async def test_a_damaged_pair_is_told_and_not_touched(world: Any) -> None:
    """Nothing has its photos but the phone; its renditions stay."""
    receipt = await finish(world, "ann")
    key = keys.intake(world.moment_id, receipt.id)
    await spoil(world, key)

    found = await verified(world, repairs=True)

    assert told(found) == [("damaged", key, False)]
    assert not found.ok
    assert await world.record(receipt.id) is not None


async def test_a_photo_of_another_digest_is_damage_though_the_archive_is_whole(world: Any) -> None:
    """The receipt decides, not the checksum of the archive."""
    receipt = await receive(world, "ann")
    await world.enqueue(receipt.id)
    key = keys.intake(world.moment_id, receipt.id)
    await put(world.store, key, b"".join(map(bytes, intake.pack(receipt, b"another", b"pair"))))

    (finding,) = (await verified(world)).findings

    assert finding.kind == "damaged"
    assert "the front photo has 7 bytes" in finding.detail


async def test_damaged_renditions_are_rendered_again(world: Any) -> None:
    """First told, then removed with a job queued; after the render all is good."""
    receipt = await finish(world, "ann")
    key = keys.media(world.moment_id, receipt.id)
    await spoil(world, key)

    assert told(await verified(world)) == [("damaged", key, False)]
    assert told(await verified(world, repairs=True)) == [("damaged", key, True)]
    assert f"render_pair:{receipt.id}" in await world.queued()
    found = await verified(world)
    assert (found.pending, found.findings) == (1, [])
    assert await world.jobs().render_pair(world.moment_id, receipt.id) == "ready"
    found = await verified(world)
    assert (found.ok, found.pending, found.index) == (True, 0, found.store)


async def test_a_render_that_nobody_will_do_is_queued(world: Any) -> None:
    """A pair without renditions and without a job is unfinished; with its job it is merely pending."""
    receipt = await receive(world, "ann")
    key = keys.media(world.moment_id, receipt.id)

    assert told(await verified(world)) == [("unfinished", key, False)]
    assert told(await verified(world, repairs=True)) == [("unfinished", key, True)]
    assert await world.queued() == [f"render_pair:{receipt.id}"]
    assert (await verified(world)).findings == []


async def test_a_lost_pair_lives_on_by_its_record(world: Any) -> None:
    """The post exists again, without its photos as received; that is a finding once."""
    receipt = await finish(world, "ann")
    key = keys.intake(world.moment_id, receipt.id)
    await world.store.delete(key)

    assert ("lost", key, False) in told(await verified(world))
    assert told(await verified(world, repairs=True)) == [("lost", key, True)]
    assert (await world.posts.stored(world.moment_id, receipt.id)).state == "ready"
    again = await verified(world)
    assert (again.ok, again.posts, again.bare, again.store) == (True, 1, 1, again.index)


async def test_what_cannot_be_made_anew_is_kept(world: Any) -> None:
    """Of a post whose photos were removed the damaged renditions are all there is."""
    receipt = await finish(world, "ann")
    await world.existence.bare(world.moment_id, receipt.id)
    key = keys.media(world.moment_id, receipt.id)
    await spoil(world, key)

    assert told(await verified(world, repairs=True)) == [("damaged", key, False)]
    assert await world.record(receipt.id) is not None

    await world.store.delete(key)
    assert told(await verified(world, repairs=True)) == [("lost", key, False)]


async def test_what_is_too_much_is_extra(world: Any) -> None:
    """Keys of another form, and renditions of a deleted post, which a repair replaces."""
    receipt = await finish(world, "ann")
    key = keys.media(world.moment_id, receipt.id)
    renditions = await world.store.read(key)
    await world.delete("ann")
    await put(world.store, key, renditions)
    strange = f"{keys.spread(receipt.id)}/intake/{world.moment_id}/notes.txt"
    await world.store.create(strange, b"mine")

    assert told(await verified(world)) == [("extra", strange, False), ("extra", key, False)]
    assert told(await verified(world, repairs=True)) == [("extra", strange, False), ("extra", key, True)]
    assert await world.record(receipt.id) is None
    await world.store.delete(strange)
    assert (await verified(world)).ok


async def test_without_redis_the_store_is_verified_alone(world: Any, absent_redis: Redis) -> None:
    """Damage is found; that the index was not compared is told."""
    receipt = await finish(world, "ann")
    await spoil(world, keys.media(world.moment_id, receipt.id))

    found = await verified(world, redis=absent_redis)

    assert [one.kind for one in found.findings] == ["damaged"]
    assert found.index_compared is False
    assert await Index(world.redis).counts(world.moment_id) is not None


def test_a_wholly_wrong_store_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """All findings are counted; those beyond the limit are not kept."""
    monkeypatch.setattr("processors.verifying.verdicts.FINDINGS_MAX", 2)
    found = Verified(moment="m")
    for number in range(3):
        found.say("lost", str(number), "gone")

    assert (found.found, found.omitted) == ({"lost": 3}, 1)
    assert found.findings == [Finding(kind="lost", object=str(n), detail="gone") for n in range(2)]
