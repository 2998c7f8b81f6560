"""Connections: the newest word of each, silence, delays, what is forgotten, and names folded into ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import FeedState, FeedStatus
from feedbus.table import connection_table
from feedbus.table.connection_table import SECOND, ConnectionTable, ConnectionView, fold

NOW = 1_000_000 * SECOND


def status(
    name: str,
    state: FeedState = "online",
    at: int = NOW,
    up: int = 2,
    wanted: int = 2,
    delay_s: float | None = None,
    reason: str = "",
    instruments: dict[str, int] | None = None,
) -> FeedStatus:
    venue = name.partition("/")[0]
    counts = {"live": 1} if instruments is None else instruments
    return FeedStatus(venue, name, 0, at, state, reason, up, wanted, counts, 1.0, delay_s, 1)


def table(*statuses: FeedStatus) -> ConnectionTable:
    made = ConnectionTable()
    for one in statuses:
        made.add(one)
    return made


def names(made: ConnectionTable, now: int = NOW) -> list[str]:
    return [connection.name for connection in made.view(now).connections]


def test_the_newest_word_of_a_connection_counts() -> None:
    made = table(status("moex/0", "online", NOW - 2), status("moex/0", "waiting", NOW - 1, reason="no route"))
    made.add(status("moex/0", "online", NOW - 3))
    assert made.view(NOW).connections == [ConnectionView("moex", "moex/0", "waiting", "no route", None)]


def test_up_and_wanted_are_the_newest_of_each_venue_added_up() -> None:
    made = table(
        status("moex/0", at=NOW - 9, up=1, wanted=30),
        status("moex/1", at=NOW - 7, up=28, wanted=30),
        status("moex/2", at=NOW - 8, up=27, wanted=30),
        status("alor/0", at=NOW - 9, up=2, wanted=3),
    )
    view = made.view(NOW)
    assert (view.up, view.wanted) == (30, 33)


def of_feed(name: str, at: int = NOW, up: int = 1, wanted: int = 1) -> FeedStatus:
    return FeedStatus("moex", name, 0, at, "online", "", up, wanted, {"live": 2}, 1.0, None, 1)


def test_two_feeds_of_one_venue_are_added_up_and_neither_hides_the_others_silence() -> None:
    view = table(of_feed("a/0", at=NOW - 3), of_feed("b/0", at=NOW - 1)).view(NOW)
    assert (view.up, view.wanted, view.instruments_wanted) == (2, 2, 4)
    silent = table(of_feed("a/0", at=NOW - 16 * SECOND), of_feed("b/0")).view(NOW)
    assert [(connection.name, connection.silent_s) for connection in silent.connections] == [("a/0", 16), ("b/0", None)]
    assert (silent.up, silent.wanted) == (1, 2)


def test_a_venue_that_fell_silent_is_not_counted_as_up() -> None:
    made = table(status("moex/0", at=NOW - 16 * SECOND, up=28, wanted=30), status("alor/0", up=2, wanted=3))
    view = made.view(NOW)
    assert (view.up, view.wanted) == (2, 33)


@pytest.mark.parametrize("made", [table(), table(status("moex/0", at=NOW - 16 * SECOND))])
def test_how_many_are_up_is_unknown_while_nobody_speaks(made: ConnectionTable) -> None:
    assert made.view(NOW).up is None


@pytest.mark.parametrize(
    ("quiet_for", "silent_s"),
    [(0, None), (15 * SECOND, None), (15 * SECOND + 1, 15), (20 * SECOND, 20), (-5 * SECOND, None)],
)
def test_a_connection_is_silent_after_more_than_15_s(quiet_for: int, silent_s: int | None) -> None:
    (connection,) = table(status("moex/0", at=NOW - quiet_for)).view(NOW).connections
    assert connection.silent_s == silent_s


def test_a_stopped_connection_is_expected_to_be_silent() -> None:
    (connection,) = table(status("moex/0", "stopped", NOW - 60 * SECOND)).view(NOW).connections
    assert (connection.state, connection.silent_s) == ("stopped", None)


def test_instruments_are_added_up_over_connections() -> None:
    view = table(
        status("moex/0", instruments={"live": 48, "sent": 1, "refused": 1}),
        status("moex/1", instruments={"live": 40, "wanted": 10, "refused": 3}),
    ).view(NOW)
    assert (view.instruments_wanted, view.instruments_refused) == (103, 4)


def test_silent_connections_are_forgotten_when_the_feed_has_all_it_wants_without_them() -> None:
    old = NOW - 20 * SECOND
    made = table(status("moex/0"), status("moex/1"), status("moex/2", at=old), status("moex/3", "stopped", old))
    made.add(status("alor/0", at=old))
    assert names(made) == ["moex/0", "moex/1", "alor/0"]


def test_silent_connections_are_kept_while_the_feed_wants_more() -> None:
    old = NOW - 20 * SECOND
    assert names(table(status("moex/0"), status("moex/1", at=old))) == ["moex/0", "moex/1"]
    assert names(table(status("moex/0"), status("moex/1", "stopped"), status("moex/2", at=old)))[-1] == "moex/2"


@pytest.mark.parametrize(
    ("statuses", "delays"),
    [
        ([status("moex/0")], {}),
        ([status("moex/0", "delayed", delay_s=900.0), status("moex/1", "delayed", delay_s=901.0)], {"moex": 901.0}),
        ([status("moex/0", "delayed", delay_s=None)], {"moex": None}),
        ([status("moex/0", "online", delay_s=2.0), status("alor/0", "delayed", delay_s=70.0)], {"alor": 70.0}),
        ([status("moex/0", "delayed", NOW - 16 * SECOND, delay_s=900.0)], {}),
    ],
)
def test_delays_are_the_longest_of_each_delayed_venue(
    statuses: list[FeedStatus], delays: dict[str, float | None]
) -> None:
    assert table(*statuses).view(NOW).delays == delays


def test_connections_beyond_the_limit_are_counted_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_table, "MAX_CONNECTIONS", 2)
    made = table(status("moex/0", wanted=9), status("moex/1", wanted=9), status("moex/2"), status("moex/0", wanted=9))
    assert names(made) == ["moex/0", "moex/1"]
    assert made.view(NOW).not_shown == 1


@pytest.mark.parametrize(
    ("given_names", "folded"),
    [
        ([], []),
        (["moex/3"], ["moex/3"]),
        (["moex/1", "moex/0"], ["moex/0-1"]),
        ([f"moex/{i}" for i in range(29) if i != 12], ["moex/0-11", "moex/13-28"]),
        (["moex/9", "moex/10", "alor/2", "moex/12"], ["alor/2", "moex/9-10", "moex/12"]),
        (["moex/1/0", "moex/1/1", "moex/2/0"], ["moex/1/0-1", "moex/2/0"]),
        (["moex/01", "b", "moex/1", "moex/²", "moex/", "b"], ["moex/1", "b", "moex/", "moex/01", "moex/²"]),
        (["moex/" + "1" * 5000], ["moex/" + "1" * 5000]),
    ],
)  # fmt: skip
def test_names_are_folded_into_ranges(given_names: list[str], folded: list[str]) -> None:
    assert fold(given_names) == folded


@given(st.sets(st.integers(0, 60)))
def test_folded_ranges_say_exactly_the_numbers_that_were_given(numbers: set[int]) -> None:
    told: list[int] = []
    for text in fold(f"moex/{number}" for number in numbers):
        first, _, last = text.removeprefix("moex/").partition("-")
        told.extend(range(int(first), int(last or first) + 1))
    assert told == sorted(numbers)


def test_connections_of_a_publisher_that_says_nothing_are_silent_at_once() -> None:
    made = ConnectionTable()
    made.add(status("moex/0", at=NOW - SECOND), "moex")
    made.add(status("alor/0", at=NOW - SECOND, up=1, wanted=3), "alor")
    view = made.view(NOW, {"moex": 3.0})
    assert (view.up, view.wanted) == (1, 5)
    assert [connection.silent_s for connection in view.connections] == [1, None]
    assert made.view(NOW, {"moex", "alor"}).up is None
    assert made.view(NOW).up == 3
