"""What the stack on one machine takes from the environment, and what it gives to the programs it starts."""

import os
from typing import Annotated

import msgspec
from msgspec import Meta

# Public on purpose: it signs the tokens of a stack on one machine when no other secret is given.
DEVELOPMENT_SECRET = "snapsurge-development-secret-not-for-production"  # noqa: S105


class Config(msgspec.Struct, frozen=True, kw_only=True, rename=lambda name: f"SNAPSURGE_DEPLOY_{name.upper()}"):
    """The secret that tokens are signed with, and how long parts are given."""

    auth_secret: Annotated[str, Meta(min_length=32, description="signs and checks tokens (HS256)")] = msgspec.field(
        name="SNAPSURGE_AUTH_SECRET", default=DEVELOPMENT_SECRET
    )
    start_s: Annotated[float, Meta(gt=0, description="how long the whole stack may take to be ready")] = 60.0
    stop_s: Annotated[float, Meta(gt=0, description="how long a process may drain before it is killed")] = 40.0


class Environment:
    """The process environment, read here and nowhere else."""

    @staticmethod
    def current() -> dict[str, str]:
        """A copy that may be changed and given to a child."""
        return dict(os.environ)  # noqa: TID251 - the one place that reads it


def load() -> Config:
    """This environment's settings; msgspec.ValidationError says what is wrong, LookupError names what nobody knows."""
    ours = {name: value for name, value in Environment.current().items() if name.startswith("SNAPSURGE_")}
    known = {field.encode_name for field in msgspec.structs.fields(Config)}
    unknown = sorted(name for name in ours.keys() - known if name.startswith("SNAPSURGE_DEPLOY_"))
    if unknown:
        raise LookupError(f"unknown setting {unknown[0]}; `--help` lists those of this program")
    return msgspec.convert({name: ours[name] for name in ours.keys() & known}, Config, strict=False)
