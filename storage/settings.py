"""Reads settings from the environment into one frozen value, for every package that uses storage.

A package's `config.py` declares a msgspec Struct: the encoded field names are the environment variables, and the
annotations hold the limits and the description. This file converts the environment, rejects unknown names, and prints
the table of `--help`. Each tier checks only its own names.
"""

from collections.abc import Mapping
from typing import Annotated, TypeVar, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

TIERS = ("LB", "INGEST", "PROCESSORS", "STORAGE", "BENCH", "DEPLOY")
SHARED = (
    *("SNAPSURGE_STORE_URL", "SNAPSURGE_REDIS_URL", "SNAPSURGE_SHARD_URLS", "SNAPSURGE_QUEUE_URLS"),
    *("SNAPSURGE_AUTH_SECRET", "SNAPSURGE_AUTH_SECRET_PREVIOUS"),
)


class SettingsError(Exception):
    """A setting is unknown, missing or out of range; the text names it."""


def load(config: type[T], tier: str, environ: Mapping[str, str]) -> T:
    """The tier's settings; SettingsError on a bad value, and on an unknown name of this tier or of no tier."""
    ours = {name: value for name, value in environ.items() if name.startswith("SNAPSURGE_")}
    known = {field.encode_name for field in msgspec.structs.fields(config)}
    for name in sorted(ours.keys() - known):
        of_a_tier = name.startswith(tuple(f"SNAPSURGE_{one}_" for one in TIERS))
        if name.startswith(f"SNAPSURGE_{tier}_") or not (of_a_tier or name in SHARED):
            raise SettingsError(f"unknown setting {name}; `--help` lists those of this program")
    try:
        return msgspec.convert({name: ours[name] for name in ours.keys() & known}, config, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"bad setting: {error}") from error


def table(*configs: type[msgspec.Struct]) -> str:
    """Name, default and description of every setting, one per line."""
    lines = [row for config in configs for row in rows(config)]
    widths = [max(len(row[column]) for row in lines) for column in (0, 1)]
    return "\n".join(f"  {name:<{widths[0]}}  {default:<{widths[1]}}  {text}" for name, default, text in lines)


def rows(config: type[msgspec.Struct]) -> list[tuple[str, str, str]]:
    """Name, default and description of every setting, in order."""
    hints = get_type_hints(config, include_extras=True)
    return [
        (field.encode_name, "(required)" if field.required else str(field.default), _description(hints[field.name]))
        for field in msgspec.structs.fields(config)
    ]


def _description(hint: object) -> str:
    if get_origin(hint) is not Annotated:
        return ""
    return next((meta.description for meta in get_args(hint)[1:] if getattr(meta, "description", None)), "")
