"""Why a connection failed, in one line that an operator can read. Pure.

The texts of foreign errors (of trio, OpenSSL, the kernel and the WebSocket libraries) pass through here on their way
into our own errors, because they may hold line breaks, control characters or text of the peer.
"""

from __future__ import annotations

import os
import ssl

from feedbus.text import one_line


def why(error: BaseException) -> str:
    """Describe the innermost cause of this exception, which is the one that says what really happened."""
    cause = _innermost(error)
    match cause:
        case ssl.SSLCertVerificationError():
            return one_line(f"certificate verify failed: {cause.verify_message}")
        case ssl.SSLError():
            reason = getattr(cause, "reason", None) or str(cause)
            return one_line(f"TLS: {reason.replace('_', ' ').lower()}")
        case OSError():
            # trio puts the address before the system's text, and our errors name it already: take the text alone.
            # An error of the name lookup has a negative number, which strerror doesn't know.
            number = cause.errno or 0
            return one_line(os.strerror(number) if number > 0 else cause.strerror or str(cause))
    return one_line(str(cause)) or type(cause).__name__


def _innermost(error: BaseException) -> BaseException:
    """Follow the chain of causes to its beginning. Of several errors in a group, the first one is followed."""
    while True:
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
        if inner is None:
            return error
        error = inner
