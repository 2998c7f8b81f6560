"""Asks a time server how late it is (feedbus/doctor/sntp.py has the packets). May touch the network and the clock."""

from __future__ import annotations

import secrets
import socket
import time

import trio

from feedbus.doctor import sntp
from feedbus.doctor.sntp import ClockReading
from feedbus.errors import BadData

ATTEMPTS = 2
"""Packets get lost, so a second one is sent where the first isn't answered. No server is asked more."""

_MAX_PACKET = 1024  # bytes


class NoTime(Exception):
    """Nobody told the time; the text says why."""


def place_of(server: str) -> tuple[str, int]:
    """Host and port of HOST, HOST:PORT or [ADDRESS]:PORT. Raises ValueError."""
    if server.startswith("["):
        host, _, rest = server[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = server.partition(":") if server.count(":") == 1 else (server, "", "")
    number = int(port) if port else sntp.PORT
    if not host or not 0 < number < 65536:
        raise ValueError("no HOST:PORT")
    return host, number


async def ask(host: str, port: int, *, within: float, look_up_within: float) -> ClockReading:
    """Ask this server. `within` bounds each attempt, in seconds. Raises NoTime."""
    try:
        with trio.fail_after(look_up_within):
            found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except trio.TooSlowError:
        raise NoTime(f"the name of the time server wasn't found within {look_up_within:g} s") from None
    except (OSError, UnicodeError) as error:
        raise NoTime(f"the time server isn't known: {getattr(error, 'strerror', None) or error}") from None
    family, _, _, _, address = found[0]
    failure = f"no answer within {within:g} s"
    for _ in range(ATTEMPTS):
        try:
            with trio.fail_after(within):
                return await _exchange(family, address)
        except trio.TooSlowError:
            continue
        except BadData as error:
            raise NoTime(error.reason) from None
        except OSError as error:
            failure = (error.strerror or str(error)).lower()
    raise NoTime(failure)


async def _exchange(family: int, address: object) -> ClockReading:
    """One question and its answer. What isn't the answer is passed over."""
    with trio.socket.socket(family, socket.SOCK_DGRAM) as made:
        await made.connect(address)
        cookie = secrets.randbits(64) or 1
        sent_ns = time.time_ns()
        await made.send(sntp.question(cookie))
        while True:
            packet = await made.recv(_MAX_PACKET)
            received_ns = time.time_ns()
            if len(packet) >= sntp.SIZE and packet[24:32] == cookie.to_bytes(8):
                return sntp.answered(packet, cookie, sent_ns, received_ns)
