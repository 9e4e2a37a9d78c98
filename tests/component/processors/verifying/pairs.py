"""Pairs with true receipts, as a node writes them: a verification reads every byte."""

import hashlib
from typing import Any

import msgspec

from storage.records import Photo, Photos, Receipt, accepted
from tests.component.processors.conftest import photo
from tests.reports import observed


def shot(data: bytes) -> Photo:
    """The description of a photo of `conftest.photo`."""
    return Photo(sha256=hashlib.sha256(data).hexdigest(), bytes=len(data), width=96, height=128, format="jpeg")


async def receive(world: Any, user: str, *, told: bool = True) -> Receipt:
    """Accept a pair of this user; its receipt."""
    front, back = photo("teal"), photo("navy")
    receipt = msgspec.structs.replace(world.receipt(user), photos=Photos(front=shot(front), back=shot(back)))
    await world.existence.commit(receipt, front, back)
    if told:
        await observed(world.index, [accepted(receipt)])
    return receipt


async def finish(world: Any, user: str) -> Receipt:
    """Accept and render a pair of this user; its receipt."""
    receipt = await receive(world, user)
    assert await world.jobs().render_pair(receipt.moment_id, receipt.id) == "ready"
    return receipt
