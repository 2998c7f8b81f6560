"""Tells systemd about the service's state, with the datagrams of sd_notify(3). Without NOTIFY_SOCKET it does nothing.

Protocol: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html (systemd 252 and later).
"""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Mapping

from feedbus.text import escaped

MAX_STATUS = 1024  # bytes of a STATUS text; systemd accepts datagrams of up to 4096 bytes

_NUMBER = re.compile(r"[0-9]{1,18}")

_log = logging.getLogger("feedbus.systemd")


class Notifier:
    """Sends a service's datagrams to systemd.

    A datagram that can't be sent doesn't stop the service: it is counted in `lost`, and the first such failure is
    logged. `sent` counts the datagrams that were sent. `watchdog` is the period in seconds within which systemd wants a
    sign of life, or None.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ, pid: int | None = None) -> None:
        """Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. `pid` is this process' own unless it is given."""
        self.sent = 0
        self.lost = 0
        self.watchdog = watchdog_seconds(environ, os.getpid() if pid is None else pid)
        self._address = socket_address(environ)
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)

    def ready(self, status: str) -> None:
        """Say that the service has started."""
        self._send(f"READY=1\nSTATUS={status_line(status)}")

    def status(self, text: str) -> None:
        """Set the text that `systemctl status` shows; it is cut to MAX_STATUS bytes."""
        self._send(f"STATUS={status_line(text)}")

    def alive(self) -> None:
        """Send the sign of life that systemd's watchdog waits for."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that the service begins to stop."""
        self._send("STOPPING=1\nSTATUS=stopping")

    def close(self) -> None:
        """Close the socket; what is sent after that is ignored."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, text: str) -> None:
        if self._socket is None or self._address is None:
            return
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError as error:
            self.lost += 1
            if self.lost == 1:
                _log.warning("systemd can't be told: %s", error.strerror or error)
        else:
            self.sent += 1


def socket_address(environ: Mapping[str, str]) -> str | bytes | None:
    """Return the address in NOTIFY_SOCKET: a path, or a name in the abstract namespace, which is written with an @.

    None when the variable is not set, or holds neither.
    """
    text = environ.get("NOTIFY_SOCKET", "")
    if text.startswith("@"):
        return b"\0" + os.fsencode(text[1:])
    if text.startswith("/"):
        return text
    if text:
        _log.warning("NOTIFY_SOCKET is neither a path nor an abstract name: systemd is told nothing")
    return None


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """Return the seconds within which systemd wants a sign of life; None when it wants none of this process."""
    usec, whose = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not usec or whose not in ("", str(pid)):
        return None
    if not _NUMBER.fullmatch(usec) or int(usec) == 0:
        _log.warning("WATCHDOG_USEC is not a number of microseconds: there is no watchdog")
        return None
    return int(usec) / 1e6


def status_line(text: str) -> str:
    """Return the text with control characters escaped, cut to MAX_STATUS bytes of valid UTF-8."""
    encoded = escaped(text).encode()
    if len(encoded) <= MAX_STATUS:
        return encoded.decode()
    return encoded[: MAX_STATUS - len("…".encode())].decode(errors="ignore") + "…"
