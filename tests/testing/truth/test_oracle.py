"""The rule of what may be called live, by short histories of one instrument."""

from __future__ import annotations

from math import inf

import pytest

from feedbus.testing.truth.oracle import LATELY, PAST, Key, Oracle

KEY: Key = ("S", "quote")
OLD, NEW, NEWEST = (1.0, 2.0), (1.5, 2.5), (1.6, 2.6)
AFTER = LATELY + 0.01


@pytest.fixture
def oracle() -> Oracle:
    """The market moved from OLD to NEW at 10 s. The feed bears 60 s of silence, and a second more."""
    made = Oracle(stale_after=60.0, slack=1.0)
    made.moved(KEY, 0.0, OLD, told=True)
    made.moved(KEY, 10.0, NEW, told=True)
    return made


def ok(oracle: Oracle, at: float, picture: object) -> bool:
    return oracle.judge(KEY, at, "live", picture)


def test_the_present_value_is_true_however_old_it_is(oracle: Oracle) -> None:
    assert ok(oracle, 10_000.0, NEW)
    assert oracle.instants == 1
    assert oracle.untrue == 0


def test_an_old_value_is_true_only_for_a_short_while(oracle: Oracle) -> None:
    assert ok(oracle, 10.0 + LATELY - 0.01, OLD)
    assert not ok(oracle, 10.0 + AFTER, OLD)


def test_a_value_that_never_was_is_never_true(oracle: Oracle) -> None:
    assert not ok(oracle, 10.0, (7.0, 8.0))
    assert oracle.lies[0].behind == inf
    assert not oracle.judge(("another", "quote"), 10.0, "live", NEW)


def test_what_the_venue_holds_back_is_not_yet_due(oracle: Oracle) -> None:
    oracle.moved(KEY, 12.0, NEWEST, told=False)
    assert ok(oracle, 100.0, NEW)
    assert ok(oracle, 100.0, NEWEST)
    assert not ok(oracle, 100.0, OLD)


def test_a_lie_is_told_once_and_counted_each_time(oracle: Oracle) -> None:
    for at in (20.0, 21.0, 22.0):
        assert not ok(oracle, at, OLD)
    assert ok(oracle, 23.0, NEW)
    assert not ok(oracle, 24.0, OLD)
    assert oracle.untrue == 4
    assert [lie.at for lie in oracle.lies] == [20.0, 24.0]
    assert oracle.lies[0].behind == 10.0
    assert (oracle.lies[0].shown, oracle.lies[0].true) == (OLD, NEW)
    assert oracle.by_state == {("quote", "live"): 4}


def test_a_message_that_was_kept_back_excuses_the_old_value_until_the_feed_can_know(oracle: Oracle) -> None:
    oracle.withheld(KEY, 10.0, 40.0)
    assert ok(oracle, 39.0, OLD)
    assert not ok(oracle, 40.1, OLD)


def test_the_next_message_ends_the_excuse(oracle: Oracle) -> None:
    oracle.withheld(KEY, 10.0)
    assert ok(oracle, 19.0, OLD)
    oracle.heard(KEY, 20.0)
    assert ok(oracle, 20.0 + LATELY - 0.01, OLD)
    assert not ok(oracle, 20.0 + AFTER, OLD)


def test_a_message_that_is_late_excuses_until_it_comes_whatever_else_comes(oracle: Oracle) -> None:
    oracle.withheld(KEY, 10.0, 30.0, ends_by_news=False)
    oracle.heard(KEY, 12.0)
    assert ok(oracle, 29.0, OLD)
    assert not ok(oracle, 30.1, OLD)


def test_no_excuse_reaches_back_behind_its_beginning(oracle: Oracle) -> None:
    oracle.moved(KEY, 20.0, NEWEST, told=True)
    oracle.withheld(KEY, 20.0, 60.0)
    assert ok(oracle, 50.0, NEW)
    assert not ok(oracle, 50.0, OLD)


def test_where_messages_tell_changes_alone_the_excuse_lasts_until_what_was_lost_is_told(oracle: Oracle) -> None:
    oracle.withheld(KEY, 10.0, inf, frozenset({"LAST", "BID"}))
    oracle.heard(KEY, 12.0, frozenset({"BID"}))
    assert ok(oracle, 19.0, OLD)
    mixed = (NEW[0], OLD[1])
    assert ok(oracle, 19.0, mixed)
    assert not ok(oracle, 19.0, (7.0, OLD[1]))
    oracle.heard(KEY, 20.0, frozenset({"LAST"}))
    assert ok(oracle, 20.0, mixed)  # what tells it is on its way
    assert not ok(oracle, 20.0 + AFTER, OLD)
    assert not ok(oracle, 20.0 + AFTER, mixed)


def test_a_mixture_is_true_only_where_messages_tell_changes_alone(oracle: Oracle) -> None:
    oracle.withheld(KEY, 10.0, 40.0)
    assert not ok(oracle, 19.0, (NEW[0], OLD[1]))


def test_silence_is_borne_for_as_long_as_the_feed_is_configured_and_in_a_lull_longer(oracle: Oracle) -> None:
    assert oracle.bearable(KEY, 5.0) == (5.0 + 60.0 + 1.0, 5.0 + 180.0 + 1.0)
    oracle.heard(KEY, 10.0)
    assert oracle.bearable(KEY, 12.0) == (10.0 + 60.0 + 1.0, 10.0 + 180.0 + 1.0)
    oracle.heard(KEY, 20.0)
    assert oracle.bearable(KEY, 25.0) == (20.0 + 60.0 + 1.0, 20.0 + 3 * 150.0 + 1.0)
    oracle.heard(KEY, 70.0)
    assert oracle.bearable(KEY, 75.0)[0] == 70.0 + 75.0 + 1.0


def test_silence_counts_from_the_last_subscription_where_nothing_has_come_since(oracle: Oracle) -> None:
    oracle.heard(KEY, 9.0)
    oracle.begun(KEY, 40.0)
    assert oracle.bearable(KEY, 50.0)[0] == 40.0 + 60.0 + 1.0
    oracle.heard(KEY, 45.0)
    assert oracle.bearable(KEY, 50.0)[0] == 45.0 + 60.0 + 1.0


def test_what_is_silent_may_be_called_quiet_for_longer_than_live(oracle: Oracle) -> None:
    oracle.heard(KEY, 9.0)
    oracle.silenced(KEY, 10.0)
    assert oracle.judge(KEY, 69.0, "live", OLD)
    assert not oracle.judge(KEY, 71.0, "live", OLD)
    assert oracle.judge(KEY, 71.0, "quiet", OLD)
    assert not oracle.judge(KEY, 9.0 + 180.0 + 1.1, "quiet", OLD)


def test_a_kill_excuses_what_was_excused_a_little_longer(oracle: Oracle) -> None:
    oracle.withheld(KEY, 10.0, 14.0)
    oracle.killed([KEY], 13.0, 17.0)
    assert ok(oracle, 16.0, OLD)
    assert not ok(oracle, 17.1, OLD)


def test_what_is_kept_of_the_past_is_bounded(oracle: Oracle) -> None:
    for number in range(1000):
        oracle.moved(KEY, 20.0 + number, (float(number), 0.0), told=True)
    assert len(oracle.market(KEY).past) <= PAST + 1
    assert ok(oracle, 1019.0, (999.0, 0.0))
    assert not ok(oracle, 1019.5, (500.0, 0.0))


def test_it_says_which_fault_a_lie_follows(oracle: Oracle) -> None:
    oracle.fault = "reset"
    assert not ok(oracle, 20.0, OLD)
    assert ok(oracle, 21.0, NEW)
    oracle.touched(KEY, "drop")
    assert not ok(oracle, 22.0, OLD)
    assert [lie.fault for lie in oracle.lies] == ["reset", "drop"]


def test_it_knows_what_has_come_since(oracle: Oracle) -> None:
    assert not oracle.heard_since(KEY, 0.0)
    oracle.heard(KEY, 10.0)
    assert oracle.heard_since(KEY, 10.0)
    assert not oracle.heard_since(KEY, 10.1)


def test_it_knows_what_rests(oracle: Oracle) -> None:
    assert not oracle.rests(KEY)  # nothing has come
    oracle.heard(KEY, 10.1)
    assert oracle.rests(KEY)
    oracle.moved(KEY, 30.0, NEWEST, told=False)
    assert oracle.rests(KEY)
    oracle.moved(KEY, 40.0, OLD, told=True)
    assert not oracle.rests(KEY)
