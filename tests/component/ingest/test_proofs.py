"""Proofs on a real node: an upload is in the index at once, unless Redis may have lost its deletion."""

from typing import Any

import pytest
from redis.asyncio import Redis

from ingest import announcing
from storage.existence import Existence
from storage.index import Index
from storage.keys import LIFE_KEY
from storage.queue.jobs import FLAGS, ON_TIME
from storage.records import Receipt


async def test_a_post_is_counted_at_once(client: Any) -> None:
    """Without workers, by counts that Redis has."""
    moment = await client.moment()
    for number in range(3):
        assert (await client.upload(moment, f"user {number}")).status == 201
        summary = await client.call("GET", f"/v1/moments/{moment}/summary", "ops", "ops")
        assert summary.body["accepted"] == number + 1


async def test_a_proof_of_after_the_commit_is_void(client: Any, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the commit the post was deleted, Redis lost the deletion, and this node has another proof: no entry."""
    monkeypatch.setattr(announcing, "PROOFS_S", 0.01)
    commit = Existence.commit

    async def late(self: Existence, receipt: Receipt, *parts: Any) -> Receipt:
        stored = await commit(self, receipt, *parts)
        for _ in range(2):  # when the key is there again, the node has used the proof of the first time
            await redis.flushall()
            while not await redis.exists(LIFE_KEY):  # pytest-timeout bounds the wait
                await redis.ping()
        return stored

    moment = await client.moment()
    monkeypatch.setattr(Existence, "commit", late)
    answer = await client.upload(moment)

    assert answer.status == 201
    assert await Index(redis).posts([answer.body["id"]]) == [None]
    assert await redis.zcard(FLAGS) == await redis.zcard(ON_TIME) == 1
