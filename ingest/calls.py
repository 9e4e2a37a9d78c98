"""The table of calls: path, required scopes, input, output and possible errors of each call.

The router (`routing.py`), which enforces it, and the OpenAPI document are both generated from it.
"""

from typing import Literal

import msgspec

from storage.accounts import Account
from storage.decision import TIERS, Scaling
from storage.index import Counts
from storage.records import Moment
from storage.users import Erasure

from .auth import Scope
from .histories import History
from .views import PAGE_POSTS, PAGE_POSTS_MAX, MomentChange, MomentPage, MomentRequest, PostPage, PostView
from .waiting import WAIT_S_MAX

Parameter = tuple[str, str, dict[str, object]]  # name, description, JSON Schema
POST_ID: dict[str, object] = {
    "type": "string",
    "pattern": "^[a-z2-7]{25}[aeimquy4]-[a-z0-9-]+$",
    "maxLength": 107,
    "description": "opaque; send it back unchanged",
}
MOMENT_ID: dict[str, object] = {"type": "string", "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$", "maxLength": 80}
TIME: dict[str, object] = {"type": "string", "format": "date-time"}
WAIT: dict[str, object] = {"type": "integer", "minimum": 0, "maximum": WAIT_S_MAX}
PAGE: dict[str, object] = {"type": "integer", "minimum": 1, "maximum": PAGE_POSTS_MAX}
_UPLOAD_ERRORS = (
    "bad-multipart", "bad-request", "unauthenticated", "forbidden", "no-such-moment", "too-slow", "already-posted",
    "superseded", "moment-not-open", "moment-closed", "too-large", "not-a-photo", "bad-photo", "expectation-failed",
    "rate-limited", "overloaded", "storage-unavailable", "storage-full",
)  # fmt: skip
# What a post can be refused for when its last part comes, and what a part can be.
_OF_HEADS = {"no-such-moment", "moment-not-open", "moment-closed", "rate-limited"}
_PART_ERRORS = (
    *(code for code in _UPLOAD_ERRORS if code not in _OF_HEADS),
    "no-such-upload", "wrong-offset", "inconsistent-length", "upload-completed", "upload-taken-over", "not-a-part",
)  # fmt: skip
_READ_ERRORS = ("unauthenticated", "forbidden", "storage-unavailable")


# Any valid token.
ANY: tuple[Scope, ...] = ("upload", "ops")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `scopes` are the token scopes that may use it; None: no token is needed. There is no default.

    `linked`: a signed link, made for the path of the request, serves in place of a token.
    """

    name: str
    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    summary: str
    scopes: tuple[Scope, ...] | None
    linked: bool = False
    query: tuple[Parameter, ...] = ()
    body: type[msgspec.Struct] | Literal["pair", "part"] | None = None
    status: int = 200
    answer: type[msgspec.Struct] | str | None = None  # a type, or a media type
    errors: tuple[str, ...] = _READ_ERRORS

    def __post_init__(self) -> None:
        """Reject an empty tuple of scopes, which could be read as nobody or as anybody."""
        if self.scopes == ():
            raise ValueError(f"{self.name}: say who may call it")


CALLS = (
    Call(
        name="create_moment", method="POST", path="/v1/moments", summary="Create a moment", scopes=("ops",),
        body=MomentRequest, status=201, answer=Moment,
        errors=(*_READ_ERRORS, "bad-request", "too-large", "storage-full"),
    ),
    Call(
        name="moments", method="GET", path="/v1/moments", scopes=("ops",), answer=MomentPage,
        summary="Moments by id, that is by region and day; cancelled ones are left out",
        query=(
            ("region", "only of this region", {"type": "string", "minLength": 1}),
            ("from", "only moments that fire at this time or later", TIME),
            ("to", "only moments that fire at this time or before", TIME),
            ("limit", f"moments a page; {PAGE_POSTS} unless said", PAGE),
            ("cursor", "`next` of the page before", MOMENT_ID),
        ),
        errors=(*_READ_ERRORS, "bad-request", "overloaded"),
    ),
    Call(
        name="current_moment", method="GET", path="/v1/moments/current", scopes=ANY, answer=Moment,
        summary="The last moment of a region that fired and still accepts posts",
        query=(("region", "the region's name", {"type": "string", "minLength": 1}),),
        errors=(*_READ_ERRORS, "bad-request", "no-such-moment"),
    ),
    Call(
        name="moment", method="GET", path="/v1/moments/{moment_id}", scopes=ANY, summary="One moment", answer=Moment,
        errors=(*_READ_ERRORS, "no-such-moment"),
    ),
    Call(
        name="change_moment", method="PATCH", path="/v1/moments/{moment_id}", scopes=("ops",), body=MomentChange,
        summary="Change when a moment fires, or its window, until two seconds before it fires", answer=Moment,
        errors=(*_READ_ERRORS, "bad-request", "too-large", "no-such-moment", "moment-fired", "storage-full"),
    ),
    Call(
        name="cancel_moment", method="DELETE", path="/v1/moments/{moment_id}", scopes=("ops",), status=204,
        summary="Cancel a moment, until two seconds before it fires; it is then as if it never was",
        errors=(*_READ_ERRORS, "no-such-moment", "moment-fired", "storage-full"),
    ),
    Call(
        name="summary", method="GET", path="/v1/moments/{moment_id}/summary", summary="The posts of a moment by state",
        scopes=("ops",), answer=Counts, errors=(*_READ_ERRORS, "no-such-moment"),
    ),
    Call(
        name="account", method="GET", path="/v1/moments/{moment_id}/account", scopes=("ops",), answer=Account,
        summary="The exact account of a moment (accepted, refused, late), when all its posts are ready or rejected",
        errors=(*_READ_ERRORS, "no-such-moment", "no-account"),
    ),
    Call(
        name="moment_posts", method="GET", path="/v1/moments/{moment_id}/posts", summary="A page of its posts",
        scopes=("ops",), answer=PostPage, errors=(*_READ_ERRORS, "bad-request", "no-such-moment", "overloaded"),
        query=(
            ("limit", f"posts a page; {PAGE_POSTS} unless said", PAGE),
            ("cursor", "`next` of the page before", POST_ID),
        ),
    ),
    Call(
        name="upload", method="POST", path="/v1/moments/{moment_id}/posts", scopes=("upload",), body="pair",
        summary="Post a pair; 200 with Idempotent-Replayed when this very pair was accepted before",
        status=201, answer=PostView, errors=(*_UPLOAD_ERRORS, "inconsistent-length", "upload-taken-over"),
    ),
    Call(
        name="upload_offset", method="GET", path="/v1/uploads/{upload}", scopes=("upload",), status=204,
        summary="How much of an upload has arrived: Upload-Offset; its request that is still under way ends",
        errors=("bad-request", "unauthenticated", "forbidden", "no-such-upload", "storage-unavailable"),
    ),
    Call(
        name="append_upload", method="PATCH", path="/v1/uploads/{upload}", scopes=("upload",), body="part",
        summary="Send what follows of an upload; with the last part the answer is that of the post",
        status=201, answer=PostView, errors=_PART_ERRORS,
    ),
    Call(
        name="cancel_upload", method="DELETE", path="/v1/uploads/{upload}", scopes=("upload",), status=204,
        summary="End an upload that is not complete, and forget what has arrived of it",
        errors=("bad-request", "unauthenticated", "forbidden", "no-such-upload", "storage-unavailable"),
    ),
    Call(
        name="post", method="GET", path="/v1/posts/{post_id}", scopes=ANY, summary="One post", answer=PostView,
        query=(
            ("wait", "seconds until the answer, unless the post is ready or rejected before; 0 unless said", WAIT),
        ),
        errors=(*_READ_ERRORS, "bad-request", "no-such-post", "pair-damaged", "rate-limited", "overloaded"),
    ),
    Call(
        name="post_meta", method="GET", path="/v1/posts/{post_id}/meta", scopes=ANY, answer="application/json",
        summary="The meta part as it was sent, without blanks around it, for the post's owner; null if there was none",
        errors=(*_READ_ERRORS, "no-such-post", "pair-damaged", "overloaded"),
    ),
    Call(
        name="post_history", method="GET", path="/v1/posts/{post_id}/history", scopes=("ops",), answer=History,
        summary="When each step of a post began and ended, waits and work apart",
        errors=(*_READ_ERRORS, "no-such-post", "pair-damaged", "overloaded"),
    ),
    Call(
        name="delete_post", method="DELETE", path="/v1/posts/{post_id}", scopes=ANY, status=204,
        summary="Delete a post with everything of it", errors=(*_READ_ERRORS, "no-such-post", "superseded"),
    ),
    Call(
        name="photo", method="GET", path="/v1/posts/{post_id}/photos/{side}/{size}", scopes=ANY, answer="image/jpeg",
        linked=True,
        summary="A rendition: front or back as thumb, feed or full; composite as feed. Range works",
        errors=(*_READ_ERRORS, "bad-link", "link-expired", "no-such-post", "pair-damaged", "no-such-rendition",
                "bad-range", "overloaded"),
    ),
    Call(
        name="user_posts", method="GET", path="/v1/users/{user_id}/posts", scopes=ANY, answer=PostPage,
        summary="A user's posts in the order of moment ids, for that user or ops; a page may be empty and have a next",
        query=(
            ("limit", f"posts a page; {PAGE_POSTS} unless said", PAGE),
            ("cursor", "`next` of the page before", MOMENT_ID),
        ),
        errors=(*_READ_ERRORS, "bad-request", "rate-limited", "overloaded"),
    ),
    Call(
        name="erase_user", method="DELETE", path="/v1/users/{user_id}/posts", scopes=ANY, answer=Erasure,
        summary="Delete all that a user has sent, for that user or ops: the receipt; go on while it has a `next`",
        query=(("cursor", "`next` of the receipt before", MOMENT_ID),),
        errors=(*_READ_ERRORS, "bad-request", "rate-limited", "overloaded", "storage-full"),
    ),
    Call(
        name="user_export", method="GET", path="/v1/users/{user_id}/export", scopes=ANY, answer="application/zip",
        summary="All that the store has of a user, for that user or ops: photos as received, renditions and records",
        errors=(*_READ_ERRORS, "bad-request", "rate-limited", "overloaded"),
    ),
    Call(
        name="scaling", method="GET", path="/v1/scaling", scopes=("ops",), answer=Scaling,
        query=(("tier", "`worker` (the default), `node` or `lb`; those two as planned for the moment that is near",
                {"type": "string", "enum": list(TIERS), "default": "worker"}),),
        summary="The desired number of processes of a tier, for workers with the queue measurements behind it",
        errors=("bad-request", "unauthenticated", "forbidden", "scaling-unavailable"),
    ),
    Call(name="openapi", method="GET", path="/openapi.json", summary="This document", scopes=None,
         answer="application/json", errors=("overloaded",)),
    Call(name="docs", method="GET", path="/docs", summary="This document as a page", scopes=None,
         answer="text/html", errors=("overloaded",)),
    Call(name="livez", method="GET", path="/livez", summary="The process is alive", scopes=None,
         answer="text/plain", errors=()),
    Call(name="readyz", method="GET", path="/readyz", summary="The node can do its job; else 503 and why",
         scopes=None, answer="text/plain", errors=()),
    Call(name="about", method="GET", path="/aboutz", summary="Code, clock, limits, and fingerprints of the secrets",
         scopes=None, answer="application/json", errors=("overloaded",)),
    Call(name="metrics", method="GET", path="/metrics", summary="Prometheus metrics", scopes=None,
         answer="text/plain", errors=("overloaded",)),
)  # fmt: skip

# Files of the documentation page, which the document and the metrics leave out.
FILES = (
    Call(name="docs_start", method="GET", path="/docs/start.js", summary="The page's script", scopes=None),
    Call(name="docs_file", method="GET", path="/docs/{name}", summary="A file of the page", scopes=None),
)
