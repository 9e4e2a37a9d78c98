"""Settings of the worker tier: limits, relations, and what a worker of the autoscaler gets."""

import pytest

from processors.config import Config, address, load, of_worker
from storage.settings import SettingsError


def test_the_defaults_agree_with_each_other() -> None:
    """An empty environment is a good one."""
    config = load({})

    assert config == Config()
    assert config.workers_most >= 1
    assert config.workers_ready == config.workers_most


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JOBS_MAX", "0"),
        ("JOB_TIMEOUT_S", "36"),
        ("RENDER_TIMEOUT_S", "31"),
        ("RETRY_FLOOR_S", "31"),
        ("LEASE_S", "0.2"),
        ("DEGRADE_S", "-1"),
        ("FAULTS_MAX", "121"),
        ("WORKERS_MIN", "many"),
        ("UTILISATION", "1.5"),
        ("LISTEN", "9090"),
        ("AUTOSCALER_LISTEN", "localhost:ninety"),
        ("WORKERS", "3"),
    ],
)
def test_a_bad_setting_is_named(name: str, value: str) -> None:
    """Out of its limits, against another one, or unknown: the error says which."""
    with pytest.raises(SettingsError, match=f"SNAPSURGE_PROCESSORS_{name}"):
        load({f"SNAPSURGE_PROCESSORS_{name}": value})


def test_the_command_line_goes_over_the_environment() -> None:
    """What is given wins; what is not given stays."""
    environ = {"SNAPSURGE_PROCESSORS_WORKERS_MIN": "2", "SNAPSURGE_PROCESSORS_WORKERS_MAX": "4"}
    config = load(environ, workers_min=3, workers_max=None)

    assert (config.workers_min, config.workers_most) == (3, 4)
    with pytest.raises(SettingsError, match="WORKERS_MIN must not be above SNAPSURGE_PROCESSORS_WORKERS_MAX"):
        load(environ, workers_min=5)
    with pytest.raises(SettingsError, match="WORKERS_MAX"):
        load(environ, workers_max=-1)


def test_addresses() -> None:
    """host:port, or nothing."""
    assert address("") is None
    assert address("127.0.0.1:9300") == ("127.0.0.1", 9300)
    assert address("[::1]:9300") == ("::1", 9300)


def test_each_worker_listens_on_a_port_of_its_own() -> None:
    """The n-th worker adds n to the port; other settings pass unchanged, and port 0 stays 0."""
    name = "SNAPSURGE_PROCESSORS_LISTEN"

    assert of_worker(2, {name: "127.0.0.1:9300", "A": "b"}) == {name: "127.0.0.1:9302", "A": "b"}
    assert of_worker(2, {name: "127.0.0.1:0"}) == {name: "127.0.0.1:0"}
    assert of_worker(2, {"A": "b"}) == {"A": "b"}
