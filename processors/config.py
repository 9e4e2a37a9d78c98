"""The settings of processors: claims, retries, scaling. Only this module of the package reads the environment."""

import os
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from storage import settings
from storage.settings import SettingsError


class Config(msgspec.Struct, frozen=True, kw_only=True, rename=lambda name: f"SNAPSURGE_PROCESSORS_{name.upper()}"):
    """Worker, retries, autoscaler, sweeper."""

    # One renders on the worker's one render thread, the other reads its intake or writes its media meanwhile.
    jobs_max: Annotated[int, Meta(ge=1, le=64, description="jobs that one worker runs at the same time")] = 2
    # A far backstop: what a render may take is a budget of CPU seconds (renderer.py). The slowest pair allowed (two
    # photos of 50 MP) has about seven, so that a worker with a third of a core renders it.
    render_timeout_s: Annotated[
        float, Meta(gt=0, description="seconds of wall time before a render is stopped and its job tried again")
    ] = 20.0
    # Beside the render: the wait for the worker's render slot, a slow store and its retries.
    job_timeout_s: Annotated[float, Meta(gt=0, description="seconds for one try of one job")] = 30.0
    drain_s: Annotated[float, Meta(gt=0, description="seconds after SIGTERM for running jobs to finish")] = 35.0
    # At 50 ms and a render of 100 to 150 ms the next job is always claimed before the render thread is idle.
    poll_s: Annotated[float, Meta(gt=0, le=5, description="seconds between two polls of the queue")] = 0.05
    # Pillow was measured to hold the GIL for 0.3 s at most, so that four seconds without a beat mean a lost worker.
    lease_s: Annotated[
        float, Meta(ge=0.3, le=60, description="seconds without a heartbeat after which another worker may claim a job")
    ] = 6.0
    # Half of what the oldest job may become: there is still time for the saving to hold the target.
    degrade_s: Annotated[
        float,
        Meta(ge=0, description="seconds in the queue after which a render job leaves the `full` renditions for later"),
    ] = 30.0
    pulse_s: Annotated[
        float, Meta(gt=0, le=60, description="seconds between two status reports (pulses) of a worker in Redis")
    ] = 1.0
    retry_floor_s: Annotated[float, Meta(gt=0, description="minimum seconds before a job's next try")] = 0.2
    retry_cap_s: Annotated[float, Meta(gt=0, description="maximum seconds before a job's next try")] = 30.0
    # A fault of ours does not heal by itself: five tries tell it from a cosmic ray.
    faults_max: Annotated[
        int, Meta(ge=1, le=1000, description="tries of a job that fails unexpectedly before it is a dead letter")
    ] = 5
    # With a mean wait of half the cap, 120 tries outlive half an hour without store or Redis.
    outages_max: Annotated[
        int,
        Meta(
            ge=1, le=10_000, description="tries of a job while store or Redis is unavailable before it is a dead letter"
        ),
    ] = 120
    listen: Annotated[
        str,
        Meta(description="`host:port` of a worker's `/metrics`; the n-th worker of an autoscaler adds n; empty = none"),
    ] = ""

    workers_min: Annotated[int, Meta(ge=0, le=1024, description="minimum number of worker processes")] = 1
    workers_max: Annotated[
        int, Meta(ge=0, le=1024, description="maximum number of worker processes; 0 = one per core")
    ] = 0
    workers_warm: Annotated[
        int, Meta(ge=0, le=1024, description="number of worker processes around a moment; 0 = the maximum")
    ] = 0
    warm_lead_s: Annotated[float, Meta(ge=0, description="seconds before a moment at which those workers start")] = 60.0
    # Phones on slow uplinks finish after the window what they began in it.
    warm_hold_s: Annotated[float, Meta(ge=0, description="seconds after a moment's window for which they are kept")] = (
        30.0
    )
    drain_target_s: Annotated[float, Meta(gt=0, description="target for the age of the oldest job, in seconds")] = 60.0
    # Longer than the lull between posts on time and late ones; what Kubernetes uses too.
    scale_down_s: Annotated[
        float, Meta(ge=0, description="seconds that workers stay after the load no longer needs them")
    ] = 300.0
    utilisation: Annotated[float, Meta(gt=0, le=1, description="part of its time that a worker is planned to work")] = (
        0.7
    )
    scale_every_s: Annotated[float, Meta(gt=0, le=60, description="seconds between two scaling decisions")] = 1.0
    sweep_every_s: Annotated[
        float, Meta(gt=0, description="seconds between two sweeps of a recent moment; older ones are swept less often")
    ] = 15.0
    autoscaler_listen: Annotated[
        str, Meta(description="`host:port` of the autoscaler's `/metrics`, `/workers`, `/v1/scaling`; empty = none")
    ] = ""

    @property
    def workers_most(self) -> int:
        """The most workers there may be, one per core where nothing else is said."""
        return self.workers_max or max(os.cpu_count() or 1, self.workers_min)

    @property
    def workers_ready(self) -> int:
        """The workers there are around a moment."""
        return self.workers_warm or self.workers_most


_NAMES = {field.name: field.encode_name for field in msgspec.structs.fields(Config)}
_NAMES |= {"workers_most": _NAMES["workers_max"], "workers_ready": _NAMES["workers_warm"]}


def load(environ: Mapping[str, str] = os.environ, **given: int | None) -> Config:  # noqa: TID251 - the one place
    """The settings of this environment, with what was given on the command line (by field name) over it.

    settings.SettingsError says what is wrong.
    """
    over = {_NAMES[field]: str(value) for field, value in given.items() if value is not None}
    return checked(settings.load(Config, "PROCESSORS", {**environ, **over}))


def checked(config: Config) -> Config:
    """The same settings; SettingsError when two of them contradict each other."""
    for smaller, larger, reason in (
        ("render_timeout_s", "job_timeout_s", "else a render without end looks like an outage"),
        ("job_timeout_s", "drain_s", "else SIGTERM cuts off jobs that would have finished"),
        ("retry_floor_s", "retry_cap_s", "a floor lies below its cap"),
        ("workers_min", "workers_most", "a minimum lies below its maximum"),
        ("workers_min", "workers_ready", "a moment needs no fewer workers than no moment"),
        ("workers_ready", "workers_most", "there are never more than the maximum"),
        ("faults_max", "outages_max", "an outage deserves more patience than a fault"),
    ):
        if getattr(config, smaller) > getattr(config, larger):
            raise SettingsError(f"{_NAMES[smaller]} must not be above {_NAMES[larger]}: {reason}")
    for listen in ("listen", "autoscaler_listen"):
        try:
            address(getattr(config, listen))
        except ValueError as error:
            raise SettingsError(f"bad setting {_NAMES[listen]}: {error}") from error
    return config


def address(text: str) -> tuple[str, int] | None:
    """`host:port` taken apart, None for an empty text; ValueError when it is neither."""
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port")
    return host.strip("[]"), int(port)


def of_worker(slot: int, environ: Mapping[str, str] = os.environ) -> dict[str, str]:  # noqa: TID251 - see load
    """The environment of an autoscaler's n-th worker: its own, each with a metrics port of its own."""
    name = "SNAPSURGE_PROCESSORS_LISTEN"
    listen = address(environ.get(name, ""))
    return {**environ, name: f"{listen[0]}:{listen[1] + slot}"} if listen and listen[1] else dict(environ)
