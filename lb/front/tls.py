"""The TLS context of the listening sockets, whose certificate is read again when its files change.

TLS 1.2 or newer, ALPN `http/1.1` only, no renegotiation, no compression. The context is made before processes fork, so
that they share the key of the session tickets and a client resumes its session at any of them. A changed certificate
gets a context of its own, because a context keeps one pair for each type of key, and would go on using the former one
beside the new one. The ticket key stays that of the first context. Connections keep the certificate with which they
began, and a resumed session shows none.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from .validity import Validity, validity

log = logging.getLogger("snapsurge.lb.tls")

LOOK_S: Final = 2.0  # Tools that renew certificates replace files by a rename, or a directory by a link, at any time.
WARN_S: Final = 86400.0  # A warning is repeated after a day.
Look = tuple[tuple[int, int, int], ...]  # Inode, time of change and size of each file.


class TlsError(ValueError):
    """The certificate or the key cannot be used; the text is one line for the operator."""


def _no_password() -> str:
    """Refuse an encrypted key."""
    # Without this callback OpenSSL would ask for the password at a terminal that nobody watches.
    raise TlsError("the TLS key is encrypted; give one without a password")


class Termination:
    """The certificate, read from its files, and what makes the server's side of a connection; `clock` is unix time."""

    def __init__(self, cert: str, key: str, clock: Callable[[], float] = time.time) -> None:
        self._cert, self._key, self._clock = cert, key, clock
        self._warned_at_s = float("-inf")
        self._read = self._seen = self._look()
        self._current, self.validity = self._made()
        self._first = self._current

    def wrap(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """The server's side of a new connection, with the certificate as it was last read."""
        made = self._first.wrap_bio(incoming, outgoing, server_side=True)
        if self._current is not self._first:
            # Certificate and key come from the new context; tickets keep the key of the first (SSL_set_SSL_CTX(3)).
            made.context = self._current
        return made

    def _made(self) -> tuple[ssl.SSLContext, Validity]:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        # Every suite that is offered is good, so the client chooses: ChaCha20 where it has no AES instructions, else
        # mostly AES-128, whose handshake costs an eighth less than that of AES-256, because SHA-256 has instructions.
        made.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        made.set_alpn_protocols(["http/1.1"])
        # A phone opens one connection at a time, and each ticket costs a twentieth of the handshake.
        made.num_tickets = 1
        try:
            made.load_cert_chain(self._cert, self._key, password=_no_password)
            return made, validity(Path(self._cert).read_bytes())
        except (OSError, ssl.SSLError) as error:
            raise TlsError(f"TLS certificate {self._cert} with key {self._key}: {error}") from error

    def _look(self) -> Look:
        """What tells one version of the files from another; empty while one of them is missing."""
        with suppress(OSError):
            stats = [Path(file).stat() for file in (self._cert, self._key)]
            return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in stats)
        return ()

    def catch_up(self) -> None:
        """Read files that have changed since, before the first accept: a process may be forked long after the start."""
        self._seen = self._look()
        self.look()
        self.warn()

    async def watch(self) -> None:
        """Look for new files every `LOOK_S` seconds, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()
            self.warn()

    def look(self) -> None:
        """Read the files again when they have changed, and have not changed since the look before."""
        # Certificate and key are two files: between the two changes they do not fit each other.
        before, self._seen = self._seen, self._look()
        if self._seen != before or self._seen == self._read:
            return
        self._read = self._seen
        try:
            self._current, self.validity = self._made()
        except TlsError as error:
            log.error("the certificate's files have changed and cannot be used, the old one stays in use: %s", error)  # noqa: TRY400 - the cause is in the text
        else:
            log.info("the certificate was read again, new connections use it")
            self._warned_at_s = float("-inf")

    def warn(self) -> None:
        """Log what is wrong with the certificate's dates, once a day; it is used all the same."""
        now_s = self._clock()
        if abs(now_s - self._warned_at_s) >= WARN_S and (trouble := self.validity.trouble(now_s)):
            self._warned_at_s = now_s
            log.warning("%s (%s); new files are read without a restart", trouble, self._cert)
