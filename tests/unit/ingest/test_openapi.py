"""The OpenAPI document: made of the same types, complete, without dangling references, and fit for generators."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from ingest import guide
from ingest.calls import CALLS
from ingest.config import Config
from ingest.openapi import document

FACTS = guide.facts(Config(auth_secret="x" * 32))
TEXT = document(FACTS).decode()
MADE = json.loads(TEXT)
UPLOAD = MADE["paths"]["/v1/moments/{moment_id}/posts"]["post"]


def parts_of(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value."""
    if isinstance(value, dict):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from parts_of(part)


def test_the_document_has_every_call_with_its_answers() -> None:
    """3.1; each call's statuses; no reference that leads nowhere."""
    assert MADE["openapi"] == "3.1.0"
    for call in CALLS:
        operation = MADE["paths"][call.path][call.method.lower()]
        assert str(call.status) in operation["responses"]
        assert ("security" in operation) is (call.scopes is not None)
    assert MADE["paths"]["/livez"]["get"]["tags"] == ["this node"]
    photo = MADE["paths"]["/v1/posts/{post_id}/photos/{side}/{size}"]["get"]
    assert photo["security"] == [{"token": []}, {"link": []}]
    assert {"bad-link", "link-expired"} <= set(re.findall(r"`([a-z-]+)`", photo["responses"]["403"]["description"]))
    assert MADE["components"]["securitySchemes"].keys() == {"token", "link"}
    assert UPLOAD["tags"] == ["moments"]
    statuses = (200, 201, 400, 401, 403, 404, 408, 409, 410, 413, 415, 417, 422, 429, 502, 503, 504, 507)
    assert sorted(map(int, UPLOAD["responses"])) == list(statuses)
    assert list(UPLOAD["responses"]["429"]["headers"]) == ["Retry-After"]
    for status in ("502", "503", "504", "507"):
        assert list(UPLOAD["responses"][status]["headers"]) == ["Retry-After", "Snapsurge-Ticket"]
    part = MADE["paths"]["/v1/uploads/{upload}"]["patch"]["responses"]
    assert {status for status in part if "headers" in part[status] and status >= "400"} == {"503", "507"}
    assert set(re.findall(r"#/components/schemas/(\w+)", TEXT)) <= MADE["components"]["schemas"].keys()


def test_schemas_are_those_of_the_answers() -> None:
    """A post's late flag may be null, its photos have digests."""
    schemas = MADE["components"]["schemas"]

    assert schemas["PostView"]["properties"]["late"]["anyOf"] == [{"type": "boolean"}, {"type": "null"}]
    assert schemas["Photo"]["properties"]["sha256"]["pattern"] == "^[0-9a-f]{64}$"
    assert "retry" not in schemas["Problem"]["properties"]


def test_photos_are_files_wherever_they_are_sent() -> None:
    """A generator makes a file of `format: binary`, and a text of everything else; the form is open for it."""
    form = UPLOAD["requestBody"]["content"]["multipart/form-data"]

    assert {side: form["schema"]["properties"][side]["format"] for side in ("front", "back")} == {
        "front": "binary",
        "back": "binary",
    }
    assert "additionalProperties" not in form["schema"]
    assert "image/heic" in form["encoding"]["front"]["contentType"]
    contents = [part["content"] for part in parts_of(MADE["paths"]) if "content" in part]
    images = [content["image/jpeg"]["schema"] for content in contents if "image/jpeg" in content]
    assert images == [{"type": "string", "format": "binary"}] * 2


def test_generators_are_told_types_names_and_groups() -> None:
    """Each enumeration of texts has its type, each operation one id and one tag that is described, and a server."""
    for part in parts_of(MADE):
        if "enum" in part:
            assert part["type"] == "string"
    operations = [operation for path in MADE["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids) == len(CALLS)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", one) for one in ids)
    generated = {f"{one.title().replace('_', '')}{end}" for one in ids for end in ("Request", "Response")}
    assert generated.isdisjoint(MADE["components"]["schemas"])
    tags = {tag["name"] for tag in MADE["tags"] if tag["description"]}
    assert {tag for operation in operations for tag in operation["tags"]} == tags
    assert MADE["servers"] == [{"url": "/"}]


@pytest.mark.parametrize("name", ["PostView"])
def test_every_field_of_an_answer_is_described(name: str) -> None:
    """By what it means, not by its type."""
    fields = MADE["components"]["schemas"][name]["properties"]
    assert [field for field, schema in fields.items() if not schema.get("description")] == []


def test_the_limits_of_an_upload_stand_with_it() -> None:
    """As the node's settings have them; not in the head, which generators copy into each of their files."""
    other = guide.facts(Config(auth_secret="x" * 32, photo_bytes_max=3 << 20))
    changed = json.loads(document(other))["paths"]["/v1/moments/{moment_id}/posts"]["post"]

    assert "at most 16 MiB" in UPLOAD["description"]
    assert "at most 3 MiB" in changed["description"]
    assert "$" not in UPLOAD["description"]
    assert len(MADE["info"]["description"]) < 500
