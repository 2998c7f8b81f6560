"""Whether the data of a feed's connections is delayed, while clocks are wrong and are set."""

from __future__ import annotations

import random

import pytest

from feedbus.schema.events import DELAYED_AFTER, OLD_PICTURE
from feedbus.trust.delay import BELIEVED_AFTER, SETTLE, FeedDelay

MS = 1_000_000
SECOND = 1_000 * MS
GUEST = 900 * SECOND  # how late the data of a guest is
EVERY = 5.0


class Reads:
    """Plays the connectors of a feed: all their reads go by `look_below`, and every five seconds it is judged."""

    def __init__(self, *names: str) -> None:
        self.feed = FeedDelay()
        self.names = names or ("feed/0",)
        self.now = 100.0
        for name in self.names:
            self.feed.connection(name)

    def read(self, delay: int, name: str = "feed/0", resolution: int = 0) -> bool:
        """One read with this delay. Returns the verdict after it."""
        of = self.feed.connection(name)
        if delay < of.look_below:
            self.feed.note(of, delay, resolution, self.now)
        return self.feed.is_delayed(name)

    def judge(self) -> None:
        for name in self.names:
            self.feed.take(self.feed.connection(name), self.now)

    def run(self, delay: int, times: int = 8) -> list[bool]:
        """So many times five seconds of reads, of which one in five doesn't wait in a queue. Returns the verdicts after
        each of the reads."""
        rng = random.Random(times)
        found = []
        for _ in range(times):
            for most in (3 * SECOND, 3 * SECOND, 10 * MS, 3 * SECOND, 3 * SECOND):
                self.now += EVERY / 5
                found += [self.read(delay + rng.randrange(most), name) for name in self.names]
            self.judge()
            found += [self.feed.is_delayed(name) for name in self.names]
        return found

    def set_clock(self, step: int) -> None:
        self.feed.step(step, self.now)

    def lag(self) -> float | None:
        ns = self.feed.connection("feed/0").delay_ns
        return None if ns is None else ns / SECOND


@pytest.mark.parametrize(
    ("delay", "resolution", "verdict"),
    [
        (20 * MS, MS, False),
        (DELAYED_AFTER, 0, False),
        (DELAYED_AFTER + 1, 0, True),
        (DELAYED_AFTER + SECOND, SECOND, False),  # the time was cut off, so it may be a second less
        (DELAYED_AFTER + SECOND + 1, SECOND, True),
        (GUEST, MS, True),
        (OLD_PICTURE - 1, MS, True),
        (OLD_PICTURE, MS, False),  # a picture of the past
        (-20 * MS, MS, False),
        (-2 * DELAYED_AFTER, MS, False),
    ],
)
def test_one_constant_parts_delays_from_clocks(delay: int, resolution: int, verdict: bool) -> None:
    reads = Reads()
    assert reads.read(delay, resolution=resolution) is verdict, "the first event is judged at once"
    reads.judge()
    assert reads.feed.is_delayed("feed/0") is verdict


def test_one_event_that_waited_makes_nothing_late() -> None:
    reads = Reads()
    assert not any(reads.read(delay) for delay in (MS, GUEST, 2 * GUEST, 5 * MS))
    reads.judge()
    assert not reads.read(GUEST), "it takes all events of some seconds"
    reads.judge()
    assert reads.feed.is_delayed("feed/0")
    assert not reads.read(2 * SECOND), "and a single one to be on time again"


def test_a_paper_that_stands_still_isnt_late_while_others_are_on_time() -> None:
    reads = Reads("feed/0", "feed/1")
    reads.read(MS, "feed/0")
    assert not reads.read(GUEST, "feed/1")


def test_a_silent_connection_stays_as_it_was_and_has_no_delay() -> None:
    reads = Reads()
    reads.run(GUEST)
    assert reads.lag() == pytest.approx(900, abs=3)
    reads.judge()
    assert (reads.lag(), reads.feed.is_delayed("feed/0")) == (None, True)
    assert not reads.feed.is_delayed("nobody")


@pytest.mark.parametrize("names", [("feed/0",), ("feed/0", "feed/1", "feed/2")])
@pytest.mark.parametrize("step", [0.3, -0.3, 50, 59.99, 90, 120, -120, -900, -870, 900, 3500, -3500, 90_000, -90_000])
@pytest.mark.parametrize("delay", [20 * MS, GUEST])
def test_setting_our_clock_makes_nothing_late_and_hides_no_delay(
    delay: int, step: float, names: tuple[str, ...]
) -> None:
    """Our clock was right, and is wrong from now on, for five minutes; then it is right again."""
    reads = Reads(*names)
    reads.run(delay)
    wrong = round(step * SECOND)
    late = delay == GUEST
    reads.set_clock(wrong)
    assert set(reads.run(delay + wrong, 60)) == {late}
    assert reads.lag() == pytest.approx(delay / SECOND, abs=1), "ages don't jump"
    fit = reads.feed.fit(reads.now)
    assert late or (fit is not None and fit.offset_ns == pytest.approx(delay + wrong, abs=SECOND))
    reads.set_clock(-wrong)
    assert set(reads.run(delay, 60)) == {late}
    assert reads.lag() == pytest.approx(delay / SECOND, abs=1)


@pytest.mark.parametrize("wrong", [-1.27, -30, 30, -3600, -90_000])
def test_a_clock_that_was_wrong_from_the_start_is_believed_once_it_is_set_right(wrong: float) -> None:
    """A virtual machine that was paused, or a clock that is off until NTP has been asked."""
    reads = Reads()
    reads.run(20 * MS + round(wrong * SECOND))
    reads.set_clock(-round(wrong * SECOND))
    assert not any(reads.run(20 * MS, 60))
    assert reads.lag() == pytest.approx(0, abs=3)
    assert reads.feed.correction == 0
    fit = reads.feed.fit(reads.now)
    assert fit is not None
    assert fit.offset_ns == pytest.approx(20 * MS, abs=SECOND)


def test_a_real_delay_is_known_also_where_the_clock_was_far_behind_at_first() -> None:
    reads = Reads()
    assert not any(reads.run(GUEST - 3600 * SECOND)), "nobody can know"
    reads.set_clock(3600 * SECOND)
    reads.run(GUEST, BELIEVED_AFTER + 2)
    assert reads.feed.is_delayed("feed/0")


def test_a_clock_that_is_suddenly_far_behind_hides_no_delay_and_a_pause_of_the_machine_makes_none() -> None:
    """While a virtual machine is paused both of its clocks stand still, and no step is seen until NTP sets it right."""
    for delay in (GUEST, 20 * MS):
        reads = Reads()
        reads.run(delay)
        assert set(reads.run(delay - 3600 * SECOND)) == {delay == GUEST}
        reads.set_clock(3600 * SECOND)
        assert set(reads.run(delay)) == {delay == GUEST}
        assert reads.lag() == pytest.approx(delay / SECOND, abs=1)


def test_one_event_with_a_wrong_time_makes_no_clock_right() -> None:
    reads = Reads()
    reads.run(20 * MS)
    reads.set_clock(120 * SECOND)
    reads.run(120 * SECOND + 20 * MS)
    reads.read(20 * MS)
    assert not any(reads.run(120 * SECOND + 20 * MS))


def test_small_corrections_for_weeks_dont_add_up() -> None:
    reads = Reads()
    for _ in range(700):
        reads.set_clock(100 * MS)
        assert not any(reads.run(20 * MS, 4))
    assert reads.lag() == pytest.approx(0, abs=3)


def test_after_a_step_nothing_is_concluded_of_events_from_before_it() -> None:
    reads = Reads()
    reads.run(20 * MS)
    reads.set_clock(120 * SECOND)
    reads.read(20 * MS)  # it was received before
    reads.judge()
    assert reads.lag() is None
    reads.now += SETTLE
    reads.judge()
    assert not any(reads.run(20 * MS + 120 * SECOND))


def test_negative_delays_are_counted_one_by_one_and_told_as_they_are() -> None:
    reads = Reads("feed/0", "feed/1")
    for delay in (MS, -3 * MS, -MS, -2 * MS, 0, 5 * MS):
        reads.read(delay)
    reads.read(-1, "feed/1")
    assert reads.feed.negative == 4
    reads.judge()
    assert reads.lag() == -0.003
    reads.set_clock(-120 * SECOND)
    assert [reads.read(-119 * SECOND) for _ in range(3)] == [False] * 3
    assert reads.feed.negative == 7, "also while nothing else is concluded"


def test_a_verdict_that_would_turn_is_told_before_it_does() -> None:
    reads = Reads()
    feed, of = reads.feed, reads.feed.connection("feed/0")
    assert feed.turns(of, GUEST, 0, reads.now)
    assert not feed.turns(of, MS, 0, reads.now), "it isn't known to be late before, either"
    reads.read(GUEST)
    assert feed.turns(of, MS, 0, reads.now)
    assert not feed.turns(of, GUEST, 0, reads.now)
    reads.set_clock(SECOND)
    assert not feed.turns(of, MS, 0, reads.now)


@pytest.mark.parametrize("step", [0, 120 * SECOND, -900 * SECOND])
def test_what_the_data_says_of_itself_counts_more_than_when_it_was_sent(step: int) -> None:
    """A guest's, whose messages bear the time at which they were sent."""
    reads = Reads()
    feed, of = reads.feed, reads.feed.connection("feed/0")
    reads.run(20 * MS)
    feed.take(of, reads.now, GUEST)
    assert (reads.lag(), feed.is_delayed("feed/0")) == (900, True)
    reads.set_clock(step)
    assert all(reads.run(20 * MS + step, 30)), "until it says something else"
    assert reads.lag() == 900
    feed.take(of, reads.now, GUEST + step + SECOND)
    assert reads.lag() == 901
    fit = feed.fit(reads.now)
    assert fit is not None
    assert fit.offset_ns == pytest.approx(20 * MS + step, abs=SECOND), "the times of sending tell it all the same"
    reads.read(20 * MS + step)
    feed.take(of, reads.now, 2 * SECOND + step)
    assert (reads.lag(), feed.is_delayed("feed/0")) == (0.02, False)


def test_what_the_data_says_while_the_clock_is_set_is_passed_over() -> None:
    reads = Reads()
    feed, of = reads.feed, reads.feed.connection("feed/0")
    reads.run(20 * MS)
    reads.set_clock(120 * SECOND)
    feed.take(of, reads.now, 121 * SECOND)
    assert not feed.is_delayed("feed/0")


def test_what_is_delayed_is_no_offset() -> None:
    reads = Reads()
    reads.run(GUEST)
    assert reads.feed.fit(reads.now) is None


def test_where_a_step_may_hide_a_delay_the_data_goes_on_being_delayed() -> None:
    """A clock that was 15 minutes ahead and is right now looks the same as a guest's data and a clock set wrong."""
    reads = Reads()
    reads.run(GUEST)
    reads.set_clock(-GUEST)
    assert all(reads.run(20 * MS, 60))
