"""Which venues are up, by what their connections say and by what they don't."""

from __future__ import annotations

from math import inf

import pytest

from feedbus.schema import connections
from feedbus.schema.connections import Connections
from feedbus.schema.events import FeedState, FeedStatus


def status(
    state: FeedState, up: int, wanted: int = 2, *, name: str = "moex/0", generation: int = 1, venue: str = "moex"
) -> FeedStatus:
    return FeedStatus(venue, name, 0, 0, state, "", up, wanted, {}, 0.0, None, generation)


def told(*statuses: FeedStatus) -> list[tuple[bool, bool]]:
    """Returns for each status whether it showed an outage, and whether the venue is up then."""
    known = Connections()
    return [(known.add(each, 1.0), known.venue("moex").is_up) for each in statuses]


def test_a_venue_is_up_until_somebody_says_otherwise() -> None:
    assert Connections().venue("moex").is_up
    assert told(status("online", 2), status("online", 2, name="moex/1"), status("delayed", 2)) == [(False, True)] * 3


def test_an_outage_lasts_until_all_connections_are_up() -> None:
    assert told(
        status("online", 2),
        status("waiting", 1, name="moex/1"),
        status("waiting", 1, name="moex/1"),  # again, 5 s later
        status("connecting", 0, generation=2),  # the other one too: what came in between is cut off
        status("online", 1, name="moex/1", generation=2),
        status("online", 2, generation=2),
    ) == [(False, True), (True, False), (False, False), (True, False), (False, False), (False, True)]


def test_a_start_is_an_outage_that_ends_once() -> None:
    assert told(status("connecting", 0), status("online", 1), status("online", 2, name="moex/1")) == [
        (True, False), (False, False), (False, True),
    ]  # fmt: skip


def test_a_connection_made_anew_between_two_statuses_is_an_outage() -> None:
    assert told(status("online", 2), status("online", 2, generation=2)) == [(False, True), (True, True)]


def test_a_connection_fewer_is_no_outage_for_long() -> None:
    assert told(status("online", 2), status("stopped", 1, 1, name="moex/1"), status("online", 1, 1))[-1] == (
        False,
        True,
    )


def test_every_feed_of_a_venue_counts_and_venues_dont_concern_one_another() -> None:
    known = Connections()
    known.add(status("online", 1, 1, name="first/0"), 0.0)
    known.add(status("waiting", 0, 1, name="second/0"), 0.0)
    known.add(status("waiting", 0, 1, name="binance/0", venue="binance"), 0.0)
    known.add(status("online", 1, 1, name="first/0"), 1.0)
    assert not known.venue("moex").is_up
    known.add(status("online", 1, 1, name="second/0"), 1.0)
    assert known.venue("moex").is_up
    assert not known.venue("binance").is_up


def test_a_feed_that_falls_silent_is_an_outage_until_it_speaks_and_is_forgotten_after_an_hour() -> None:
    known = Connections(second=1e9)
    venue = known.venue("moex")
    known.add(status("online", 2), 5e9)
    assert known.next_due == 20e9
    assert (known.check(19.9e9), venue.is_up) == ([], True)
    assert (known.check(20e9), venue.is_up, venue.outages) == ([venue], False, 1)
    known.add(status("online", 2), 100e9)
    assert (venue.is_up, venue.outages) == (True, 1)
    known.check(115e9)
    assert known.next_due == 3700e9
    known.check(3700e9)
    assert (venue.is_up, venue.outages, known.next_due) == (True, 2, inf)


def test_a_pause_of_our_own_is_no_silence_of_the_feed() -> None:
    known = Connections()
    known.add(status("online", 2), 0.0)
    assert known.check(60.0) == []  # it was due at 15: nobody was there to look
    assert known.next_due == 75.0
    assert known.check(75.0) == [known.venue("moex")]


def test_no_more_are_remembered_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 1)
    known = Connections()
    known.add(status("online", 2), 0.0)
    assert known.add(status("waiting", 0, name="another/0"), 0.0)
    assert known.venue("moex").is_up
