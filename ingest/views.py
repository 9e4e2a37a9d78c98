"""The types of answers: how a post, a moment and a page look over HTTP, and how they are encoded."""

from typing import Annotated, Any, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from storage.records import SIDES, Moment, Photos, Post, Side, State, Timestamp

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


class MomentChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change of a moment that has not fired; what is absent stays."""

    fires_at: Annotated[str, Meta(pattern="^20", extra_json_schema={"format": "date-time"})] | None = None
    window_s: Annotated[int, Meta(ge=1, le=WINDOW_S_MAX)] | None = None


class MomentPage(msgspec.Struct, frozen=True):
    """One page of moments by id, that is by region and day, and the cursor of the next page, or null."""

    moments: list[Moment]
    next: str | None


class PostView(msgspec.Struct, frozen=True, kw_only=True):
    """A post as clients see it."""

    id: Annotated[str, Meta(description="opaque")]
    moment_id: Annotated[str, Meta(description="the moment that it answers")]
    user_id: Annotated[str, Meta(description="`sub` of the token that posted it")]
    received_at: Annotated[Timestamp, Meta(description="when the head of the first try came; decides lateness")]
    state: Annotated[State, Meta(description="accepted: its pictures are being made; ready and rejected are final")]
    reason: Annotated[str, Meta(description="why it was rejected, for people")] | msgspec.UnsetType = msgspec.UNSET
    late: Annotated[bool | None, Meta(description="whether it came after the window; null until computed")]
    late_by_ms: Annotated[
        int | None,
        Meta(description="received_at minus closes_at: negative before the end of the window; null until computed"),
    ]
    photos: Annotated[Photos, Meta(description="the photos as received")]
    thumbhash: (
        Annotated[
            dict[Side, str], Meta(description="by side: a ThumbHash in base64, to show until the picture is loaded")
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    complete: (
        Annotated[bool, Meta(description="false while a ready post has no `full` pictures yet; else absent")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    links: Annotated[
        dict[str, str],
        Meta(
            description="addresses by name: self, moment, and each picture that there is: "
            "front-thumb, front-feed, front-full, back-thumb, back-feed, back-full, composite"
        ),
    ]


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
    path = f"/v1/posts/{post.id}"
    links = {"self": path, "moment": f"/v1/moments/{post.moment_id}"}
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
