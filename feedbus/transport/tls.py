"""How TLS connections are verified, and read in batches. May touch certificate files.

A venue that writes each WebSocket frame by itself also makes each a TLS record, and OpenSSL hands out one record
a call: 20 frames that came in one socket read would be 20 passes through the event loop. The contexts made here
hand out every record that has come.
"""

from __future__ import annotations

import ssl
from functools import lru_cache

from feedbus.errors import ConfigError


class BatchingSSLObject(ssl.SSLObject):
    """An SSLObject whose `read` goes on until it has what was asked for, or all that has come."""

    _late: ssl.SSLError | None = None

    def read(self, size: int = 1024) -> bytes:  # type: ignore[override]
        """Up to `size` bytes; an error behind data is raised by the next call, so that the data isn't lost."""
        if self._late is not None:
            raise self._late
        parts = [super().read(size)]
        missing = size - len(parts[0])
        while missing > 0 and parts[-1]:
            try:
                parts.append(super().read(missing))
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                self._late = error
                break
            missing -= len(parts[-1])
        return b"".join(parts)


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """A context that verifies the certificate and the host name, TLS 1.2 or later.

    Only the authorities in `ca_file` (PEM) are trusted when it is given, otherwise the system's. Raises ConfigError
    when the file can't be used.
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
    """The context for those who bring none. Kept, because loading the authorities takes tens of milliseconds."""
    return tls_context(None)
