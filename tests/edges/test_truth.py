"""A hundred simulations of twenty minutes: no price that the bus calls live is untrue.

They are small, so that all of them take a minute or two on two processors: what comes of the length of a run (what is
learnt of silences, many faults one after another) needs no more instruments. All are one test, whose processes share
them, since the tests of one file run in one process.
"""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest

from feedbus.testing.truth.faults import random_schedule
from feedbus.testing.truth.outcome import RunOutcome
from feedbus.testing.truth.world import run

pytestmark = [pytest.mark.edge, pytest.mark.timeout(600)]
SEEDS = range(20_000, 20_100)
MOST_REPORTS = 5


def play(seed: int) -> RunOutcome:
    return run(random_schedule(seed, seconds=1200.0, connections=3, tickers=9))


def test_no_price_that_is_called_live_is_untrue_in_twenty_minutes() -> None:
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        outcomes = list(pool.map(play, SEEDS, chunksize=2))
    assert len(outcomes) == len(SEEDS)
    failed = [outcome for outcome in outcomes if outcome.failures]
    reports = "\n".join(outcome.report() for outcome in failed[:MOST_REPORTS])
    assert not failed, f"{len(failed)} of {len(outcomes)} failed: {[each.schedule.seed for each in failed]}\n{reports}"
