"""The settings of bench. No other module of bench reads the environment, and this module reads it once.

Names are `SNAPSURGE_BENCH_<FIELD>`; the secret is shared by all tiers. Command-line options default to these
values. A misspelt `SNAPSURGE_` name is an error; otherwise a setting could be ignored silently.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from .errors import BenchError

DEVELOPMENT_SECRET: Final = "snapsurge-development-secret-not-for-production"  # noqa: S105 -- public on purpose
PREFIX: Final = "SNAPSURGE_"
OWN: Final = "SNAPSURGE_BENCH_"
TIERS: Final = frozenset({"LB", "INGEST", "PROCESSORS", "STORAGE", "BENCH", "DEPLOY"})
SHARED: Final = frozenset(
    {
        *("SNAPSURGE_STORE_URL", "SNAPSURGE_REDIS_URL", "SNAPSURGE_SHARD_URLS", "SNAPSURGE_QUEUE_URLS"),
        *("SNAPSURGE_AUTH_SECRET", "SNAPSURGE_AUTH_SECRET_PREVIOUS"),
    }
)


class ConfigError(BenchError):
    """A setting in the environment is invalid; the text is one line and names the variable."""


class Config(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    rename=lambda field: OWN + field.upper(),
):
    """All settings of a replay; a name ends in its unit."""

    auth_secret: Annotated[
        str, Meta(min_length=1, description="HS256 secret that signs the tokens of clients and of ops")
    ] = msgspec.field(name="SNAPSURGE_AUTH_SECRET", default=DEVELOPMENT_SECRET)
    region: Annotated[
        str,
        Meta(
            min_length=1,
            description="region of the moment that a replay opens; reserve it, so that no real user belongs to it",
        ),
    ] = "bench"
    lead_s: Annotated[
        float,
        Meta(
            gt=0,
            description="seconds between opening the moment and its `fires_at`, so that every node knows the moment",
        ),
    ] = 3.0
    attempts_max: Annotated[int, Meta(ge=1, description="tries of one upload before the client gives up")] = 6
    backoff_floor_s: Annotated[float, Meta(ge=0, description="minimum seconds before a retry")] = 0.2
    backoff_max_s: Annotated[
        float, Meta(gt=0, description="maximum seconds before a retry after an answer without `Retry-After`")
    ] = 5.0
    retry_after_max_s: Annotated[
        float, Meta(gt=0, description="maximum seconds of a `Retry-After` that the client obeys")
    ] = 60.0
    answer_timeout_s: Annotated[
        float,
        Meta(gt=0, description="answer timeout in seconds, added to twice the photos' transfer time on the uplink"),
    ] = 30.0
    connections_max: Annotated[int, Meta(ge=1, description="open connections; each upload holds one")] = 8192
    ready_timeout_s: Annotated[
        float, Meta(ge=0, description="seconds to wait after the last answer until every post is ready or rejected")
    ] = 300.0
    lag_p99_max_ms: Annotated[
        float, Meta(gt=0, description="99th percentile of the sender's lag, in milliseconds, above which a run is void")
    ] = 250.0
    clock_margin_ms: Annotated[
        float, Meta(ge=0, description="milliseconds by which `received_at` may lie outside the accepted try")
    ] = 50.0
    check_sample: Annotated[
        int, Meta(ge=1, description="decode all renditions of every Nth ready post, and one thumb of each other one")
    ] = 20
    photo_seed: Annotated[int, Meta(description="seed of the rendered photos")] = 1


def load(environ: Mapping[str, str] | None = None) -> Config:
    """The settings of this process; ConfigError names the first variable that is unknown or out of range."""
    found = os.environ if environ is None else environ  # noqa: TID251 -- the one place that reads it
    own: dict[str, str] = {}
    for name in sorted(name for name in found if name.startswith(PREFIX)):
        if name.startswith(OWN) or name == "SNAPSURGE_AUTH_SECRET":
            own[name] = found[name]
        # A misspelt name would be ignored silently.
        elif name not in SHARED and name.removeprefix(PREFIX).split("_")[0] not in TIERS:
            raise ConfigError(f"{name} is not a setting of snapsurge")
    for unknown in own.keys() - {field.encode_name for field in msgspec.structs.fields(Config)}:
        raise ConfigError(f"{unknown} is not a setting of bench")
    try:
        return msgspec.convert(own, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from error


def table() -> str:
    """The settings as `--help` prints them: name, default, meaning."""
    lines = []
    for field in msgspec.structs.fields(Config):
        hint = Config.__annotations__[field.name].__metadata__[0].description
        default = "(development secret)" if field.default == DEVELOPMENT_SECRET else field.default
        lines.append(f"  {field.encode_name}={default}\n      {hint}")
    return "\n".join(lines)
