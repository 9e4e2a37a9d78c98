"""The versions of the protocol for resumable uploads, as one table: what each one sends, demands and expects.

The draft (draft-ietf-httpbis-resumable-upload) counts its breaking changes in an "interop version", which a client
announces. Pure: fields of requests come in, fields of answers go out. This file knows no upload.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec
from multidict import CIMultiDict, CIMultiDictProxy, istr

# As `istr` a name is looked up in half the time.
INTEROP: Final = istr("Upload-Draft-Interop-Version")
COMPLETE: Final = istr("Upload-Complete")
INCOMPLETE: Final = istr("Upload-Incomplete")
OFFSET: Final = istr("Upload-Offset")
LENGTH: Final = istr("Upload-Length")
LIMIT: Final = istr("Upload-Limit")
PART_TYPE: Final = "application/partial-upload"
SUPPORTED: Final = "HTTP/1.1 104 Upload Resumption Supported"
# Items of RFC 9651 (structured fields): integers have at most 15 digits; parameters are allowed, and mean nothing here.
_INTEGER: Final = re.compile(r" *([0-9]{1,15})(?: *;.*)?", re.ASCII)
_BOOLEAN: Final = re.compile(r" *\?([01])(?: *;.*)?", re.ASCII)

Fields = CIMultiDict[str] | CIMultiDictProxy[str]


class Limits(msgspec.Struct, frozen=True):
    """What an upload may be: bytes in all, and the seconds for which what has arrived is kept from now on."""

    bytes_max: int
    age_s: int


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the protocol."""

    number: int
    # Version 3 says the opposite, in another field.
    says_incomplete: bool = False
    # A PATCH must be of `PART_TYPE`. Draft -03 says so too, but Apple's server asks it of version 6 and newer only.
    typed: bool = True
    # A PATCH without the field completes the upload, as in the examples of the drafts; None: the field is a must.
    complete_unless_said: bool | None = True
    # HEAD and DELETE with a field of an upload must be refused with 400.
    bare: bool = True
    # A 104 with the offset so far.
    progress: bool = True
    # `Upload-Length` is a field of this version.
    tells_length: bool = True
    # The key of the lifetime in `Upload-Limit`; empty: this version has no such field.
    age_key: str = "max-age"
    # The status of an append that leaves the upload incomplete.
    appended: int = 201
    # The answer of a post to a creation has the upload in `Location`, as the drafts demand. Else: the post.
    names_upload: bool = True
    # An append to an upload that is complete gets the answer of the post again. Else: 400 (a must in 6).
    replays: bool = True
    # The completeness is also told with an error: true when the upload has ended with it.
    tells_end: bool = False

    def complete(self, fields: Fields) -> bool | None:
        """Whether the request's content is the last of its upload; None when it does not say, or not readably."""
        found = _BOOLEAN.fullmatch(_only(fields, INCOMPLETE if self.says_incomplete else COMPLETE))
        return None if found is None else (found[1] == "1") != self.says_incomplete

    def length(self, fields: Fields) -> int | None:
        """The length of the whole upload, where the request says it in its own field."""
        return integer(fields, LENGTH) if self.tells_length else None

    def is_bare(self, fields: Fields) -> bool:
        """Whether a HEAD or DELETE has no field that this version forbids."""
        return not self.bare or not any(name in fields for name in (COMPLETE, INCOMPLETE, OFFSET, LENGTH))

    def supported(self, location: str, limits: Limits) -> bytes:
        """The interim answer that names the upload."""
        return self._interim({"Location": location, **self.limit(limits)})

    def progressed(self, offset: int) -> bytes:
        """The interim answer that tells how much has arrived."""
        return self._interim({OFFSET: str(offset)})

    def limit(self, limits: Limits) -> dict[str, str]:
        """The field with the limits, in versions that have one."""
        if not self.age_key:
            return {}
        return {LIMIT: f"min-size=0, max-size={limits.bytes_max}, {self.age_key}={limits.age_s}"}

    def state(self, offset: int, *, complete: bool) -> dict[str, str]:
        """The fields of an answer about an upload: how much has arrived, and whether that is all."""
        name, value = (INCOMPLETE, not complete) if self.says_incomplete else (COMPLETE, complete)
        return {INTEROP: str(self.number), name: f"?{value:d}", OFFSET: str(offset)}

    def ended(self) -> dict[str, str]:
        """The fields of an error with which the upload has ended."""
        return {INTEROP: str(self.number), COMPLETE: "?1"} if self.tells_end else {INTEROP: str(self.number)}

    def _interim(self, fields: Mapping[str, str]) -> bytes:
        lines = [SUPPORTED, f"{INTEROP}: {self.number}", *(f"{name}: {value}" for name, value in fields.items())]
        return "\r\n".join([*lines, "", ""]).encode()


# Those that clients in the field speak; a request of any other is an ordinary upload. Read in the drafts' tagged texts
# (github.com/httpwg/http-extensions) and in Apple's server (apple/swift-nio-extras, HTTPResumableUploadProtocol.swift).
VERSIONS: Final[dict[str, Version]] = {
    # Draft -01: URLSession of iOS 17.0.
    "3": Version(
        number=3, says_incomplete=True, typed=False, progress=False, tells_length=False, age_key="",
    ),
    # Draft -03: URLSession of iOS 18.0, tus-js-client.
    "5": Version(number=5, typed=False, tells_length=False, age_key=""),
    # Drafts -04 and -05: URLSession of iOS 18.1, tus-js-client.
    "6": Version(number=6, age_key="expires", replays=False),
    # Draft -09 and newer: URLSession of iOS 26.
    "8": Version(number=8, complete_unless_said=None, bare=False, appended=204, names_upload=False, tells_end=True),
}  # fmt: skip
NEWEST: Final = VERSIONS["8"]


def announced(fields: Fields) -> Version | None:
    """The version that a request announces; None when there is none, or one that is not served."""
    number = fields.get(INTEROP)
    return None if number is None else VERSIONS.get(number.strip())


def integer(fields: Fields, name: str) -> int | None:
    """The number in a field; None when the field is missing, doubled or anything else."""
    found = _INTEGER.fullmatch(_only(fields, name))
    return None if found is None else int(found[1])


def _only(fields: Fields, name: str) -> str:
    """The value of a field that came once; empty otherwise, because a list is no item."""
    values = fields.getall(name, ())
    return values[0] if len(values) == 1 else ""
