"""Why a connection failed, in one line fit for an operator. Pure.

Foreign texts (close reasons, HTTP answers, messages of OpenSSL and the kernel) pass through here on their way
into our errors.
"""

from __future__ import annotations

import os
import ssl

from feedbus.text import one_line


def why(error: BaseException) -> str:
    """What the innermost cause of this exception says."""
    cause = _innermost(error)
    match cause:
        case ssl.SSLCertVerificationError():
            return one_line(f"certificate verify failed: {cause.verify_message}")
        case ssl.SSLError():
            reason = getattr(cause, "reason", None) or str(cause)
            return one_line(f"TLS: {reason.replace('_', ' ').lower()}")
        case OSError():
            # trio repeats the address before the system's text; an error of name lookup has a negative number.
            number = cause.errno or 0
            return one_line(os.strerror(number) if number > 0 else cause.strerror or str(cause))
    return one_line(str(cause)) or type(cause).__name__


def _innermost(error: BaseException) -> BaseException:
    """Where the chain of causes begins; of several attempts that failed together, the first."""
    while True:
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
        if inner is None:
            return error
        error = inner
