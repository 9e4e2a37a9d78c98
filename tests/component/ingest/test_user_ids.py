"""Every user id that a token may have works in the paths of calls about a user."""

import random
from typing import Any
from urllib.parse import quote

from yarl import URL

from ingest.auth import is_user_id
from tests.component.ingest.conftest import token


def odd_ids(count: int) -> list[str]:
    """User ids of characters that mean something in paths, and of any other that a token may have."""
    rng = random.Random(10)
    some = ["{", "}", "{x}", "{user_id}", "a/b", "/", "//", "%", "%2F", "%7B", "?", "#", "a?b#c", ";", "...", ".a", " "]
    some += [
        "\\",
        "*",
        "+",
        "a+b c",
        "&=",
        ":",
        "@",
        "~",
        "'\"",
        "<>",
        "[|]^`",
        "ü",
        "日本",
        "e\u0301",
        "\U0001f600" * 128,
    ]
    while len(some) < count:
        text = "".join(
            chr(rng.choice((rng.randrange(32, 127), rng.randrange(0x30000)))) for _ in range(rng.randrange(1, 9))
        )
        some += [text] if is_user_id(text) else []
    return some


async def test_every_user_id_that_a_token_may_have_works(client: Any) -> None:
    """Encoded by Python's library or by yarl: listed, exported and deleted."""
    moment = await client.moment()
    wrong = []
    for user in odd_ids(60):
        assert (await client.upload(moment, user)).status == 201
        for base in (
            f"/v1/users/{quote(user, safe='')}",
            URL("/v1/users/").joinpath(quote(user, safe=""), encoded=True),
        ):
            listed = await client.call("GET", f"{base}/posts", user)
            exported = await client.call("GET", f"{base}/export", user)
            if (listed.status, exported.status) != (200, 200) or len(listed.body["posts"]) != 1:
                wrong.append((user, listed.status, exported.status))
        erased = await client.call("DELETE", f"/v1/users/{quote(user, safe='')}/posts", user)
        if erased.status != 200 or len(erased.body["deleted"]) != 1:
            wrong.append((user, erased.status))
    assert wrong == []
    raw = URL(f"http://127.0.0.1:{client.port}/v1/users/{{x}}/posts", encoded=True)
    async with client.session.get(raw, headers={"Authorization": f"Bearer {token('{x}')}"}) as answer:
        assert answer.status == 200
