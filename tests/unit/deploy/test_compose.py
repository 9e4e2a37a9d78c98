"""The Dockerfile and compose.yaml, read as data: they name programs, settings and ports that exist.

There may be no container engine where this runs; what only one can tell is left to it.
"""

import importlib
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from deploy.servers import MINIO_MODULE

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if service["image"] == "snapsurge")


def settings_of(*packages: str) -> set[str]:
    """The names in the environment that these packages read."""
    return {
        field.encode_name
        for package in packages
        for field in msgspec.structs.fields(importlib.import_module(f"{package}.config").Config)
    }


def test_the_stack_is_that_of_up() -> None:
    """Two balancers, three nodes, workers, Redis, MinIO."""
    assert sorted(SERVICES) == ["lb-1", "lb-2", "minio", "node-a", "node-b", "node-c", "redis", "workers"]
    ids = {SERVICES[name]["command"][-1] for name in SERVICES if name.startswith("node-")}
    assert ids == {"a", "b", "c"}


@pytest.mark.parametrize("name", OURS)
def test_commands_and_settings_exist(name: str) -> None:
    """Each service runs a program of ours with settings that this program knows."""
    service = SERVICES[name]
    python, module, package, *_ = service["command"]
    assert (python, module) == ("python", "-m")
    assert (ROOT / package / "__main__.py").exists()
    given = {key for key in service["environment"] if key.startswith("SNAPSURGE_")}
    assert given <= settings_of(package) | (settings_of("storage") if package != "lb" else set()) | {
        "SNAPSURGE_AUTH_SECRET",
        "SNAPSURGE_AUTH_SECRET_PREVIOUS",
    }


@pytest.mark.parametrize("name", OURS)
def test_health_is_asked_where_the_program_listens(name: str) -> None:
    """The port of the health check is one of the ports that the service is told to open."""
    service = SERVICES[name]
    asked = re.search(r"127\.0\.0\.1:(\d+)", service["healthcheck"]["test"][-1])
    opened = re.findall(r"0\.0\.0\.0:(\d+)", " ".join([*service["command"], *service["environment"].values()]))
    assert asked
    assert asked.group(1) in opened


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_watched_and_may_drain(name: str) -> None:
    """A health check, a restart policy, and more time to stop than the program gives itself."""
    service = SERVICES[name]
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    assert int(service["stop_grace_period"].removesuffix("s")) >= (45 if name in OURS else 30)


def test_every_program_is_found_by_prometheus() -> None:
    """The autoscaler serves what there is, and everything that it names listens beyond its own loopback."""
    listens = SERVICES["workers"]["environment"]
    assert listens["SNAPSURGE_PROCESSORS_AUTOSCALER_LISTEN"] == "0.0.0.0:9100"
    assert listens["SNAPSURGE_PROCESSORS_LISTEN"] == "0.0.0.0:0"
    for name in OURS:
        if name != "workers":
            command, option = SERVICES[name]["command"], "--admin" if name.startswith("lb-") else "--listen"
            assert command[command.index(option) + 1].startswith("0.0.0.0:")


def test_balancers_are_published_as_the_contract_says() -> None:
    """8080 and 8081 on the host, each to the port that the balancer listens on."""
    assert [SERVICES[name]["ports"] for name in ("lb-1", "lb-2")] == [["8080:8080"], ["8081:8080"]]
    assert not [name for name in SERVICES if "ports" in SERVICES[name] and not name.startswith("lb-")]


def test_nodes_believe_stamps_and_no_network() -> None:
    """Not even that one: they believe stamps of the secret that balancers have."""
    secrets = {SERVICES[name]["environment"]["SNAPSURGE_LB_STAMP_SECRET"] for name in ("lb-1", "lb-2")}
    for name in ("node-a", "node-b", "node-c"):
        assert SERVICES[name]["environment"]["SNAPSURGE_INGEST_TRUSTED_PEERS"] == ""
        secrets.add(SERVICES[name]["environment"]["SNAPSURGE_INGEST_STAMP_SECRET"])
    assert len(secrets) == 1


def test_nothing_asks_for_a_young_engine() -> None:
    """Debian has Engine 20.10 and Compose 1.29: `start_interval` and `name` make it refuse the whole file."""
    assert "name" not in COMPOSE
    assert not [name for name in SERVICES if "start_interval" in SERVICES[name]["healthcheck"]]


def test_minio_is_asked_as_it_answers() -> None:
    """HTTP/1.1 with Host: what the pinned MinIO answers with 400 is never healthy."""
    request = SERVICES["minio"]["healthcheck"]["test"][-1]

    assert "HTTP/1.1\\r\\nHost: " in request


def test_secrets_come_from_the_environment() -> None:
    """No secret has a value here, and a missing one stops the start, but for those that may be empty."""
    for service in SERVICES.values():
        for key, value in service.get("environment", {}).items():
            if key in {"SNAPSURGE_AUTH_SECRET_PREVIOUS", "SNAPSURGE_INGEST_LINK_SECRET"}:
                assert value == f"${{{key}-}}"
            elif re.search("SECRET|PASSWORD|SEED", key):
                assert re.fullmatch(r"\$\{\w+:\?.+\}", value), key


def test_redis_keeps_what_it_was_told() -> None:
    """A file of every write, and no eviction: jobs are no cache."""
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_the_image_holds_what_serves_and_runs_as_nobody_special() -> None:
    """Hashed dependencies, no root, no module from the working directory."""
    assert "--require-hashes" in DOCKERFILE
    assert "PYTHONPATH=/app PYTHONSAFEPATH=1" in DOCKERFILE
    final = DOCKERFILE.rsplit("FROM ", maxsplit=1)[1]
    assert "\nUSER snapsurge\n" in final


def test_targets_of_the_build_exist() -> None:
    """What compose.yaml builds are stages of the Dockerfile."""
    stages = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
    assert {service["build"]["target"] for service in SERVICES.values() if "build" in service} <= stages


def test_the_image_builds_the_same_minio_as_make() -> None:
    """One version, wherever it runs."""
    assert f"go install {MINIO_MODULE}\n" in DOCKERFILE
