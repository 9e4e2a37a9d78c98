"""storage.s3.bucket: settings of a bucket that lose posts are refused, others that matter are told."""

import pytest

from storage.blobs import StoreUnsuitable
from storage.s3 import bucket

HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
SPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def rules(*inside: str, status: str = "Enabled") -> dict[str, bytes]:
    """A lifecycle configuration."""
    made = "".join(f"<Rule><ID>mine</ID><Status>{status}</Status>{one}</Rule>" for one in inside)
    return {"lifecycle": f"{HEAD}<LifecycleConfiguration {SPACE}>{made}</LifecycleConfiguration>".encode()}


def expires(days: int, filtered: str = "<Filter><Prefix></Prefix></Filter>") -> str:
    """A rule's end."""
    return f"{filtered}<Expiration><Days>{days}</Days></Expiration>"


@pytest.mark.parametrize(
    "inside",
    [
        expires(bucket.KEPT_DAYS_MIN - 1),
        expires(1, ""),
        expires(1, "<Prefix>a</Prefix>"),
        expires(1, "<Filter><And><Prefix>a7/intake/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter>"),
        expires(1, "<Filter><Prefix>moments/</Prefix></Filter>"),
        "<Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>",
    ],
)
def test_a_rule_that_deletes_posts_too_early_is_refused(inside: str) -> None:
    """All objects, a spread's, a folder's, the moments; by age or from a date on. The rule is named."""
    with pytest.raises(StoreUnsuitable, match="lifecycle rule 'mine'"):
        list(bucket.warnings(rules(inside)))


def test_a_rule_that_waits_long_enough_is_told() -> None:
    """It deletes posts, which someone may want."""
    assert list(bucket.warnings(rules(expires(bucket.KEPT_DAYS_MIN)))) == [
        "its lifecycle rule 'mine' deletes posts after 7 days"
    ]


@pytest.mark.parametrize(
    "documents",
    [
        {},
        rules(),
        rules(expires(1), status="Disabled"),
        rules(expires(1, "<Filter><Prefix>backups/</Prefix></Filter>")),
        rules("<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>"),
        rules("<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"),
        {"lifecycle": b"no XML"},
        {"versioning": f"<VersioningConfiguration {SPACE}/>".encode()},
        {"object-lock": f"<ObjectLockConfiguration {SPACE}/>".encode()},
    ],
)
def test_what_does_no_harm_is_not_told(documents: dict[str, bytes]) -> None:
    """No settings, rules that are off or for other keys or for old versions."""
    assert list(bucket.warnings(documents)) == []


def test_versions_and_locks_are_told() -> None:
    """What stays of a deleted post, and which permissions are needed."""
    versioning = f"<VersioningConfiguration {SPACE}><Status>Enabled</Status></VersioningConfiguration>".encode()
    lock = (
        f"<ObjectLockConfiguration {SPACE}><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>"
        "<Mode>GOVERNANCE</Mode><Days>30</Days></DefaultRetention></Rule></ObjectLockConfiguration>"
    ).encode()

    (told,) = bucket.warnings({"versioning": versioning})
    assert "DeleteObjectVersion" in told
    (told,) = bucket.warnings({"versioning": versioning, "object-lock": lock})
    assert "for 30 days" in told
    assert list(bucket.warnings({"versioning": versioning}, several=True)) == []
    for document, begin in (
        (f"<VersioningConfiguration {SPACE}/>", "it keeps no versions: "),
        (
            f"<VersioningConfiguration {SPACE}><Status>Suspended</Status></VersioningConfiguration>",
            "its versioning is sus",
        ),
        ("<Error><Code>AccessDenied</Code></Error>", "it is not known to keep versions: "),
    ):
        (told,) = bucket.warnings({"versioning": document.encode()}, several=True)
        assert told.startswith(begin)
        assert told in bucket.KEEPS_NONE
    assert set(bucket.warnings({}, several=True)) < bucket.KEEPS_NONE


def test_only_a_bucket_whose_versioning_is_enabled_keeps_versions() -> None:
    """What we send says so; never set, suspended, refused and damaged do not."""
    assert bucket.keeps_versions(bucket.KEEP_VERSIONS)
    for inside in ("", "<Status>Suspended</Status>"):
        assert not bucket.keeps_versions(
            f"<VersioningConfiguration {SPACE}>{inside}</VersioningConfiguration>".encode()
        )
    assert not bucket.keeps_versions(b"<Error><Code>AccessDenied</Code></Error>")
    assert not bucket.keeps_versions(b"no XML")
