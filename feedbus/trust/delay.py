"""How late the data of a feed's connections is, by the times of its events. Pure: time is an argument.

From an event's time at the venue to its receipt passes what the data is late, and the difference of the two clocks.
Within DELAYED_AFTER (a minute) either way it is taken for a difference of the clocks, and the data for being on time.
Above that it is taken for a delay. An event that was received more than that before it happened shows nothing but that
a clock is wrong, and then what was known of the connection still counts. Of the events of some seconds the least delay
counts, because it holds no waiting in queues. Where a venue's times may be those at which it sends what is old, and the
data says otherwise how late it is (`told`), then that counts until it says something else.

When our own clock is set, the data is exactly as late as it was before. So the step is taken off (`correction`), until
it proves to have been a correction itself: the present clock is believed as it is once it brings events and receipts
nearer together than the former one would. There is one exception. Where data was delayed, and the clock is set so that
it seems to be on time, it may be that the clock was wrong before, and just as well that it is wrong now. Then the data
goes on being delayed, since it does less harm to say so of data that is on time than the opposite.
"""

from __future__ import annotations

from feedbus.schema.events import DELAYED_AFTER, OLD_PICTURE
from feedbus.trust.clock_model import ClockFit, ClockModel

SETTLE = 5.0
"""Seconds after a step of our clock was noticed, in which nothing is concluded of delays: some of the events were
received before it."""
BELIEVED_AFTER = 3
"""How many times in a row the present clock must fit better than the one before it was set."""


class ConnectionDelay:
    """What is known of one connection. Its connector compares the delay of each read with `look_below` itself, and
    reports only those below it. `negative` counts the reads whose last event was received before it happened.
    `delay_ns` is the least delay of the last time, None when nothing came; where the data says itself that it is late,
    it is that."""

    __slots__ = ("delay_ns", "is_delayed", "least", "look_below", "name", "negative", "resolution", "told")

    def __init__(self, name: str, look_below: int) -> None:
        self.name = name
        self.look_below = look_below
        self.least: int | None = None
        self.resolution = 0
        self.negative = 0
        self.delay_ns: int | None = None
        self.is_delayed: bool | None = None  # None: nothing is known
        self.told = 0  # how late the data was by what it said last itself


class FeedDelay:
    """The delays of one feed, whose connections have one clock and one venue. `now` is seconds of a clock that is never
    set; everything else is nanoseconds.

    `correction` is what is taken off delays. `stepped` is by how much our clock was set in all.
    """

    def __init__(self) -> None:
        self.model = ClockModel()
        self.correction = 0
        self.stepped = 0
        self._connections: dict[str, ConnectionDelay] = {}
        self._settled_at = 0.0
        self._doubts = 0  # how many times in a row the present clock fitted better

    def connection(self, name: str) -> ConnectionDelay:
        """What is known of the connection of this name."""
        found = self._connections.get(name)
        if found is None:
            found = self._connections[name] = ConnectionDelay(name, self._highest())
        return found

    def is_delayed(self, name: str) -> bool:
        """Whether the data of this connection is known to come more than DELAYED_AFTER after it was made."""
        found = self._connections.get(name)
        return found is not None and found.is_delayed is True

    @property
    def negative(self) -> int:
        """How many reads brought an event, as the last one, that was received before it happened."""
        return sum(each.negative for each in self._connections.values())

    def fit(self, now: float) -> ClockFit | None:
        """How far our clock is ahead of the venue's, as it is set now; None while that isn't known."""
        fit = self.model.fit(now)
        if fit is None:
            return None
        return ClockFit(fit.offset_ns + self.stepped, fit.error_ns, fit.drift_ppm, fit.points)

    def turns(self, of: ConnectionDelay, delay: int, resolution: int, now: float) -> bool:
        """Whether this delay alone would turn the verdict about its connection. Before that is done, the caller looks
        whether our clock was set."""
        verdict = self._verdict_at_once(of, delay, resolution)
        return now >= self._settled_at and (verdict is True) != (of.is_delayed is True)

    def note(self, of: ConnectionDelay, delay: int, resolution: int, now: float) -> None:
        """Take in the delay of one read, if it is below `look_below`.

        A connection that is delayed is on time by the first event that is. One of which nothing is known is delayed by
        the first late event, unless another one is on time: then it may be a picture of a paper that stood still.
        """
        of.negative += delay < 0
        if now < self._settled_at:
            of.look_below = 0
            return
        if of.least is None or delay < of.least:
            of.least, of.resolution = delay, resolution
        of.look_below = max(of.least, 0)
        of.is_delayed = self._verdict_at_once(of, delay, resolution)

    def take(self, of: ConnectionDelay, now: float, told: int | None = None) -> None:
        """End a time of some seconds: `delay_ns` is the least delay in it, and the connection is judged by that, and by
        what the data told itself."""
        least, of.least, of.look_below = of.least, None, self._highest()
        if now < self._settled_at:
            least, told, of.look_below = None, None, 0
        self._judge(of, least, now)
        if told is not None:
            of.told = told - self.correction
        if of.told > DELAYED_AFTER:
            of.delay_ns, of.is_delayed = of.told, True

    def _judge(self, of: ConnectionDelay, least: int | None, now: float) -> None:
        if least is None:
            of.delay_ns = None
            return
        self._believe(least)
        of.delay_ns = lag = least - self.correction
        verdict = _verdict(lag, of.resolution)
        of.is_delayed = of.is_delayed if verdict is None else verdict
        if lag <= DELAYED_AFTER:
            self.model.add(least - self.stepped, of.resolution, now)

    def step(self, step: int, now: float) -> None:
        """Our clock was set by so many nanoseconds, forward or back, at some moment of the last seconds."""
        self.stepped += step
        self.correction += step
        self._settled_at = now + SETTLE
        self._doubts = 0
        for each in self._connections.values():
            each.least, each.look_below = None, 0

    def _verdict_at_once(self, of: ConnectionDelay, delay: int, resolution: int) -> bool | None:
        if of.told > DELAYED_AFTER:
            return True
        verdict = _verdict(delay - self.correction, resolution)
        if verdict and of.is_delayed is None:
            return None if any(each.is_delayed is False for each in self._connections.values()) else True
        return of.is_delayed if verdict is None or verdict else verdict

    def _believe(self, least: int) -> None:
        """Give up the correction where it fits worse than no correction, and hides no delay."""
        corrected = least - self.correction
        self._doubts = self._doubts + 1 if abs(least) < abs(corrected) and corrected <= DELAYED_AFTER else 0
        if self._doubts >= BELIEVED_AFTER:
            self._doubts = self.correction = 0

    def _highest(self) -> int:
        return OLD_PICTURE + self.correction


def _verdict(lag: int, resolution: int) -> bool | None:
    """Whether data is delayed that is so late; None where it comes before it is made. Times that are cut off to their
    resolution make it seem later than it is."""
    if lag < -DELAYED_AFTER:
        return None
    return lag - resolution > DELAYED_AFTER
