"""Asking a time server over real UDP: it answers, is silent, loses a packet, is not there, or is imitated."""

from __future__ import annotations

import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from feedbus.doctor import clock
from feedbus.doctor.clock import NoTime, place_of
from feedbus.doctor.sntp import ClockReading
from tests.doctor.test_sntp import ntp
from tests.free_port import free_port


def honest(asked: bytes, shift_s: float = 0.0, stratum: int = 2) -> bytes:
    """The answer of a server whose clock is ahead of this machine's by so many seconds."""
    now = ntp(time.time_ns() + round(shift_s * 1e9))
    return struct.pack("!BBbbII4sQ8sQQ", 0x24, stratum, 6, -20, 0, 0, b"GPS\0", 0, asked[40:48], now, now)


@asynccontextmanager
async def time_server(answers: Callable[[bytes, int], list[bytes]]) -> AsyncIterator[int]:
    """A server on a UDP port; it is given each packet and its number."""
    with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as made:
        await made.bind(("127.0.0.1", 0))

        async def serve() -> None:
            number = 0
            while True:
                packet, client = await made.recvfrom(1024)
                for answer in answers(packet, number):
                    await made.sendto(answer, client)
                number += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield made.getsockname()[1]
            nursery.cancel_scope.cancel()


async def ask(port: int, within: float = 5.0) -> ClockReading:
    return await clock.ask("127.0.0.1", port, within=within, look_up_within=5.0)


@pytest.mark.parametrize("shift", [0.0, 5.0, -3600.0])
async def test_the_offset_of_our_clock(shift: float) -> None:
    async with time_server(lambda packet, _: [honest(packet, shift)]) as port:
        found = await ask(port)
    assert found.ahead_s == pytest.approx(-shift, abs=1.0)


async def test_a_lost_packet_is_asked_again_once() -> None:
    async with time_server(lambda packet, number: [honest(packet)] if number else []) as port:
        assert (await ask(port, within=0.1)).stratum == 2


async def test_what_does_not_answer_our_question_is_passed_over() -> None:
    def imitates(packet: bytes, _: int) -> list[bytes]:
        return [b"", b"x" * 2000, honest(bytes(48), 9999.0), honest(packet)]

    async with time_server(imitates) as port:
        assert abs((await ask(port)).ahead_s) < 1


async def test_a_silent_server_is_asked_twice_and_no_more() -> None:
    asked: list[bytes] = []

    def silent(packet: bytes, _: int) -> list[bytes]:
        asked.append(packet)
        return []

    async with time_server(silent) as port:
        with pytest.raises(NoTime, match=r"no answer within 0\.05 s"):
            await ask(port, within=0.05)
    assert len(asked) == 2


async def test_a_server_that_does_not_want_to_be_asked_is_not_asked_again() -> None:
    async with time_server(lambda packet, _: [honest(packet, stratum=0)]) as port:
        with pytest.raises(NoTime, match="doesn't want to be asked"):
            await ask(port)


async def test_nobody_there_and_no_such_name() -> None:
    with pytest.raises(NoTime, match="connection refused"):
        await ask(free_port())
    with pytest.raises(NoTime, match="the time server isn't known: "):
        await clock.ask("time.invalid", 123, within=1.0, look_up_within=10.0)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("pool.ntp.org", ("pool.ntp.org", 123)),
        ("10.0.0.1:1123", ("10.0.0.1", 1123)),
        ("2001:db8::1", ("2001:db8::1", 123)),
        ("[2001:db8::1]:1123", ("2001:db8::1", 1123)),
        ("[2001:db8::1]", ("2001:db8::1", 123)),
    ],
)
def test_how_a_time_server_is_written(text: str, place: tuple[str, int]) -> None:
    assert place_of(text) == place


@pytest.mark.parametrize("text", ["", ":123", "host:0", "host:65536", "host:x", "[]:1"])
def test_how_it_is_not_written(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - argparse words it
        place_of(text)
