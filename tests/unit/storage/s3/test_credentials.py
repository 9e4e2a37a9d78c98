"""Keys: the environment's as they are, else botocore's, else a clear word."""

from pathlib import Path

import pytest

from storage.blobs import StoreUnavailable
from storage.config import AwsVariables, aws
from storage.s3.credentials import found
from storage.s3.signing import Keys


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment in which botocore looks into one folder only; the folder."""
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "CA_BUNDLE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path


async def test_keys_of_the_environment_are_taken_as_they_are() -> None:
    """With and without a session."""
    for token in ("", "session"):
        keys, trusted = await found(AwsVariables(access_key_id="a", secret_access_key="s", session_token=token))
        assert await keys() == Keys("a", "s", token or None)
        assert trusted == ""


async def test_other_keys_are_found_by_botocore(no_keys: Path) -> None:
    """Here in the file that its users know; half a pair in the environment is none."""
    (no_keys / "credentials").write_text("[default]\naws_access_key_id = file\naws_secret_access_key = secret\n")
    (no_keys / "config").write_text("[default]\nca_bundle = /etc/ours.pem\n")
    keys, trusted = await found(AwsVariables(access_key_id="half"))

    assert await keys() == Keys("file", "secret", None)
    assert trusted == "/etc/ours.pem"


@pytest.mark.usefixtures("no_keys")
async def test_no_keys_at_all_is_said() -> None:
    """With the names of the variables to set."""
    with pytest.raises(StoreUnavailable, match="AWS_SECRET_ACCESS_KEY"):
        await found(AwsVariables())


@pytest.mark.parametrize("half", [False, True])
async def test_keys_that_botocore_cannot_read_are_said(
    no_keys: Path, monkeypatch: pytest.MonkeyPatch, *, half: bool
) -> None:
    """A profile that does not exist, or half a pair in its file; the text is botocore's."""
    (no_keys / "credentials").write_text("[default]\naws_access_key_id = file\n")
    if not half:
        monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(StoreUnavailable, match=r"no keys for the store: (Partial|The config profile)"):
        await found(AwsVariables())


def test_the_variables_are_those_that_everybody_uses() -> None:
    """Others are not ours to read."""
    environ = {"AWS_ACCESS_KEY_ID": "a", "AWS_CA_BUNDLE": "/x.pem", "HOME": "/root"}

    assert aws(environ) == AwsVariables(access_key_id="a", ca_bundle="/x.pem")
