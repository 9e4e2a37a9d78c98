"""A prediction is scored only by a run of its own trace, fleet and code, and only if it was sealed before."""

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.prediction import sealed
from bench.prediction.sealed import PredictionError
from tests.unit.bench.prediction.predictions import BEGAN, FLEET, KNOWN, against, prediction


def test_a_prediction_of_this_run_is_accepted() -> None:
    """Sealed before, of this trace, stack and code."""
    sealed.check(prediction(), against())


@pytest.mark.parametrize(
    ("run", "why"),
    [
        ({"began": dt.datetime(2026, 11, 30, 11, 59, tzinfo=dt.UTC)}, "after the run began"),
        ({"began": dt.datetime(2026, 12, 7, 11, 59, 1, tzinfo=dt.UTC)}, "more than 7 days ago"),
        ({"trace_sha256": "bb"}, "another trace"),
        ({"scale": 2.0}, "another trace"),
        ({"code": "ee"}, "other code"),
        ({"settings": KNOWN | {"nodes": "4"}}, "3 nodes, the stack 4"),
        ({"settings": KNOWN | {"balancers": "1"}}, "2 balancers, the stack 1"),
        ({"settings": {"balancers": "2", "nodes": "3"}}, "IN_FLIGHT_BYTES_MAX is 33554432 in it, not set in"),
        ({"settings": KNOWN | {"SNAPSURGE_PROCESSORS_DEGRADE_S": "1"}}, "DEGRADE_S is not set in it, 1 in"),
        ({"settings": KNOWN | {"SNAPSURGE_LB_RING_SEED": "x"}}, "RING_SEED is not set in it, x in"),
        ({"settings": {}}, "nothing is known"),
        ({"cores": 4}, "2 cores, this machine 4"),
    ],
)
def test_a_prediction_of_another_run_is_refused(run: dict[str, Any], why: str) -> None:
    """And the text says what differs."""
    with pytest.raises(PredictionError, match=why):
        sealed.check(prediction(), against(**run))


@pytest.mark.parametrize("sealed_at", ["yesterday", "2026-11-30T11:59:00"])
def test_a_prediction_without_the_time_of_its_seal_is_refused(sealed_at: str, tmp_path: Path) -> None:
    """A time without a zone may be any hour."""
    file = tmp_path / "sealed.json"
    sealed.seal(file, prediction(sealed_at=sealed_at))
    with pytest.raises(PredictionError, match=rf"sealed\.json: sealed_at {sealed_at}: "):
        sealed.read(file)


def test_a_prediction_is_good_for_a_week() -> None:
    """To the second."""
    sealed.check(prediction(), against(began=dt.datetime(2026, 12, 7, 11, 59, tzinfo=dt.UTC)))


def test_a_fleet_that_has_a_setting_is_of_a_stack_that_has_it() -> None:
    """Also one that the simulation does not look at."""
    more = {"SNAPSURGE_PROCESSORS_JOBS_MAX": "7"}
    fleet = msgspec.structs.replace(FLEET, settings=FLEET.settings | more)
    with pytest.raises(PredictionError, match="JOBS_MAX is 7 in it, not set in the stack"):
        sealed.check(prediction(fleet=fleet), against())
    sealed.check(prediction(fleet=fleet), against(settings=KNOWN | more))


def edits(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What somebody might change by hand, by name."""
    fleet = content["fleet"] | {"settings": {"SNAPSURGE_PROCESSORS_JOBS_MAX": "7"}}
    figures = content["figures"] | {"ready_p50_ms": {"p10": 1.0, "p50": 2.0, "p90": 3.0}}
    return {
        "figures": content | {"figures": figures},
        "no figures": content | {"figures": {}},
        "sealed_at": content | {"sealed_at": "2026-11-30T11:58:00+00:00"},
        "costs": content | {"costs": "forged"},
        "fleet": content | {"fleet": fleet},
        "axes": content | {"axes": {}},
        "more": content | {"note": "x"},
        "digest": content | {"digest": "0" * 64},
    }


@pytest.mark.parametrize("what", ["figures", "no figures", "sealed_at", "costs", "fleet", "axes", "more", "digest"])
def test_a_prediction_that_was_edited_is_refused(what: str, tmp_path: Path) -> None:
    """Whatever was changed; another order and other spaces are no change."""
    file = tmp_path / "sealed.json"
    sealed.seal(file, prediction())
    content = msgspec.json.decode(file.read_bytes())
    file.write_bytes(msgspec.json.encode(dict(reversed(content.items()))))
    assert sealed.read(file) == prediction()
    file.write_bytes(msgspec.json.encode(edits(content)[what]))
    with pytest.raises(PredictionError, match=r"sealed\.json is not as it was sealed"):
        sealed.read(file)


def test_a_prediction_without_a_digest_is_refused(tmp_path: Path) -> None:
    """Such as `simulate --json` prints."""
    file = tmp_path / "sealed.json"
    file.write_bytes(msgspec.json.encode(prediction()))
    with pytest.raises(PredictionError, match=r"sealed\.json has no digest"):
        sealed.read(file)


def test_a_setting_at_its_default_is_no_difference() -> None:
    """A stack that spells a default has the fleet's value."""
    sealed.check(prediction(), against(settings=KNOWN | {"SNAPSURGE_LB_BOUND_PERCENT": "125"}))


def test_the_file_has_the_form_of_the_contract(tmp_path: Path) -> None:
    """`sealed_at`, `trace_sha256`, `fleet`, `code` and figures of three percentiles; it reads back as it was."""
    file = tmp_path / "sealed.json"
    sealed.seal(file, prediction())
    content = msgspec.json.decode(file.read_bytes())
    assert {"sealed_at", "trace_sha256", "fleet", "code", "figures"} <= content.keys()
    assert content["figures"]["accepted"] == {"p10": 900.0, "p50": 1000.0, "p90": 1100.0}
    assert sealed.read(file) == prediction()


def test_what_is_no_prediction_is_refused(tmp_path: Path) -> None:
    """A missing file and another JSON, in one line each."""
    with pytest.raises(PredictionError, match="No such file"):
        sealed.read(tmp_path / "missing")
    (tmp_path / "other").write_text("{}")
    with pytest.raises(PredictionError, match="sealed_at"):
        sealed.read(tmp_path / "other")


def test_a_run_that_is_about_to_begin_has_this_code() -> None:
    """The hash is that of the tree."""
    now = sealed.against_now("aa", 1.0, KNOWN, 2)
    before = (now.began - dt.timedelta(hours=1)).isoformat()
    assert now.began > BEGAN - dt.timedelta(days=3650)
    with pytest.raises(PredictionError, match="other code"):
        sealed.check(prediction(sealed_at=before), now)
    sealed.check(prediction(code=now.code, sealed_at=before, fleet=FLEET), now)
