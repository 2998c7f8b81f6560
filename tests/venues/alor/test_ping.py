"""When ALOR is pinged, and what its silence means."""

from __future__ import annotations

import pytest

from feedbus.venues.alor.ping import PING_EVERY, SILENCE, Pings


def begun() -> Pings:
    pings = Pings()
    pings.frame_received(0.0)
    pings.begin(0.0)
    return pings


def test_there_are_no_pings_before_the_conversation_is_open() -> None:
    assert not Pings().due(1e9)


def test_a_ping_is_due_every_fifteen_seconds() -> None:
    pings = begun()
    assert [now for now in range(61) if pings.due(now)] == [15, 30, 45, 60]
    assert pings.next_at == 75


def test_connections_that_were_opened_within_a_second_ping_together() -> None:
    pings = Pings()
    pings.begin(0.7)
    assert pings.next_at == 15
    assert pings.due(15.2)
    assert pings.next_at == 30


def test_a_ping_without_an_answer_is_counted_once_and_when_the_next_is_due() -> None:
    pings = begun()
    assert pings.due(15.0)
    pings.ping_sent(1)
    assert pings.unanswered == 0
    assert pings.due(30.0)
    assert (pings.sent, pings.unanswered) == (1, 1)
    assert pings.due(45.0)
    assert pings.unanswered == 1
    pings.ping_sent(1)
    pings.answered(understood=True)
    assert pings.due(60.0)
    assert (pings.sent, pings.answers, pings.unanswered) == (2, 1, 1)


def test_silence_is_normal_where_pings_were_never_answered() -> None:
    pings = begun()
    pings.ping_sent(1)
    assert not pings.dead(1e6)


@pytest.mark.parametrize(("last_frame_at", "dead"), [(0.0, True), (0.5, False), (SILENCE - 1, False)])
def test_silence_is_death_where_they_were(last_frame_at: float, dead: bool) -> None:
    pings = begun()
    pings.ping_sent(1)
    pings.answered(understood=True)
    pings.frame_received(last_frame_at)
    for _ in range(3):
        assert not pings.dead(SILENCE)
        pings.ping_sent(1)
    assert pings.dead(SILENCE) is dead
    pings.frame_received(SILENCE)
    assert not pings.dead(2 * SILENCE)


def test_silence_says_nothing_while_no_ping_can_be_sent() -> None:
    pings = begun()
    pings.ping_sent(1)
    pings.answered(understood=True)
    pings.frame_received(0.0)
    assert not pings.dead(1e6)


def test_no_more_pings_are_sent_where_they_are_not_understood() -> None:
    pings = begun()
    assert pings.due(PING_EVERY)
    pings.ping_sent(1)
    pings.answered(understood=False)
    assert not pings.due(1e9)
    assert not pings.dead(1e9)
