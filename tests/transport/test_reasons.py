"""Foreign texts in one line."""

from __future__ import annotations

import socket
import ssl

import pytest

from feedbus.transport.reasons import why


def _caused(outer: Exception, inner: BaseException) -> Exception:
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(111, "Error connecting to x: Connection refused"), "Connection refused"),
        (OSError("all attempts failed"), "all attempts failed"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "TLS: [ssl: wrong version"),
        (_caused(RuntimeError("outer"), OSError(32, "Broken pipe")), "Broken pipe"),
        (_caused(OSError("x"), ExceptionGroup("y", [OSError("first"), OSError("second")])), "first"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_the_innermost_cause_is_told(error: Exception, text: str) -> None:
    assert why(error).startswith(text)
