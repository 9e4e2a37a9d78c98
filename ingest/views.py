"""The types of answers: how a post, a moment and a page look over HTTP, and how they are encoded."""

from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from storage.records import SIDES, Photos, Post, Side, State, Timestamp

from .links import Sign, unsigned

Size = Literal["thumb", "feed", "full"]
SIZES: tuple[Size, ...] = ("thumb", "feed", "full")
PAGE_POSTS, PAGE_POSTS_MAX = 100, 1000
REGION_CHARS_MAX = 32
WINDOW_S_MAX = 24 * 3600  # a window must end within the accepting period


class MomentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A moment to create; it fires at once unless `fires_at` names a time."""

    region: Annotated[
        str,
        # The lookahead is needed because Python's $ also matches before a final line end.
        Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$(?!\n)", max_length=REGION_CHARS_MAX, examples=["eu-west"]),
    ]
    fires_at: Annotated[str, Meta(pattern="^20", extra_json_schema={"format": "date-time"})] | None = None
    window_s: Annotated[int, Meta(ge=1, le=WINDOW_S_MAX)] = 120


class PostView(msgspec.Struct, frozen=True, kw_only=True):
    """A post as clients see it; `late` and `late_by_ms` are null until flagged, `reason` says why it was rejected.

    `complete` is present, and false, while a ready post has no `full` renditions yet.
    """

    id: str
    moment_id: str
    user_id: str
    received_at: Timestamp
    state: State
    reason: str | msgspec.UnsetType = msgspec.UNSET
    late: bool | None
    late_by_ms: int | None
    photos: Photos
    thumbhash: dict[Side, str] | msgspec.UnsetType = msgspec.UNSET
    complete: bool | msgspec.UnsetType = msgspec.UNSET
    links: dict[str, str]


class PostPage(msgspec.Struct, frozen=True):
    """One page of a moment's posts, and the cursor of the next page, or null."""

    posts: list[PostView]
    next: str | None


def photo_path(post_id: str, side: str, size: str) -> str:
    """The path of a rendition, in its one spelling."""
    return f"/v1/posts/{post_id}/photos/{side}/{size}"


# The names of the renditions and where they are served.
_PLACES = {f"{side}-{size}": (side, size) for side in SIDES for size in SIZES} | {"composite": ("composite", "feed")}


def post_view(post: Post, sign: Sign = unsigned) -> PostView:
    """The post with links to itself, its moment and its renditions, those made by `sign`."""
    links = {"self": f"/v1/posts/{post.id}", "moment": f"/v1/moments/{post.moment_id}"}
    for name, (side, size) in _PLACES.items():
        if (rendition := post.renditions.get(name)) is not None:
            links[name] = sign(photo_path(post.id, side, size), rendition.sha256)
    return PostView(
        id=post.id,
        moment_id=post.moment_id,
        user_id=post.user_id,
        received_at=post.received_at,
        state=post.state,
        reason=post.reason or msgspec.UNSET,
        late=post.late,
        late_by_ms=post.late_by_ms,
        photos=post.photos,
        thumbhash=post.thumbhash or msgspec.UNSET,
        complete=msgspec.UNSET if post.complete else False,
        links=links,
    )


def json_answer(value: Any, status: int = 200, **headers: str) -> web.Response:  # noqa: ANN401 - any struct of ours
    """The value as JSON; header names are given with underscores."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    # Records change, their links expire, and what is not there may come: no cache on the way may answer for us.
    named.setdefault("Cache-Control", "no-store")
    return web.Response(body=msgspec.json.encode(value), status=status, headers=named, content_type="application/json")
