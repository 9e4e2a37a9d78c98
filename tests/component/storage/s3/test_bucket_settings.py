"""A real MinIO whose bucket, permissions, region, clock or certificate is not as it should be: what the store says."""

import calendar
import json
import logging
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aioboto3
import pytest

from deploy import servers
from storage import suitability
from storage.blobs import StoreUnavailable, StoreUnsuitable
from storage.s3 import bucket
from storage.s3.address import S3Address
from storage.s3.store import S3Store
from tests.component.storage.s3.test_store import library
from tests.faults.rig import Server
from tests.ports import free_port

READ_ONLY = ["s3:GetObject", "s3:ListBucket"]
ALL_WE_NEED = [*READ_ONLY, "s3:PutObject", "s3:DeleteObject"]


async def versions(url: str) -> list[str]:
    """The keys of all versions and delete markers in the bucket."""
    async with library(url) as s3:
        found = await s3.list_object_versions(Bucket=S3Address.parse(url).bucket)
    return [one["Key"] for kind in ("Versions", "DeleteMarkers") for one in found.get(kind, [])]


@pytest.fixture
async def made(s3_url: str) -> AsyncIterator[Any]:
    """An operator's client of the bucket, which exists."""
    async with S3Store(S3Address.parse(s3_url)), library(s3_url) as s3:
        yield SimpleNamespace(url=s3_url, name=S3Address.parse(s3_url).bucket, s3=s3)


async def examined(url: str) -> None:
    """Open the store as a starting node does."""
    async with S3Store(S3Address.parse(url), examines=True):
        pass


async def test_in_a_bucket_that_keeps_versions_nothing_stays_of_what_was_deleted(
    made: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """No version and no marker, not even of the test of a starting node; ops are told which permissions it takes."""
    await made.s3.put_bucket_versioning(Bucket=made.name, VersioningConfiguration={"Status": "Enabled"})
    async with S3Store(S3Address.parse(made.url)) as store:
        await store.create("a7/x", b"1")
        await store.create("a7/xy", b"another")
        await store.swap("a7/x", (await store.read_tail("a7/x", 1)).mark, b"2")
        await store.create("a7/y", b"1")
        await made.s3.put_object(Bucket=made.name, Key="a7/y", Body=b"2")  # as an overwrite whose answer was lost
        assert (await versions(made.url)).count("a7/y") == 2
        await store.delete("a7/x")
        await store.delete("a7/y")
        await store.delete("a7/none")
    await examined(made.url)

    assert await versions(made.url) == ["a7/xy"]
    assert "DeleteObjectVersion" in caplog.text


def twice(url: str) -> str:
    """The same store as two endpoints."""
    [endpoint] = S3Address.parse(url).endpoints
    return url.replace(endpoint, f"{endpoint},{endpoint.replace('127.0.0.1', 'localhost')}")


async def test_only_a_store_of_several_endpoints_must_keep_versions(
    made: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A starting node enables versioning, and says so once; what was there before is replaced and deleted as ever."""

    async def status() -> str:
        return (await made.s3.get_bucket_versioning(Bucket=made.name)).get("Status", "")

    async with S3Store(S3Address.parse(made.url)) as store:
        await store.create("a7/x", b"1")
        await store.create("a7/y", b"1")
    await examined(made.url)
    assert await status() == ""
    async with S3Store(S3Address.parse(twice(made.url))):
        assert await status() == ""  # a worker leaves it to the nodes
    async with S3Store(S3Address.parse(twice(made.url)), examines=True) as store:
        assert await status() == "Enabled"
        await store.swap("a7/x", (await store.read_tail("a7/x", 1)).mark, b"2")
        assert await store.read("a7/x") == b"2"
        await store.delete("a7/y")
    await examined(twice(made.url))

    assert await versions(made.url) == ["a7/x"]
    assert caplog.text.count("keeps versions from now on") == 1


async def test_a_bucket_that_cannot_be_told_to_keep_versions_is_an_error_that_stops_nothing(
    made: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Operators are told what may be lost and what to do."""
    await limited(made, monkeypatch, ALL_WE_NEED)
    await examined(twice(made.url))
    (told,) = [one for one in caplog.records if "is not known to keep versions" in one.message]
    assert told.levelno == logging.ERROR
    assert "may lose the post; enable versioning; enabling versioning failed (403 AccessDenied)" in told.message
    assert "uploads are answered 503" not in caplog.text  # all went well


async def test_under_object_lock_posts_live_on_and_ops_are_told(s3_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Everything works; what was replaced stays as a version, which is said at start and each time."""
    name = S3Address.parse(s3_url).bucket
    async with library(s3_url) as s3:
        await s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
        rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
        await s3.put_object_lock_configuration(
            Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
        )
    await examined(s3_url)
    assert "its object lock keeps every version for 1 days" in caplog.text
    caplog.clear()
    async with S3Store(S3Address.parse(s3_url)) as store:
        await store.create("a7/x", b"pair")
        await store.swap("a7/x", (await store.read_tail("a7/x", 1)).mark, b"tombstone")
        assert await store.read("a7/x") == b"tombstone"
    assert (await versions(s3_url)).count("a7/x") == 2
    assert "could not remove version" in caplog.text


async def test_a_lifecycle_rule_that_would_lose_posts_is_refused(made: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One day before the limit it is refused, at the limit it is told."""

    async def expires(days: int) -> None:
        rule = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": days}}
        await made.s3.put_bucket_lifecycle_configuration(Bucket=made.name, LifecycleConfiguration={"Rules": [rule]})

    await expires(bucket.KEPT_DAYS_MIN - 1)
    with pytest.raises(StoreUnsuitable, match="'tidy' deletes objects after 6 days"):
        await examined(made.url)
    await expires(bucket.KEPT_DAYS_MIN)
    await examined(made.url)
    assert "'tidy' deletes posts after 7 days" in caplog.text


async def limited(made: Any, monkeypatch: pytest.MonkeyPatch, actions: list[str]) -> None:
    """From now on, stores use temporary keys that may do only this with the bucket."""
    arn = f"arn:aws:s3:::{made.name}"
    statement = {"Effect": "Allow", "Action": actions, "Resource": [arn, f"{arn}/*"]}
    endpoint = S3Address.parse(made.url).endpoints[0]
    async with aioboto3.Session().client("sts", region_name="us-east-1", endpoint_url=endpoint) as sts:
        role = await sts.assume_role(
            RoleArn="arn:aws:iam::000000000000:role/x",
            RoleSessionName="limited",
            Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
    keys = role["Credentials"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", keys["SessionToken"])


async def test_the_documented_permissions_are_enough(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that storage/s3/store.py lists, for a bucket that exists."""
    await limited(made, monkeypatch, ALL_WE_NEED)
    await examined(made.url)


@pytest.mark.parametrize("missing", ALL_WE_NEED)
async def test_a_missing_permission_stops_a_starting_node(
    made: Any, monkeypatch: pytest.MonkeyPatch, missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each of them: 403, and what to do about it, instead of a node that refuses uploads or cannot delete."""
    await limited(made, monkeypatch, [one for one in ALL_WE_NEED if one != missing])
    with pytest.raises(StoreUnavailable, match="403 AccessDenied") as refused:
        await examined(made.url)

    assert not isinstance(refused.value, StoreUnsuitable)
    assert "give the keys the permissions" in caplog.text


async def test_keys_that_become_read_only_keep_what_is_there(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Uploads are refused as unavailable; what was acknowledged is read."""
    async with S3Store(S3Address.parse(made.url)) as store:
        await store.create("a7/x", b"1")
    await limited(made, monkeypatch, READ_ONLY)
    async with S3Store(S3Address.parse(made.url)) as store:
        for change in (store.create("a7/y", b"2"), store.swap("a7/x", "mark", b"2"), store.delete("a7/x")):
            with pytest.raises(StoreUnavailable, match="403 AccessDenied"):
                await change
        assert await store.read("a7/x") == b"1"


async def test_a_bucket_deleted_in_mid_run_is_named(made: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Each call is unavailable, none says that an object is missing; ops are told that the bucket was deleted."""
    async with S3Store(S3Address.parse(made.url)) as store:
        await store.create("a7/x", b"1")
        mark = (await store.read_tail("a7/x", 1)).mark
        await store.delete("a7/x")
        await made.s3.delete_bucket(Bucket=made.name)
        calls = (
            store.create("a7/x", b"1"),
            store.swap("a7/x", mark, b"1"),
            store.read("a7/x"),
            store.read_range("a7/x", 0, 1),
            store.read_tail("a7/x", 1),
            anext(store.list("a7/")),
            store.probe(),
        )
        for call in calls:
            with pytest.raises(StoreUnavailable):
                await call

    assert "404 NoSuchBucket" in caplog.text
    assert "the bucket was deleted" in caplog.text


@pytest.mark.parametrize("ahead_s", [-1203, 1203])
async def test_a_clock_that_is_off_is_named(
    made: Any, ahead_s: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At start and in mid-run: unavailable, with the store's reason, and the clock as what to mend; then it works."""
    shifted = SimpleNamespace(gmtime=lambda: time.gmtime(time.time() + ahead_s), strftime=time.strftime)
    async with S3Store(S3Address.parse(made.url)) as store:
        await store.create("a7/x", b"1")
        with monkeypatch.context() as patch:
            patch.setattr("storage.s3.objects.time", shifted)
            for call in (store.create("a7/y", b"2"), store.read("a7/x"), store.probe()):
                with pytest.raises(StoreUnavailable, match="RequestTimeTooSkewed"):
                    await call
            with pytest.raises(StoreUnavailable, match="RequestTimeTooSkewed"):
                await examined(made.url)
        await store.create("a7/y", b"2")
        assert await store.read("a7/x") == b"1"

    assert "set this machine's clock" in caplog.text
    assert calendar.timegm(shifted.gmtime()) - time.time() == pytest.approx(ahead_s, abs=60)


async def minio(folder: Path, environment: dict[str, str], *words: str) -> tuple[Server, int]:
    """Another MinIO; the caller kills it."""
    port = free_port()
    command = servers.minio_command(port, free_port(), folder / "data")
    server = Server(port, [*command, *words], folder / "minio.log", servers.minio_environment() | environment)
    await server.start()
    return server, port


@pytest.mark.usefixtures("minio_url")  # the keys of the environment
async def test_a_wrong_region_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Refused at start, with the region that the store has."""
    server, port = await minio(tmp_path, {"MINIO_SITE_REGION": "eu-west-1"})
    try:
        url = f"s3://region?endpoint=http://127.0.0.1:{port}&region="
        with pytest.raises(StoreUnavailable, match="400 AuthorizationHeaderMalformed"):
            await examined(f"{url}us-east-1")
        assert "name the bucket's region" in caplog.text
        await examined(f"{url}eu-west-1")
    finally:
        server.kill()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for loopback, its key beside it, as MinIO wants them."""
    made, key = tmp_path / "public.crt", tmp_path / "private.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-days", "2"]
    try:
        subprocess.run([*command, "-keyout", str(key), "-out", str(made)], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    return made


@pytest.mark.usefixtures("minio_url")
async def test_tls_to_the_store_needs_its_authority(
    tmp_path: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With AWS_CA_BUNDLE it works as without TLS; without, and with a bad file, the reason is named."""
    server, port = await minio(tmp_path, {}, "--certs-dir", str(tmp_path))
    try:
        store = S3Store(S3Address("tls", (f"https://127.0.0.1:{port}", f"https://localhost:{port}"), "us-east-1"))
        with pytest.raises(StoreUnavailable, match="certificate verify failed"):
            await store.__aenter__()
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.crt"))
        with pytest.raises(StoreUnavailable, match="AWS_CA_BUNDLE cannot be used"):
            await store.__aenter__()
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        async with store:
            await suitability.check(store)
            await store.create("a7/x", bytes(300_000))
            assert await store.read("a7/x") == bytes(300_000)
    finally:
        server.kill()
