"""The settings of `python -m deploy`, read from the environment that its programs inherit.

A misspelt `SNAPSURGE_` name is an error here, whichever program it is for, because here a person sees it at once.
"""

import os
from collections.abc import Mapping
from typing import Annotated, Final, get_args, get_type_hints

import msgspec
from msgspec import Meta

# Public on purpose: it signs the tokens of a stack on one machine when no other secret is set.
DEVELOPMENT_SECRET: Final = "snapsurge-development-secret-not-for-production"  # noqa: S105

PREFIX: Final = "SNAPSURGE_"
OWN: Final = "SNAPSURGE_DEPLOY_"
TIERS: Final = frozenset({"LB", "INGEST", "PROCESSORS", "STORAGE", "BENCH", "DEPLOY"})
SHARED: Final = frozenset(
    {
        *("SNAPSURGE_STORE_URL", "SNAPSURGE_REDIS_URL", "SNAPSURGE_SHARD_URLS", "SNAPSURGE_QUEUE_URLS"),
        *("SNAPSURGE_AUTH_SECRET", "SNAPSURGE_AUTH_SECRET_PREVIOUS"),
    }
)


class SettingsError(Exception):
    """A setting is unknown or out of range; the text is one line and names the setting."""


class Config(msgspec.Struct, frozen=True, kw_only=True, rename=lambda name: f"{OWN}{name.upper()}"):
    """The secret that signs tokens, and the time limits for starting and stopping."""

    auth_secret: Annotated[str, Meta(min_length=32, description="HS256 secret that signs and verifies tokens")] = (
        msgspec.field(name="SNAPSURGE_AUTH_SECRET", default=DEVELOPMENT_SECRET)
    )
    # The stack is ready in three seconds on two idle cores; a minute is for a busy machine.
    start_s: Annotated[float, Meta(gt=0, description="seconds for the whole stack to be ready")] = 60.0
    # Balancers, nodes and workers end their own drain after 31 to 35 s; this limit is for one that hangs.
    stop_s: Annotated[float, Meta(gt=0, description="seconds that a process may drain before it is killed")] = 40.0


class Environment:
    """The process environment; only this class reads it."""

    @staticmethod
    def current() -> dict[str, str]:
        """A copy of the environment, which callers may change and pass to a child."""
        return dict(os.environ)  # noqa: TID251 - the one place that reads it


def load(environ: Mapping[str, str] | None = None) -> Config:
    """The settings in `environ`, by default this process's environment; SettingsError."""
    found = Environment.current() if environ is None else environ
    known = {field.encode_name for field in msgspec.structs.fields(Config)}
    for name in sorted(name for name in found if name.startswith(PREFIX)):
        foreign = name in SHARED or name.removeprefix(PREFIX).split("_")[0] in TIERS - {"DEPLOY"}
        if name not in known and not foreign:
            raise SettingsError(f"unknown setting {name}; `python -m deploy --help` lists those of this program")
    try:
        return msgspec.convert({name: found[name] for name in found.keys() & known}, Config, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"bad setting: {error}") from error


def table() -> str:
    """One line for each setting: name, default and description."""
    hints = get_type_hints(Config, include_extras=True)
    lines = []
    for field in msgspec.structs.fields(Config):
        default = "(development secret)" if field.default == DEVELOPMENT_SECRET else field.default
        lines.append(f"  {field.encode_name:<25} {default!s:<22} {get_args(hints[field.name])[1].description}")
    return "\n".join(lines)
