"""SNTP packets: our clock is measured rightly, across the end of NTP's era too, and nothing else is believed."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.doctor import sntp
from feedbus.errors import BadData

EPOCH = 2_208_988_800
COOKIE = 0x0123456789ABCDEF
NOW = 1_790_000_000_000_000_000
MS = 1_000_000


def ntp(time_ns: int) -> int:
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return ((seconds + EPOCH) % (1 << 32)) << 32 | (rest << 32) // 1_000_000_000


def answer(
    arrived_ns: int, left_ns: int, *, flags: int = 0x24, stratum: int = 2, cookie: int = COOKIE, code: bytes = b"GPS\0"
) -> bytes:
    return struct.pack("!BBbbII4sQQQQ", flags, stratum, 6, -20, 0, 0, code, 0, cookie, ntp(arrived_ns), ntp(left_ns))


def test_the_question_tells_nothing_but_the_cookie() -> None:
    asked = sntp.question(COOKIE)
    assert len(asked) == sntp.SIZE
    assert asked[0] == 0x23  # version 4, mode client
    assert asked[1:40] == bytes(39)
    assert asked[40:] == COOKIE.to_bytes(8)


@given(
    st.integers(1_000_000_000, 4_000_000_000),  # from 2001 to 2096: NTP's seconds begin anew in 2036
    st.integers(-86_400_000, 86_400_000),
    st.integers(0, 500),
    st.integers(0, 500),
    st.integers(0, 50),
)
def test_the_clock_is_measured_to_half_of_the_round_trip(at: int, ahead: int, there: int, back: int, held: int) -> None:
    sent = at * 1_000_000_000 + ahead * MS  # by our clock, which is ahead by so many milliseconds
    arrived = at * 1_000_000_000 + there * MS
    left = arrived + held * MS
    received = sent + (there + held + back) * MS
    found = sntp.answered(answer(arrived, left), COOKIE, sent, received)
    assert found.round_trip_s == pytest.approx((there + back) / 1000, abs=1e-6)
    assert abs(found.ahead_s - ahead / 1000) <= found.round_trip_s / 2 + 1e-6
    assert found.stratum == 2


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (b"", "an answer of 0 bytes"),
        (answer(NOW, NOW)[:47], "an answer of 47 bytes"),
        (answer(NOW, NOW, cookie=1), "doesn't answer our question"),
        (answer(NOW, NOW, flags=0x23), "doesn't answer our question"),
        (answer(NOW, NOW, stratum=0, code=b"RATE"), "doesn't want to be asked: RATE"),
        (answer(NOW, NOW, stratum=0, code=b"\x1b[2J"), "doesn't want to be asked: no reason"),
        (answer(NOW, NOW, stratum=16), "doesn't know the time itself"),
        (answer(NOW, NOW, flags=0xE4), "doesn't know the time itself"),
        (answer(NOW, -EPOCH * 1_000_000_000), "an answer without a time"),
    ],
    ids=range(9),
)
def test_what_is_no_good_answer_is_refused(packet: bytes, reason: str) -> None:
    with pytest.raises(BadData, match=reason):
        sntp.answered(packet, COOKIE, NOW, NOW)


@given(st.binary(max_size=100))
def test_any_packet_is_an_answer_or_bad_data(packet: bytes) -> None:
    with suppress(BadData):
        sntp.answered(packet, COOKIE, NOW, NOW)
