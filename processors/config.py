"""The settings of processors: claims, retries, scaling. Only this module of the package reads the environment."""

import os
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from storage import settings
from storage.photo import formats
from storage.settings import SettingsError


class Config(msgspec.Struct, frozen=True, kw_only=True, rename=lambda name: f"SNAPSURGE_PROCESSORS_{name.upper()}"):
    """The settings of the worker, its retries, the autoscaler and the sweeper."""

    # A worker's own memory has room for pairs of this size.
    photo_bytes_max: Annotated[int, Meta(ge=1, description="bytes of one photo, as nodes accept it")] = msgspec.field(
        name="SNAPSURGE_INGEST_PHOTO_BYTES_MAX", default=formats.BYTES_MAX
    )
    # While one job renders in the render process, the other reads its intake object or writes its media object.
    jobs_max: Annotated[int, Meta(ge=1, le=64, description="jobs that one worker runs at the same time")] = 2
    # Only a backstop: the real limit is the budget of CPU seconds (renderer.py). The slowest allowed pair (two photos
    # of 50 MP) has a budget of about seven, so that a worker with a third of a core can render it.
    render_timeout_s: Annotated[
        float, Meta(gt=0, description="seconds of wall time before a render is stopped and its job tried again")
    ] = 20.0
    # Includes the render, the wait for the worker's render slot, and a slow store with its retries.
    job_timeout_s: Annotated[float, Meta(gt=0, description="seconds for one try of one job")] = 30.0
    drain_s: Annotated[float, Meta(gt=0, description="seconds after SIGTERM for running jobs to finish")] = 35.0
    # A new job wakes an idle worker at once (storage/queue/bell.py), and a claim says when the next job is due.
    poll_s: Annotated[
        float, Meta(gt=0, le=5, description="longest time between two claims of an idle worker, in seconds")
    ] = 2.0
    # Pillow holds the GIL for at most 0.3 s (measured), so four seconds without a heartbeat mean a lost worker.
    lease_s: Annotated[
        float, Meta(ge=0.3, le=60, description="seconds without a heartbeat after which another worker may claim a job")
    ] = 6.0
    # Half of `drain_target_s`: early enough that cheaper renders can still keep the target.
    degrade_s: Annotated[
        float,
        Meta(ge=0, description="seconds in the queue after which a render job leaves the `full` renditions for later"),
    ] = 30.0
    pulse_s: Annotated[
        float, Meta(gt=0, le=60, description="seconds between two status reports (pulses) of a worker in Redis")
    ] = 1.0
    retry_floor_s: Annotated[float, Meta(gt=0, description="minimum seconds before a job's next try")] = 0.2
    retry_cap_s: Annotated[float, Meta(gt=0, description="maximum seconds before a job's next try")] = 30.0
    # A fault in our code does not pass by itself; five tries distinguish it from a random error.
    faults_max: Annotated[
        int, Meta(ge=1, le=1000, description="tries of a job that fails unexpectedly before it is a dead letter")
    ] = 5
    # The mean delay is half of `retry_cap_s`, so 120 tries last for an outage of half an hour.
    outages_max: Annotated[
        int,
        Meta(
            ge=1, le=10_000, description="tries of a job while store or Redis is unavailable before it is a dead letter"
        ),
    ] = 120
    listen: Annotated[
        str,
        Meta(description="`host:port` of a worker's `/metrics`; an autoscaler's n-th worker adds n; empty = none"),
    ] = ""

    workers_min: Annotated[int, Meta(ge=0, le=1024, description="minimum number of worker processes")] = 1
    workers_max: Annotated[
        int, Meta(ge=0, le=1024, description="maximum number of worker processes; 0 = one per core")
    ] = 0
    workers_warm: Annotated[
        int, Meta(ge=0, le=1024, description="number of worker processes around a moment; 0 = the maximum")
    ] = 0
    warm_lead_s: Annotated[float, Meta(ge=0, description="seconds before a moment at which WORKERS_WARM start")] = 60.0
    # Phones on slow uplinks finish their uploads after the window.
    warm_hold_s: Annotated[float, Meta(ge=0, description="seconds after a moment's window for which they stay")] = 30.0
    drain_target_s: Annotated[float, Meta(gt=0, description="target for the age of the oldest job, in seconds")] = 60.0
    ladder_file: Annotated[
        str,
        Meta(
            description="file with the ladder of a moment, as `bench plan --json` prints it: nodes, balancers and "
            "workers by seconds from the moment; empty = none"
        ),
    ] = ""
    # Longer than the pause between posts on time and late posts; also Kubernetes' default.
    scale_down_s: Annotated[
        float, Meta(ge=0, description="seconds that workers stay after the load no longer needs them")
    ] = 300.0
    utilisation: Annotated[float, Meta(gt=0, le=1, description="target utilisation of a worker, up to 1")] = 0.7
    scale_every_s: Annotated[float, Meta(gt=0, le=60, description="seconds between two scaling decisions")] = 1.0
    sweep_every_s: Annotated[
        float, Meta(gt=0, description="seconds between two sweeps of a recent moment; older ones are swept less often")
    ] = 15.0
    otlp_url: Annotated[
        str,
        Meta(description="OTLP/HTTP address for spans of pairs, as http://collector:4318/v1/traces; empty = none"),
    ] = ""
    # Failed and slow pairs are sent in any case; slow is what took longer than `drain_target_s`.
    otlp_every: Annotated[int, Meta(ge=1, description="send the spans of 1 of every N pairs")] = 1000
    autoscaler_listen: Annotated[
        str,
        Meta(description="`host:port` of the autoscaler's `/metrics`, `/v1/scaling`, `/v1/targets`; empty = none"),
    ] = ""

    @property
    def workers_most(self) -> int:
        """The maximum number of workers: `workers_max`, or one per core when that is 0."""
        return self.workers_max or max(os.cpu_count() or 1, self.workers_min)

    @property
    def workers_ready(self) -> int:
        """The number of workers around a moment: `workers_warm`, or the maximum when that is 0."""
        return self.workers_warm or self.workers_most


_NAMES = {field.name: field.encode_name for field in msgspec.structs.fields(Config)}
_NAMES |= {"workers_most": _NAMES["workers_max"], "workers_ready": _NAMES["workers_warm"]}


def load(environ: Mapping[str, str] = os.environ, **given: int | None) -> Config:  # noqa: TID251 - the one place
    """The settings from the environment; values in `given` (field names, from the command line) take precedence.

    Raises settings.SettingsError when a setting is unknown or invalid.
    """
    over = {_NAMES[field]: str(value) for field, value in given.items() if value is not None}
    return checked(settings.load(Config, "PROCESSORS", {**environ, **over}))


def checked(config: Config) -> Config:
    """Return the settings unchanged; SettingsError when two of them contradict each other."""
    for smaller, larger, reason in (
        (
            "render_timeout_s",
            "job_timeout_s",
            "a hanging render must reach its own timeout before the job's, which counts as an outage",
        ),
        ("job_timeout_s", "drain_s", "else SIGTERM cuts off jobs that would have finished"),
        ("retry_floor_s", "retry_cap_s", "the minimum must not exceed the maximum"),
        ("workers_min", "workers_most", "the minimum must not exceed the maximum"),
        ("workers_min", "workers_ready", "the number of workers for a moment must be at least the minimum"),
        ("workers_ready", "workers_most", "there are never more than the maximum"),
        ("faults_max", "outages_max", "outages must be retried at least as often as faults"),
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
    """Parse `host:port`; None for an empty text, ValueError when the text is malformed."""
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 <= int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port")
    return host.strip("[]"), int(port)


def of_worker(slot: int, environ: Mapping[str, str] = os.environ) -> dict[str, str]:  # noqa: TID251 - see load
    """The environment of an autoscaler's n-th worker: a copy of `environ`, with n added to the metrics port."""
    name = "SNAPSURGE_PROCESSORS_LISTEN"
    listen = address(environ.get(name, ""))
    return {**environ, name: f"{listen[0]}:{listen[1] + slot}"} if listen and listen[1] else dict(environ)
