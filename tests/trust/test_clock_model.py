"""The distance of two clocks, found again in delays that are made of a known one and of queues."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.trust.clock_model import KEPT, SLOT, ClockFit, ClockModel
from tests.places import CAPTURES

MS = 1_000_000
SECOND = 1_000 * MS
EVERY = 5.0  # seconds between two delays that the model is given
CAPTURE = CAPTURES / "binance" / "spot_btcusdt_20240808.gz"


def queueing(rng: random.Random, most: int) -> int:
    """How long the least delayed event of five seconds waited: seldom nothing, often long, sometimes seconds."""
    return most // 20 if rng.random() < 0.1 else round(rng.paretovariate(1.0) * most)


def delays(
    offset: int, ppm: float, *, seconds: float, seed: int, most: int = MS, start: float = 0.0
) -> Iterator[tuple[float, int]]:
    """Delays between clocks that are `offset` ns apart at time 0 and drift. Of any minute one waits at most `most`."""
    rng = random.Random(seed)
    for number in range(int(seconds / EVERY)):
        at = start + number * EVERY
        waited = rng.randrange(most) if number % int(SLOT / EVERY) == 3 else queueing(rng, most)
        yield at, offset + round(at * ppm * 1000) + waited


def fed(model: ClockModel, series: Iterator[tuple[float, int]], resolution: int = 0) -> ClockFit:
    at = 0.0
    for at, delay in series:
        model.add(delay - delay % resolution if resolution else delay, resolution, at)
    fit = model.fit(at)
    assert fit is not None
    return fit


@pytest.mark.parametrize("ppm", [50.0, -50.0, 0.0, 0.7])
@pytest.mark.parametrize("offset", [0, 300 * MS, -1270 * MS, 40 * SECOND])
@pytest.mark.parametrize("seed", range(3))
def test_offset_and_drift_are_found_within_what_the_docstring_says(offset: int, ppm: float, seed: int) -> None:
    """An hour, of which every minute has an event that waited for at most 1 ms. Half of the others waited for 2 ms and
    more, and some for seconds."""
    fit = fed(ClockModel(), delays(offset, ppm, seconds=3600, seed=seed))
    truth = offset + (3600 - EVERY) * ppm * 1000
    assert abs(fit.offset_ns - truth) <= MS
    assert fit.drift_ppm is not None
    assert abs(fit.drift_ppm - ppm) <= 0.6


def test_the_drift_is_told_after_ten_minutes_within_what_the_docstring_says() -> None:
    model = ClockModel()
    assert fed(model, delays(0, 50.0, seconds=600, seed=1)).drift_ppm is None
    fit = fed(model, delays(0, 50.0, seconds=120, seed=2, start=600))
    assert fit.drift_ppm == pytest.approx(50.0, abs=3.4)


@given(
    st.integers(-60 * SECOND, 60 * SECOND),
    st.floats(-50, 50),
    st.lists(st.integers(0, MS), min_size=12, max_size=2 * KEPT),
)
def test_whatever_the_queues_do_below_a_bound_the_error_is_below_it(offset: int, ppm: float, waits: list[int]) -> None:
    model = ClockModel()
    for number, waited in enumerate(waits):
        model.add(offset + round(number * SLOT * ppm * 1000) + waited, 0, number * SLOT)
    last = (len(waits) - 1) * SLOT
    fit = model.fit(last)
    assert fit is not None
    assert fit.drift_ppm is not None
    assert abs(fit.drift_ppm - ppm) * 1000 <= 2 * MS / min(last, (KEPT - 1) * SLOT) + 1
    assert abs(fit.offset_ns - offset - last * ppm * 1000) <= MS + 1
    assert model.shifts == 0


@pytest.mark.parametrize(("jump", "known_after"), [(-300 * MS, 10), (300 * MS, 240)])
def test_a_jump_of_the_clocks_is_found_and_the_drift_holds_nothing_of_it(jump: int, known_after: float) -> None:
    model = ClockModel()
    fed(model, delays(20 * MS, 5.0, seconds=1800, seed=3))
    after = list(delays(20 * MS + jump, 5.0, seconds=3600, seed=4, start=1800))
    soon = fed(model, (each for each in after if each[0] <= 1800 + known_after))
    assert abs(soon.offset_ns - (20 * MS + jump + (1800 + known_after) * 5000)) <= 2 * MS
    fit = fed(model, (each for each in after if each[0] > 1800 + known_after))
    assert fit.drift_ppm == pytest.approx(5.0, abs=0.6)
    assert abs(fit.offset_ns - (20 * MS + jump + (5400 - EVERY) * 5000)) <= MS
    assert model.shifts == 1


def test_queues_that_last_for_almost_three_minutes_move_nothing() -> None:
    model = ClockModel()
    before = fed(model, delays(20 * MS, 0.0, seconds=1800, seed=5))
    fit = fed(model, delays(5 * SECOND, 0.0, seconds=175, seed=6, start=1800))
    assert fit.offset_ns == pytest.approx(before.offset_ns, abs=MS)
    assert model.shifts == 0
    fit = fed(model, delays(20 * MS, 0.0, seconds=600, seed=7, start=1980))
    assert fit.offset_ns == pytest.approx(20 * MS, abs=MS)


def test_one_event_with_a_wrong_time_moves_nothing() -> None:
    model = ClockModel()
    fed(model, delays(20 * MS, 0.0, seconds=900, seed=8))
    for at in (900.0, 900.0, 902.0):  # on several connections at once
        model.add(-5 * SECOND, 0, at)
    fit = fed(model, delays(20 * MS, 0.0, seconds=60, seed=9, start=905))
    assert fit.offset_ns == pytest.approx(20 * MS, abs=MS)
    assert (model.shifts, model.strays) == (0, 1)


def test_a_start_under_load_is_forgotten_as_soon_as_the_load_is_gone() -> None:
    model = ClockModel()
    fed(model, delays(3 * SECOND, 0.0, seconds=60, seed=10))
    fit = fed(model, delays(20 * MS, 0.0, seconds=60, seed=11, start=60))
    assert fit.offset_ns == pytest.approx(20 * MS, abs=MS)


def test_of_whole_seconds_the_offset_is_known_to_a_second_and_no_drift_is_told() -> None:
    cut = fed(ClockModel(), delays(0, 50, seconds=3600, seed=1), SECOND)
    assert cut.error_ns >= SECOND
    assert cut.drift_ppm is None


def test_nothing_is_known_of_nothing() -> None:
    assert ClockModel().fit(5.0) is None


def test_the_memory_is_bounded() -> None:
    model = ClockModel()
    fed(model, delays(0, 1.0, seconds=3 * 3600, seed=12))
    assert len(model._points) == KEPT


@pytest.mark.skipif(not CAPTURE.exists(), reason=f"no capture of the venue at {CAPTURE}")
def test_the_recorder_of_the_capture_was_more_than_a_second_behind() -> None:
    """Its lines begin with the time of receipt; E is the venue's, in milliseconds. Half of its events wait for up to
    100 ms until the venue sends them."""
    model, least, until = ClockModel(), None, None
    with gzip.open(CAPTURE, "rt") as lines:
        for line in lines:
            received, _, text = line.partition(" ")
            data = json.loads(text).get("data", {})
            if "E" not in data:
                continue
            at, delay = int(received) / 1e9, int(received) - data["E"] * MS
            least = delay if least is None else min(delay, least)
            until = until or at + EVERY
            if at >= until:
                model.add(least, MS, at)
                least, until = None, at + EVERY
                fit = model.fit(at)
                assert fit is not None
                assert -1300 * MS < fit.offset_ns < -1240 * MS
    assert model.shifts == 0
