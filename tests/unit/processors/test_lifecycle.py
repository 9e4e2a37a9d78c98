"""The printed rules fit the keys of posts, and a bucket that has them is one that a node accepts."""

import msgspec
import pytest

import storage.config
from processors.lifecycle import DIGITS, rules, run
from storage import keys
from storage.config import MOMENT_DAYS_MIN
from storage.s3.bucket import warnings
from storage.settings import SettingsError

RULE = "<Rule><ID>{ID}</ID><Status>{Status}</Status><Filter><Prefix>{prefix}</Prefix></Filter><Expiration><Days>{days}</Days></Expiration></Rule>"  # noqa: E501 - one document


def test_every_post_has_a_rule_and_no_moment_has_one() -> None:
    """Sixteen prefixes, each of sixteen spreads."""
    post = keys.post_id("eu-20260131-abcdefgh", "ann")

    for key in (keys.intake("eu-20260131-abcdefgh", post), keys.media("eu-20260131-abcdefgh", post)):
        assert sum(key.startswith(digit) for digit in DIGITS) == 1
    assert not keys.moment("eu-20260131-abcdefgh").startswith(tuple(DIGITS))
    assert all(spread.startswith(tuple(DIGITS)) for spread in keys.SPREADS)


def test_a_node_accepts_a_bucket_with_these_rules() -> None:
    """The shortest time that can be set is longer than the shortest that a node accepts."""
    made = rules(MOMENT_DAYS_MIN)["Rules"]
    assert isinstance(made, list)
    text = "".join(RULE.format(**one, prefix=one["Filter"]["Prefix"], days=one["Expiration"]["Days"]) for one in made)

    told = list(warnings({"lifecycle": f"<LifecycleConfiguration>{text}</LifecycleConfiguration>".encode()}))

    assert len(told) == len(DIGITS)


def test_no_version_stays_in_a_bucket_that_keeps_versions() -> None:
    """There an expired object is hidden, not removed: its photos would stay for ever."""
    made = rules(30)["Rules"]
    assert isinstance(made, list)
    assert [one["NoncurrentVersionExpiration"] for one in made] == [{"NoncurrentDays": 1}] * len(DIGITS)


def test_rules_are_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 0; without a number of days there is no rule: exit 2, and why."""
    assert run(storage.config.Config(moment_days=30)) == 0
    assert msgspec.json.decode(capsys.readouterr().out) == rules(30)
    assert run(storage.config.Config()) == 2
    assert "SNAPSURGE_STORAGE_MOMENT_DAYS" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "least"), [("INTAKE", 3), ("MOMENT", 8)])
def test_days_that_are_too_few_are_refused(name: str, least: int) -> None:
    """The limit from both sides, and 0."""
    setting = f"SNAPSURGE_STORAGE_{name}_DAYS"
    for days in (0, least):
        storage.config.load({setting: str(days)})
    for days in (1, least - 1, -1):
        with pytest.raises(SettingsError, match=setting):
            storage.config.load({setting: str(days)})
