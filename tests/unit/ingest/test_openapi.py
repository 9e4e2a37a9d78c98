"""The OpenAPI document: made of the same types, complete, and without dangling references."""

import json
import re

from ingest.calls import CALLS
from ingest.openapi import document


def test_the_document_has_every_call_with_its_answers() -> None:
    """3.1; each call's statuses; no reference that leads nowhere."""
    text = document().decode()
    made = json.loads(text)

    assert made["openapi"] == "3.1.0"
    for call in CALLS:
        operation = made["paths"][call.path][call.method.lower()]
        assert str(call.status) in operation["responses"]
        assert ("security" in operation) is (call.scopes is not None)
    assert made["paths"]["/livez"]["get"]["tags"] == ["this node"]
    photo = made["paths"]["/v1/posts/{post_id}/photos/{side}/{size}"]["get"]
    assert photo["security"] == [{"token": []}, {"link": []}]
    assert {"bad-link", "link-expired"} <= set(re.findall(r"`([a-z-]+)`", photo["responses"]["403"]["description"]))
    assert made["components"]["securitySchemes"].keys() == {"token", "link"}
    upload = made["paths"]["/v1/moments/{moment_id}/posts"]["post"]
    assert upload["tags"] == ["moments"]
    statuses = [
        "200",
        "201",
        "400",
        "401",
        "403",
        "404",
        "408",
        "409",
        "410",
        "413",
        "415",
        "417",
        "422",
        "429",
        "503",
        "507",
    ]
    assert sorted(upload["responses"]) == statuses
    assert list(upload["responses"]["429"]["headers"]) == ["Retry-After"]
    assert list(upload["responses"]["503"]["headers"]) == ["Retry-After", "Snapsurge-Ticket"]
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) <= made["components"]["schemas"].keys()


def test_schemas_are_those_of_the_answers() -> None:
    """A post's late flag may be null, its photos have digests."""
    schemas = json.loads(document())["components"]["schemas"]

    assert schemas["PostView"]["properties"]["late"]["anyOf"] == [{"type": "boolean"}, {"type": "null"}]
    assert schemas["Photo"]["properties"]["sha256"]["pattern"] == "^[0-9a-f]{64}$"
    assert "retry" not in schemas["Problem"]["properties"]
