"""What a program tells operators of itself: its code, its clock, its settings, and fingerprints of its secrets.

`python -m deploy check` compares the programs of a stack by it. Settings are told as they are, without credentials of
addresses. A secret is told by a fingerprint: a MAC by the secret itself over a text that everybody knows, cut to 64
bits. Clients have such MACs of the same secrets anyway: tokens, tickets and signed links. So a fingerprint helps nobody
to find a secret, as long as the secret cannot be guessed; one that can is told as `weak`.

`lb/about.py` and `storage/about.py` are one text, because the balancer imports no other package.
"""

import hashlib
import hmac
import resource
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

import msgspec

PATH: Final = "/aboutz"
SECRET_BYTES_MIN: Final = 16  # A secret with fewer can be guessed from its fingerprint.
_SIGNED: Final = b"snapsurge about"


class About(msgspec.Struct, frozen=True, kw_only=True):
    """One program. `code` has a digest of the source of each of its packages as it was when the program started.

    `secrets` has by the name of the setting the fingerprint of the secret that signs, then of the others that are
    accepted. `weak` names secrets that everybody knows or can guess. `files_needed` is how many descriptors the limits
    in its settings may need, `files_max` how many the process may have.
    """

    program: str
    code: dict[str, str]
    now_ms: int
    settings: dict[str, str]
    secrets: dict[str, list[str]]
    weak: list[str]
    files_max: int
    files_needed: int


def now_ms() -> int:
    """This machine's clock, unix milliseconds."""
    return time.time_ns() // 1_000_000


def code_of(folder: Path) -> str:
    """A digest of the source of a package."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        found.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()[:12]


def fingerprints(secrets: Iterable[bytes]) -> list[str]:
    """A fingerprint of each secret."""
    return [hmac.digest(secret, _SIGNED, "sha256")[:8].hex() for secret in secrets]


def settings_text(config: msgspec.Struct, *, without: Collection[str]) -> dict[str, str]:
    """The settings by their names in the environment, without those fields."""
    fields = [field for field in msgspec.structs.fields(type(config)) if field.name not in without]
    return {field.encode_name: str(getattr(config, field.name)) for field in fields}


def files_max() -> int:
    """How many files and connections this process may have open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
