"""TLS for clients: one context, whose certificate is read again on SIGHUP.

TLS 1.2 or newer, ALPN `http/1.1` only, no renegotiation, no compression. Connections keep the certificate with which
they began.
"""

import ssl


class TlsError(ValueError):
    """The certificate or the key cannot be used; the text is one line for the operator."""


def _no_password() -> str:
    """Refuse an encrypted key."""
    # Without this callback OpenSSL would ask for the password at a terminal that nobody watches.
    raise TlsError("the TLS key is encrypted; give one without a password")


class Termination:
    """The TLS context of the listening sockets, and the files of its certificate."""

    def __init__(self, cert: str, key: str) -> None:
        self._cert, self._key = cert, key
        self.context = self._made()

    def _made(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.minimum_version = ssl.TLSVersion.TLSv1_2
        made.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        made.set_alpn_protocols(["http/1.1"])
        self._load(made)
        return made

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._cert, self._key, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            raise TlsError(f"TLS certificate {self._cert} with key {self._key}: {error}") from error

    def reload(self) -> None:
        """Read both files again, for new connections; TlsError leaves the running certificate in place."""
        # Tried on a context of its own first.
        self._made()
        self._load(self.context)
