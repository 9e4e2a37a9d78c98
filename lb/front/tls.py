"""TLS for clients: one context, its certificate read anew on SIGHUP.

TLS 1.2 at least, ALPN `http/1.1` only, no renegotiation and no compression. New files are tried on a context of their
own first, so that a bad pair of files leaves the running certificate in place. Connections keep what they began with.
"""

import ssl


class TlsError(ValueError):
    """Certificate or key cannot be used; the text is one line for the operator."""


def _no_password() -> str:
    """An encrypted key would make OpenSSL ask at a terminal that nobody watches."""
    raise TlsError("the TLS key is encrypted; give one without a password")


class Termination:
    """The context that listening sockets use, and the files it comes from."""

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
        """Read both files again, for connections to come; TlsError leaves all as it was."""
        self._made()
        self._load(self.context)
