"""The OpenAPI 3.1 document, generated from the table of calls and the types of their answers."""

import re
from typing import Any

import msgspec

from .calls import ANY, CALLS, POST_ID, Call
from .errors import CODES, Problem

_PATH_PARAMETERS = {
    "moment_id": {"type": "string"},
    "post_id": POST_ID,
    "side": {"type": "string", "enum": ["front", "back", "composite"]},
    "size": {"type": "string", "enum": ["thumb", "feed", "full"]},
}
_PAIR = {
    "type": "object",
    "required": ["front", "back"],
    "additionalProperties": False,
    "properties": {
        "front": {"type": "string", "contentMediaType": "image/jpeg", "description": "JPEG, PNG, WebP or HEIC"},
        "back": {"type": "string", "contentMediaType": "image/jpeg", "description": "JPEG, PNG, WebP or HEIC"},
        "meta": {
            "type": "string",
            "contentMediaType": "application/json",
            "description": "a JSON object",
        },
    },
}
_ABOUT = """Photo pairs of a moment. Times are RFC 3339 UTC with milliseconds; every error is application/problem+json
with a stable `code`.

**How a phone should upload** (`bench/client.py` is this in Python):

1. Build the multipart body once, with a `Content-Length`; every try sends the very same bytes. A post is keyed by
   moment and user, so any try may be repeated: 201 the first time, 200 with `Idempotent-Replayed` if one had arrived.
2. Retry after 408, 429, 502, 503, 504, 507 and after a broken connection, never after another 4xx. Wait at least
   `Retry-After` and up to a tenth more by chance; where there is none 0.2 s, doubled each time up to 5 s, by chance.
3. Bring the last `Snapsurge-Ticket` back: the retry then counts as received at the first try. It is good for ten
   minutes and for the same user, path, length and, where sent, `Content-Digest`. Bring it with `Expect: 100-continue`
   and send the body after `100 Continue`, so that being turned away again costs a head only.
4. Wait for the answer 30 s, and twice as long as the pair should take on this uplink; then try again.
"""
_LINK = """A picture's URL from a post's `links`, unchanged: `…?exp=<unix s>&sig=<signature>`. It needs no token."""


def document() -> bytes:
    """The whole document, encoded as JSON."""
    types = {call.answer for call in CALLS if isinstance(call.answer, type)} | {Problem}
    types |= {call.body for call in CALLS if isinstance(call.body, type)}
    ordered = sorted(types, key=lambda one: one.__name__)
    schemas, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    refs = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for call in CALLS:
        paths.setdefault(call.path, {})[call.method.lower()] = _operation(call, refs)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "snapsurge",
                "version": "1",
                "description": _ABOUT,
            },
            "paths": paths,
            "components": {
                "schemas": components,
                "securitySchemes": {
                    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT (HS256)"},
                    "link": {"type": "apiKey", "in": "query", "name": "sig", "description": _LINK},
                },
            },
        }
    )


def _operation(call: Call, refs: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    kind = re.match(r"/v1/(\w+)", call.path)
    operation: dict[str, Any] = {"operationId": call.name, "summary": call.summary, "parameters": _parameters(call)}
    operation["tags"] = [kind[1] if kind else "this node"]
    if call.scopes is not None:
        operation["security"] = [{"token": []}, {"link": []}] if call.linked else [{"token": []}]
        operation["description"] = f"Token scope: {'any' if call.scopes == ANY else ' or '.join(call.scopes)}."
    if call.body == "pair":
        operation["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": _PAIR}}}
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
        {"name": name, "in": "query", "required": name == "region", "description": text, "schema": schema}
        for name, text, schema in call.query
    ]
    ticket = {"name": "Snapsurge-Ticket", "in": "header", "required": False, "schema": {"type": "string"}}
    ticket["description"] = "of the last 502, 503 or 504, for this very request"
    return path + query + ([ticket] if call.name == "upload" else [])


def _responses(call: Call, refs: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": call.summary}
    if isinstance(call.answer, str):
        good["content"] = {call.answer: {"schema": {"type": "string"}}}
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
    by_status: dict[str, list[str]] = {}
    for code in sorted(call.errors):
        by_status.setdefault(str(CODES[code][0].value), []).append(code)
    problem = {"application/problem+json": {"schema": refs[Problem]}}
    for status, codes in by_status.items():
        text = "; ".join(f"`{code}`: {CODES[code][1]}" for code in codes)
        responses[status] = {"description": text, "content": problem}
    if call.name == "upload":
        wait = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
        ticket = {"schema": {"type": "string"}, "description": "to be brought back by the retry"}
        responses["429"]["headers"] = wait
        responses["503"]["headers"] = wait | {"Snapsurge-Ticket": ticket}
    return responses
