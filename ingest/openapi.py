"""The OpenAPI 3.1 document, generated from the table of calls and the types of their answers."""

import re
from collections.abc import Mapping
from string import Template
from typing import Any

import msgspec

from .auth import USER_ID_CHARS_MAX
from .calls import ANY, CALLS, POST_ID, Call
from .errors import CODES, Problem
from .resuming.versions import PART_TYPE

_PATH_PARAMETERS = {
    "moment_id": {"type": "string"},
    "post_id": POST_ID,
    "upload": {"type": "string", "description": "the last segment of the `Location` that a 104 or 201 gave; opaque"},
    "user_id": {"type": "string", "minLength": 1, "maxLength": USER_ID_CHARS_MAX, "description": "`sub` of the tokens"},
    "side": {"type": "string", "enum": ["front", "back", "composite"]},
    "size": {"type": "string", "enum": ["thumb", "feed", "full"]},
}
# One photo of the form. Generators take `format: binary` for a file, and `contentMediaType` alone for text.
_PHOTO = {
    "type": "string",
    "format": "binary",
    "description": "the file as the phone wrote it: JPEG, PNG, WebP, HEIC or AVIF",
}
# Without `additionalProperties: false`, which generators report as an error; the node refuses parts it does not know.
_PAIR = {
    "type": "object",
    "required": ["front", "back"],
    "properties": {
        "front": _PHOTO,
        "back": _PHOTO,
        "meta": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": "a JSON object as text; only the owner of the post can read it back",
        },
    },
}
_FORM = {
    "schema": _PAIR,
    "encoding": {side: {"contentType": "image/jpeg, image/png, image/webp, image/heic"} for side in ("front", "back")},
}
# What an answer of a media type is; generators take an image for text unless it is called binary.
_BINARY = {"type": "string", "format": "binary"}
_BODIES: dict[str, dict[str, str]] = {"application/json": {}, "image/jpeg": _BINARY, "application/zip": _BINARY}
_UPLOAD_FIELDS = {
    "Snapsurge-Ticket": "of the last 502, 503, 504 or 507, for this very request",
    "Content-Digest": "optional, RFC 9530: `sha-256=:…:`, of the whole body as it is sent, in base64",
}
# What a request of an upload says, beside its content, and what its answers tell.
_RESUME_FIELDS = {
    "Upload-Draft-Interop-Version": "3, 5, 6 or 8; without it an upload cannot be resumed",
    "Upload-Complete": "`?1`: with this content the upload is complete, `?0`: not yet (version 3: `Upload-Incomplete`)",
    "Upload-Length": "optional, versions 6 and 8: the bytes of the whole body",
    "Repr-Digest": "optional, RFC 9530, of the whole body: checked when it is complete",
}
_PART_FIELDS = {
    "Upload-Draft-Interop-Version": "as when the upload was created",
    "Upload-Offset": "where the content begins in the whole body: the upload's own offset",
    "Upload-Complete": _RESUME_FIELDS["Upload-Complete"],
    "Upload-Length": _RESUME_FIELDS["Upload-Length"],
}
_FIELDS = {
    "upload": _UPLOAD_FIELDS | _RESUME_FIELDS,
    "append_upload": _PART_FIELDS,
    "upload_offset": {"Upload-Draft-Interop-Version": _PART_FIELDS["Upload-Draft-Interop-Version"]},
    "cancel_upload": {"Upload-Draft-Interop-Version": _PART_FIELDS["Upload-Draft-Interop-Version"]},
}
_TOLD = {
    "Upload-Offset": "bytes that have arrived, which need not be sent again",
    "Upload-Complete": "`?1` with the answer of the post (version 3: `Upload-Incomplete`)",
    "Upload-Limit": "versions 6 and 8: `min-size`, `max-size` and for how many seconds the upload is kept",
}
# The failures that carry a ticket, by call; that of a PATCH is for a first request that begins the upload anew.
_TICKETS = {"upload": ("502", "503", "504", "507"), "append_upload": ("503", "507")}
# What the balancer answers in place of a node.
_GATEWAY = {
    "502": "`bad-gateway`: a server failed during the request",
    "504": "`gateway-timeout`: a server did not answer in time",
}
_TAGS = {
    "moments": "Notifications, and the uploads that answer them.",
    "posts": "What was accepted: its state, its pictures, its deletion.",
    "uploads": "Uploads that go on after their connection broke (draft-ietf-httpbis-resumable-upload).",
    "users": "All that one user has sent: listed, exported, deleted.",
    "scaling": "For autoscalers.",
    "this node": "For people, probes and Prometheus.",
}
_ABOUT = """Photo pairs of a moment. Times are RFC 3339 UTC with milliseconds; every error is application/problem+json
with a stable `code`, and its `type` leads to a paragraph about it.

For who writes an app: [the guide](/docs/guide) (limits, tokens, retries, polling, pictures, caching),
[recipes](/docs/recipes) (a client for each HTTP stack), [errors](/docs/problems) (what to do about each code).
"""
# Not in the text above, which generators write into the head of each of their files.
_ABOUT_UPLOADS = """

**Limits:** a photo has at most $photo_mib MiB, a pair $pair_mib MiB with all of its form, `meta` $meta_bytes bytes and
$meta_depth levels; a photo has at most $pixels megapixels ($pixels_by_format), sides of $side_min to $side_max pixels;
a user may send $uploads uploads in $uploads_s s, retries included; a body must come at $rate bytes/s on average. A
moment takes posts for $accepting_h hours after it fired; those after its window are late.

**How a phone should upload:**

1. Build the multipart body once, with a `Content-Length`; every try sends the very same bytes. A post is keyed by
   moment and user, so any try may be repeated: 201 the first time, 200 with `Idempotent-Replayed` if one had arrived.
2. Retry after 408, 429, 502, 503, 504, 507 and after a broken connection, never after another 4xx. Wait at least
   `Retry-After` and up to a tenth more by chance; where there is none 0.2 s, doubled each time up to 5 s, by chance.
3. Bring the last `Snapsurge-Ticket` back: the retry then counts as received at the first try. It is good for ten
   minutes and for the same user, path, length and, where sent, `Content-Digest`. A client that can sends such a retry
   with `Expect: 100-continue`, and its body after `100 Continue`; one that cannot sends it as any other upload.
4. Wait for the answer 30 s, and twice as long as the pair should take on this uplink; then try again.
5. After 201, `GET /v1/posts/{post_id}?wait=$wait_s` is answered when the pictures are ready.

**To send only what is missing after a break** announce `Upload-Draft-Interop-Version: 8` and `Upload-Complete: ?1`;
[the guide](/docs/guide#resuming) has the steps.
"""
_LINK = """A picture's URL from a post's `links`, unchanged: `…?exp=<unix s>&sig=<signature>`. It needs no token."""


def document(facts: Mapping[str, str]) -> bytes:
    """The whole document, encoded as JSON; `facts` are the node's limits, see `guide.facts`."""
    types = {call.answer for call in CALLS if isinstance(call.answer, type)} | {Problem}
    types |= {call.body for call in CALLS if isinstance(call.body, type)}
    ordered = sorted(types, key=lambda one: one.__name__)
    schemas, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    refs = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for call in CALLS:
        operation = paths.setdefault(call.path, {})[call.method.lower()] = _operation(call, refs)
        if call.name == "upload":
            operation["description"] += Template(_ABOUT_UPLOADS).substitute(facts)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "snapsurge",
                "version": "1",
                "description": _ABOUT,
            },
            # The address that served the document, whichever balancer or host name it was.
            "servers": [{"url": "/"}],
            "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
            "paths": paths,
            "components": {
                "schemas": _typed(components),
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT (HS256)"},
                    "link": {"type": "apiKey", "in": "query", "name": "sig", "description": _LINK},
                },
            },
        }
    )


def _typed(schema: Any) -> Any:  # noqa: ANN401 - any part of a JSON Schema
    """The schema with the type beside each enumeration of texts: msgspec leaves it out, and generators need it."""
    if isinstance(schema, dict):
        known = {name: _typed(part) for name, part in schema.items()}
        is_text = all(isinstance(one, str) for one in known.get("enum", [0]))
        return {"type": "string"} | known if is_text else known
    return [_typed(part) for part in schema] if isinstance(schema, list) else schema


def _operation(call: Call, refs: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    kind = re.match(r"/v1/(\w+)", call.path)
    # With a verb: generators name methods by it, and types that must not meet those of the schemas (MomentRequest).
    name = f"get_{call.name}" if call.method == "GET" else call.name
    operation: dict[str, Any] = {"operationId": name, "summary": call.summary, "parameters": _parameters(call)}
    operation["tags"] = [kind[1] if kind else "this node"]
    if call.scopes is not None:
        operation["security"] = [{"token": []}, {"link": []}] if call.linked else [{"token": []}]
        operation["description"] = f"Token scope: {'any' if call.scopes == ANY else ' or '.join(call.scopes)}."
    if call.body == "pair":
        operation["requestBody"] = {"required": True, "content": {"multipart/form-data": _FORM}}
    elif call.body == "part":
        operation["requestBody"] = {"required": True, "content": {PART_TYPE: {"schema": _BINARY}}}
    elif call.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": refs[call.body]}}}
    operation["responses"] = _responses(call, refs)
    return operation


def _parameters(call: Call) -> list[dict[str, Any]]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_PARAMETERS[name]}
        for name in re.findall(r"{(\w+)}", call.path)
    ]
    query = [
        {
            "name": name,
            "in": "query",
            "required": (call.name, name) == ("current_moment", "region"),
            "description": text,
            "schema": schema,
        }
        for name, text, schema in call.query
    ]
    fields = [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in _FIELDS.get(call.name, {}).items()
    ]
    return path + query + fields


def _of_parts(call: Call, good: dict[str, Any]) -> dict[str, Any]:
    """The good answers about resumable uploads, with their fields."""
    told = {"headers": _headers(_TOLD)}
    if call.name == "upload_offset":
        return {"204": good | told}
    if call.name != "append_upload":
        return {}
    return {
        "201": good | told | {"description": "The post; before version 8 also a part that was added"},
        "200": good | told | {"description": "This very pair was accepted before"},
        "204": told | {"description": "The part was added; more is to come"},
    }


def _headers(texts: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"schema": {"type": "string"}, "description": text} for name, text in texts.items()}


def _responses(call: Call, refs: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": call.summary}
    if isinstance(call.answer, str):
        good["content"] = {call.answer: {"schema": _BODIES.get(call.answer, {"type": "string"})}}
    elif call.answer is not None:
        good["content"] = {"application/json": {"schema": refs[call.answer]}}
    responses = {str(call.status): good}
    if call.name == "upload":
        responses["200"] = good | {
            "description": "This very pair was accepted before",
            "headers": {
                "Idempotent-Replayed": {"schema": {"type": "string", "const": "true"}},
            },
        }
    if call.name == "photo":
        responses |= {"206": good | {"description": "A part of it"}, "304": {"description": "Not modified"}}
    responses |= _of_parts(call, good)
    by_status: dict[str, list[str]] = {}
    for code in sorted(call.errors):
        by_status.setdefault(str(CODES[code][0].value), []).append(code)
    problem = {"application/problem+json": {"schema": refs[Problem]}}
    for status, codes in by_status.items():
        text = "; ".join(f"`{code}`: {CODES[code][1]}" for code in codes)
        responses[status] = {"description": text, "content": problem}
    if call.path.startswith("/v1/"):
        responses |= {status: {"description": text, "content": problem} for status, text in _GATEWAY.items()}
    _tell_when_to_return(call, responses)
    return responses


def _tell_when_to_return(call: Call, responses: dict[str, Any]) -> None:
    """Add the fields of the failures of an upload."""
    if call.name in _TICKETS:
        wait = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
        ticket = {"schema": {"type": "string"}, "description": "to be brought back by the retry"}
        if "429" in responses:
            responses["429"]["headers"] = wait
        for status in _TICKETS[call.name]:
            responses[status]["headers"] = wait | {"Snapsurge-Ticket": ticket}
