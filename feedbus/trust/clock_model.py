"""How far our clock is from a venue's, and how fast it moves away, by the times of events. Pure: time is an argument.

From an event's time at the venue to its receipt pass the way, what the event waited for on it, and the difference of
the two clocks. The waiting is never below 0, and now and then an event doesn't wait at all. So of every minute only the
least delay is kept, and a line is laid below these points that touches them and lies as high as it can: the one whose
distances to all points have the least sum. Its height is the offset and its slope the drift. A queue that makes events
late for seconds lifts points, but not the line. (The way of the fastest event can't be told from the offset. So the
offset of a clock that is right is that way, of milliseconds up to a quarter of a second.)

How exact that is: where the least delay of each minute is at most e above the truth, and data comes in every minute,
the offset is within e, and the drift within 2 e / span, where span is the time between the first and the last point (an
hour at most): with e = 1 ms, the offset is within 1 ms, and the drift after ten minutes within 3.4 ppm, after an hour
within 0.6 ppm. The resolution of the venue's times belongs to e: of times in whole seconds the offset is known to a
second, and the drift hardly.

When the clocks jump against each other (one of them is set, or the way becomes another), all delays move at once.
Delays that fall by more than SHIFT are believed when they still do CONFIRM seconds later, so that one event with a
wrong time does no harm, and those that rise by as much when the least delays of RISEN minutes have. Then the points
from before count no more. So a jump is known after 5 s or after 4 minutes, and a way that is slower for longer than
that counts as one. Steps that are known exactly have to be taken out of the delays by the caller.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import ceil
from statistics import median

import msgspec

SLOT = 60.0
"""Seconds of which the least delay is kept."""
KEPT = 60
"""How many of them are kept, which is an hour."""
FIT_AFTER = 600.0
"""Seconds between the first and the last point, below which no drift is told: a line through points that are close
together would lead anywhere."""
SHIFT = 100_000_000
"""Nanoseconds. Delays that move together by more than this, and by more than the resolution, have jumped. A drift of up
to 150 ppm stays below it until it is known."""
CONFIRM = 4.0
"""Seconds after which delays that have fallen must still be as low."""
RISEN = 3
"""Slots whose least delays must have risen."""
DRIFT_WITHIN = 50.0
"""The drift is told where it is known to within so many ppm."""

_Point = tuple[float, int, int]
"""When (seconds), the delay and its resolution (ns)."""


class ClockFit(msgspec.Struct, frozen=True):
    """`offset_ns` is by how much our clock is ahead of the venue's now, the fastest way included; `error_ns` is how far
    the points lie above the line (half of them less than that), plus the resolution of the venue's times. `drift_ppm`
    is how fast the offset grows, in microseconds a second; None while it isn't known to within DRIFT_WITHIN. `points`
    is of how many slots that is."""

    offset_ns: int
    error_ns: int
    drift_ppm: float | None
    points: int


class ClockModel:
    """Is given delays, and keeps at most KEPT points. Times are seconds of a clock that is never set, delays
    nanoseconds. `shifts` counts the jumps that were believed, `strays` the low delays that weren't."""

    __slots__ = ("_fallen", "_points", "shifts", "strays")

    def __init__(self) -> None:
        self.shifts = 0
        self.strays = 0
        self._points: deque[_Point] = deque(maxlen=KEPT)  # one for each slot that anything came in, the last one open
        self._fallen: _Point | None = None  # a delay that is too low and not yet confirmed

    def add(self, delay_ns: int, resolution_ns: int, now: float) -> None:
        """Take in the least delay of the last seconds, and the resolution of the venue's time that it is made of."""
        point = (now, delay_ns, resolution_ns)
        if not self._points:
            self._points.append(point)
            return
        if delay_ns < _height(self._points, now) - SHIFT - resolution_ns:
            self._fall(point)
            return
        if self._fallen is not None and now >= self._fallen[0] + CONFIRM:
            self.strays += 1
            self._fallen = None
        then, least, _ = self._points[-1]
        if then // SLOT == now // SLOT:
            if delay_ns < least:
                self._points[-1] = point
            return
        self._forget_before_rise()
        self._points.append(point)

    def fit(self, now: float) -> ClockFit | None:
        """The offset and the drift at this time; None before the first delay."""
        points = self._points
        if not points:
            return None
        at, height, slope = _line(points)
        error = ceil(median(delay - height - slope * (then - at) for then, delay, _ in points))
        error += max(resolution for _, _, resolution in points)
        span = points[-1][0] - points[0][0]
        known = span >= FIT_AFTER and 2 * error / span <= DRIFT_WITHIN * 1000
        return ClockFit(round(height + slope * (now - at)), error, slope / 1000 if known else None, len(points))

    def _fall(self, point: _Point) -> None:
        """A delay is lower than any could be. When such ones keep coming, the clocks have jumped."""
        fallen = self._fallen
        if fallen is None:
            self._fallen = point
        elif point[0] >= fallen[0] + CONFIRM:
            self._points.clear()
            # A wrong time among them is below the right one, so the higher of the two does less harm.
            self._points.append((point[0], max(point[1], fallen[1]), point[2]))
            self._fallen = None
            self.shifts += 1

    def _forget_before_rise(self) -> None:
        """Where the last slots all lie far above those before them, only they count."""
        points = list(self._points)
        before, last = points[:-RISEN], points[-RISEN:]
        if before and all(delay > _height(before, then) + SHIFT + resolution for then, delay, resolution in last):
            self._points = deque(last, maxlen=KEPT)
            self.shifts += 1


def _height(points: Sequence[_Point], now: float) -> float:
    at, height, slope = _line(points)
    return height + slope * (now - at)


def _line(points: Sequence[_Point]) -> tuple[float, float, float]:
    """The highest line below all points: a time, its height there (ns), and its slope (ns a second). Of points that are
    close together it is level, and touches the lowest one.

    Below all points and highest above their mean time is the edge of their lower hull over that time.
    """
    if points[-1][0] - points[0][0] < FIT_AFTER:
        at, least, _ = min(points, key=lambda point: point[1])
        return at, float(least), 0.0
    mean = sum(point[0] for point in points) / len(points)
    hull: list[tuple[float, int]] = []
    for at, delay, _ in points:
        while len(hull) > 1 and _is_above(hull[-2], hull[-1], (at, delay)):
            hull.pop()
        hull.append((at, delay))
    right = next(index for index, (at, _) in enumerate(hull) if at >= mean)
    (from_at, from_delay), (to_at, to_delay) = hull[right - 1], hull[right]
    return from_at, float(from_delay), (to_delay - from_delay) / (to_at - from_at)


def _is_above(left: tuple[float, int], middle: tuple[float, int], right: tuple[float, int]) -> bool:
    """Whether the middle point lies on or above the line between the others."""
    return (middle[1] - left[1]) * (right[0] - left[0]) >= (right[1] - left[1]) * (middle[0] - left[0])
