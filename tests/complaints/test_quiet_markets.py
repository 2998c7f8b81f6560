"""Users complain: the watchdog takes a quiet market for a dead connection. All night it connects anew, again and again,
and so it does before the opening, in a break, and when nobody trades.

Here markets fall silent in every way in which they do. Nothing is connected or subscribed anew because of it, and
nothing is said of an instrument that would be an alarm.
"""

from __future__ import annotations

import datetime as dt
import logging
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.complaints.scene import Scene

LEARNT = 110.0  # seconds after which it is known that these markets are never silent for long
SILENT = 600.0  # seconds
LULL = 8  # how many times slower it is in a lull
MOSCOW = dt.timezone(dt.timedelta(hours=3))
WORRIES = {"stale", "gapped", "resyncing", "unsubscribed", "delayed"}


def at(text: str) -> int:
    """A time of Wednesday, 2023-11-15 in Moscow, in nanoseconds since the epoch."""
    return round(dt.datetime.fromisoformat(f"2023-11-15T{text}").replace(tzinfo=MOSCOW).timestamp()) * 10**9


def says(scene: Scene, status: str, *symbols: str) -> None:
    """The venue says this trading status of these instruments, or of all, as soon as it says anything of them."""
    venue: Any = scene.venue
    for symbol in symbols or scene.symbols:
        bodies = venue._venue.bodies[venue._market.instruments[symbol].security.ticker]
        bodies._fixed_cells["TRADINGSTATUS"] = f'"{status}"'


def trades(scene: Scene, *symbols: str) -> None:
    """From now on these instruments are traded, and no others."""
    venue: Any = scene.venue
    venue._market._all = [venue._market.instruments[symbol] for symbol in symbols]


async def all_calm(scene: Scene, seconds: float, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is done, or said that would be an alarm, for so long."""
    attempts = scene.attempts()
    await trio.sleep(seconds)
    assert scene.attempts() == attempts
    assert scene.repairs() == {}
    assert WORRIES.isdisjoint(status.state for status in scene.said), scene.told()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(("status", "state"), [("N", "closed"), ("B", "closed"), ("O", "quiet")])
async def test_a_market_of_which_the_venue_says_that_it_is_not_traded(
    status: str, state: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Closed, in a break, and before the opening."""
    scene = Scene("moex", tickers=4)
    async with scene.running():
        await trio.sleep(LEARNT)
        says(scene, status)
        await trio.sleep(5.0)
        trades(scene)
        await all_calm(scene, SILENT, caplog)
        assert set(scene.states()) == {state}
        says(scene, "T")
        trades(scene, *scene.symbols)
        await all_calm(scene, 10.0, caplog)
        assert set(scene.states()) == {"live"}


async def test_one_paper_that_is_halted_while_all_others_are_traded(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene("moex", connections=1)
    halted, *others = scene.symbols
    async with scene.running():
        await trio.sleep(LEARNT)
        says(scene, "N", halted)
        await trio.sleep(5.0)
        trades(scene, *others)
        await all_calm(scene, SILENT / 3, caplog)
        assert set(scene.states({halted})) == {"closed"}
        assert set(scene.states(set(others))) == {"live"}


@pytest.mark.parametrize(
    ("begin", "before"),
    [
        ("18:37:00", LEARNT),  # to the auction at the close and after it
        ("23:47:00", LEARNT),  # to the end of the evening
        ("09:50:00", 2.0),  # to the opening of a day that is a holiday
        ("06:40:00", 2.0),  # before everything
    ],
)
async def test_what_the_calendar_says_where_nothing_else_does(
    begin: str, before: float, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene("moex", tickers=4, channels=("orderbooks",), start_ns=at(begin))
    scene.reader.keys = tuple((symbol, "book") for symbol in scene.symbols)
    async with scene.running(live_within=None):
        await trio.sleep(before)
        scene.said.clear()
        trades(scene)
        await all_calm(scene, SILENT, caplog)
        assert {"closed", "quiet"}.issuperset(scene.states())


def slows_down(scene: Scene, times: int) -> None:
    """All instruments act so many times more seldom."""
    venue: Any = scene.venue
    for instrument in venue._market.instruments.values():
        instrument._quiet *= times
        if venue.name == "binance":
            instrument._chance /= times
        else:
            instrument._act_chance /= times


@pytest.mark.parametrize("venue", ["moex", "binance"])
async def test_a_lull_in_which_all_becomes_slower(
    venue: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(venue, tickers=6)
    async with scene.running():
        await trio.sleep(LEARNT)
        slows_down(scene, LULL)
        await all_calm(scene, SILENT / 2, caplog)
        assert "quiet" in {status.state for status in scene.said}


async def test_the_only_pair_of_a_new_service_that_is_traded_every_few_minutes(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """There is nothing to compare it with, and nothing is learnt of it."""
    scene = Scene("binance", tickers=1, connections=1, channels=("bookTicker",), tempo=200.0)
    scene.reader.keys = ((scene.symbols[0], "quote"),)
    async with scene.running(live_within=500.0):
        await all_calm(scene, 2 * SILENT, caplog)
        assert scene.usable()
