"""TLS contexts: how certificates are verified, and how records are read in batches. May touch certificate files.

A venue that writes each WebSocket frame separately also makes each frame a TLS record of its own, and OpenSSL returns
one record per call. So 20 frames that came in one socket read would cost 20 passes through the event loop. The contexts
that are made here return all records that have come in one call.
"""

from __future__ import annotations

import ssl
from functools import lru_cache

from feedbus.errors import ConfigError


class BatchingSSLObject(ssl.SSLObject):
    """An SSLObject whose `read` returns as many records as fit into the size asked for and have come."""

    _deferred: ssl.SSLError | None = None  # the next read raises it

    def read(self, size: int = 1024) -> bytes:  # type: ignore[override]
        """Return up to `size` bytes. Raises what ssl.SSLObject.read raises.

        An error that follows data is raised by the next call, so that the data is not lost.
        """
        if self._deferred is not None:
            raise self._deferred
        parts = [super().read(size)]  # with nothing there at all it raises, as its caller expects
        missing = size - len(parts[0])
        while missing > 0 and parts[-1]:
            try:
                parts.append(super().read(missing))
            except ssl.SSLWantReadError:
                break  # all that has come is read
            except ssl.SSLError as error:
                self._deferred = error
                break
            missing -= len(parts[-1])
        return b"".join(parts)


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Make a context that verifies the certificate and the host name, and speaks TLS 1.2 or later.

    It trusts the authorities in `ca_file` (PEM) alone when that is given, and the system's otherwise. Raises
    ConfigError when the file can't be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        if ca_file is None:
            raise ConfigError(f"the system's certificate authorities can't be read: {error}") from error
        reason = "no certificate in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"{ca_file}: can't be used as CA file: {reason}") from error
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.sslobject_class = BatchingSSLObject
    return context


@lru_cache(maxsize=1)
def system_tls_context() -> ssl.SSLContext:
    """The context that trusts the system's authorities. It is made once, because loading them takes tens of ms."""
    return tls_context(None)
