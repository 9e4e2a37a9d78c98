"""Resumable uploads and deletions: what began before one stays out, and no answer tells of a post that is gone."""

import time
from typing import Any

import msgspec
import pytest

from storage.records import from_ms
from tests.component.ingest.resuming.peers import code, peer
from tests.resumable import VERSIONS, Peer


async def moment_of(client: Any) -> str:
    """A moment that fired a minute ago."""
    return str(await client.moment(fires_at=from_ms(time.time_ns() // 1_000_000 - 60_000)))


def ago(seconds: int) -> dict[str, str]:
    """When a balancer says that it received a request: the node itself knows that to 4 ms only."""
    return {"Snapsurge-Received-At": str(time.time_ns() // 1_000_000 - seconds * 1000)}


async def deleted(client: Any, post_id: str, user: str = "alice") -> None:
    """Delete one post, or all of the user, ten seconds ago."""
    path = f"/v1/posts/{post_id}" if post_id else f"/v1/users/{user}/posts"
    assert (await client.call("DELETE", path, user, headers=ago(10))).status in (200, 204)


async def completed(phone: Peer, moment: str, body: bytes) -> tuple[str, str]:
    """Location and post id of an upload that was completed."""
    said = [f"{name}: {value}" for name, value in ago(20).items()]
    done = await phone.ask(phone.creation(moment, len(body), *said), body)
    assert done.status == 201
    return done.interim[0].location, str(msgspec.json.decode(done.body)["id"])


@pytest.mark.parametrize("all_of_user", [False, True])
@pytest.mark.parametrize("sent", [700, None])
async def test_an_upload_that_began_before_a_deletion_does_not_undo_it(
    client: Any, pair: bytes, sent: int | None, *, all_of_user: bool
) -> None:
    """Parked with a part or with all bytes, and finished afterwards: 409 as for an unbroken one, and no post."""
    moment, phone = await moment_of(client), peer(client)
    sent = len(pair) if sent is None else sent
    post = (await client.upload(moment, headers=ago(30))).body["id"]
    said = [f"{name}: {value}" for name, value in ago(20).items()]
    made = await phone.ask(phone.creation(moment, sent, *said, whole=False), pair[:sent])
    await deleted(client, "" if all_of_user else post)
    answer = await phone.ask(phone.patch(made.location, sent, len(pair) - sent), pair[sent:])
    assert (answer.status, code(answer)) == (409, "superseded")
    assert (await client.call("GET", f"/v1/posts/{post}")).status == 404
    assert (await phone.offset(made.location)).status == 404
    fresh = await client.upload(moment, body=pair)
    assert fresh.status == 201


async def test_an_upload_that_began_before_another_was_posted_conflicts(client: Any, pair: bytes) -> None:
    """Its identity is that of its beginning, and other photos stand."""
    moment, phone = await moment_of(client), peer(client)
    made = await phone.ask(phone.creation(moment, 700, whole=False), pair[:700])
    assert (await client.upload(moment, body=pair.replace(b"\xff\xd9", b"\xff\xd9xx"))).status == 201
    answer = await phone.ask(phone.patch(made.location, 700, len(pair) - 700), pair[700:])
    assert (answer.status, code(answer)) == (409, "already-posted")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("all_of_user", [False, True])
async def test_the_kept_answer_of_a_deleted_post_is_not_given_again(
    client: Any, pair: bytes, version: str, *, all_of_user: bool
) -> None:
    """404 to an empty PATCH and to HEAD, also when other photos were posted since."""
    moment, phone = await moment_of(client), peer(client, version)
    location, post = await completed(phone, moment, pair)
    assert (await phone.offset(location)).status == 204
    await deleted(client, "" if all_of_user else post)
    answer = await phone.ask(phone.patch(location, len(pair), 0))
    assert (answer.status, code(answer)) == (404, "no-such-upload")
    assert (await phone.offset(location)).status == 404
    assert (await client.upload(moment, body=pair.replace(b"\xff\xd9", b"\xff\xd9xx"))).status == 201
    assert (await phone.ask(phone.patch(location, len(pair), 0))).status == 404


async def test_the_kept_answer_of_a_post_that_was_posted_anew_is_not_given_again(client: Any, pair: bytes) -> None:
    """The same photos, but another attempt: the record of the first one is not true any more."""
    moment, phone = await moment_of(client), peer(client)
    location, post = await completed(phone, moment, pair)
    await deleted(client, post)
    assert (await client.upload(moment, body=pair)).status == 201
    assert (await phone.offset(location)).status == 404


async def test_the_kept_answer_of_a_repeated_post_is_that_of_the_stored_one(client: Any, pair: bytes) -> None:
    """200 again and again, until the post is gone."""
    moment, phone = await moment_of(client), peer(client)
    post = (await client.upload(moment, body=pair, headers=ago(30))).body["id"]
    done = await phone.ask(phone.creation(moment, len(pair)), pair)
    location = done.interim[0].location
    assert done.status == 200
    assert (await phone.ask(phone.patch(location, len(pair), 0))).status == 200
    assert (await client.call("DELETE", f"/v1/posts/{post}")).status == 204
    assert (await phone.ask(phone.patch(location, len(pair), 0))).status == 404
