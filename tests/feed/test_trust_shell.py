"""The shell around the judge: it sweeps every second, publishes what is said, and hands what is in trouble over."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.config import FeedConfig
from feedbus.feed.trust_shell import TrustShell, trust_of_feed
from feedbus.schema.events import BookSnapshot, MarketData, Status, Trade
from feedbus.trust.judge import Facts, Judge, WordTrouble
from feedbus.trust.tempo import StaleRules
from feedbus.trust.tempos import Tempos
from feedbus.venues import binance
from feedbus.venues.moex.account import Account
from feedbus.venues.protocol import Confirmed, Notice, Refused, Resync, Subscription

LOG = logging.getLogger("feedbus.v")
MOEX = FeedConfig(name="moex", venue="moex", url="wss://venue/", symbols=())
BINANCE = FeedConfig(name="binance", venue="binance", url="wss://venue/", symbols=())
BOOKS = Subscription("books", "A")
BOOK = BookSnapshot("v", "A", 1, 5, [(1.0, 1.0)], [(2.0, 1.0)], None)


class Desk:
    """A shell whose judge has one instrument, and what it published and handed over."""

    def __init__(self) -> None:
        self.published: list[MarketData] = []
        self.troubles: list[Sequence[WordTrouble]] = []
        self.shell = TrustShell(
            Judge(Facts("v", {"books": ["book"]}), tempos=Tempos("v", StaleRules(5.0))),
            self.published.extend,
            lambda: 7,
            LOG,
        )
        self.shell.repair = self.troubles.append

    def said(self) -> list[tuple[str, str, int]]:
        found: list[tuple[str, str, int]] = [
            (it.state, it.reason, it.since) for it in self.published if isinstance(it, Status)
        ]
        self.published.clear()
        return found


async def test_what_happens_to_a_connection_is_published(mock_clock: MockClock) -> None:
    desk = Desk()
    trust = desk.shell.connection("v/0")
    trust.begins(["A"])
    trust.opened(1)
    trust.ready()
    assert desk.said() == [("resyncing", "connecting", 7)]
    assert [type(it) for it in trust.take([BOOK], 0.0)] == [BookSnapshot, Status]
    assert trust.note(Notice("nothing"), 0.0) == []
    assert trust.note(Confirmed(BOOKS), 0.0) == []
    (refused,) = trust.note(Refused(BOOKS, "no"), 0.0)
    assert isinstance(refused, Status)
    assert refused.state == "unsubscribed"
    (anew,) = trust.note(Resync(BOOKS, "hole"), 0.0)
    assert isinstance(anew, Status)
    assert anew.state == "resyncing"
    trust.away()
    trust.stopped()
    assert desk.said() == [("unsubscribed", "unwanted", 7)]


async def test_it_sweeps_every_second_and_hands_over_what_is_in_trouble(mock_clock: MockClock) -> None:
    desk = Desk()
    trust = desk.shell.connection("v/0")
    trust.begins(list("ABCDEFGHIJKL"))
    others: list[MarketData] = [msgspec.structs.replace(BOOK, symbol=symbol) for symbol in "BCDEFGHIJKL"]
    trust.take([BOOK, *others], trio.current_time())
    desk.said()
    async with trio.open_nursery() as nursery:
        await nursery.start(desk.shell.run)
        for _ in range(20):
            await wait_all_tasks_blocked()
            mock_clock.jump(1.0)
            trust.take(others, trio.current_time())
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert len(desk.troubles) == 20
    assert [(each.symbol, each.word, each.state) for each in desk.troubles[-1]] == [("A", "book", "stale")]
    assert [state for state, _, _ in desk.said() if state != "live"][:2] == ["quiet", "stale"]


async def test_the_judge_of_a_feed_knows_the_words_of_its_channels(mock_clock: MockClock) -> None:
    shell = trust_of_feed(Account({}, ["orderbooks", "candles.M1"]), MOEX, lambda _: None, lambda: 7, LOG)
    shell.connection("moex/0").begins(["TQBR.SBER"])
    assert [word.name for word in shell.judge.instruments["TQBR.SBER"].words] == ["book", "bar"]


async def test_trades_that_are_missing_are_gapped_before_the_next_and_what_is_refused_is_logged(
    mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    published: list[MarketData] = []
    account = binance.Account({}, ["trade"])
    shell = trust_of_feed(account, BINANCE, published.extend, lambda: 7, LOG)
    trust = shell.connection("binance/0")
    trust.begins(["BTCUSDT"])
    made: list[MarketData] = [Trade("binance", "BTCUSDT", 10 + n, 20 + n, 10.0, 1.0, None, n) for n in range(10)]
    trust.take(made[:3], 0.0)
    out = trust.take(made[5:7], 1.0)
    assert [it.reason if isinstance(it, Status) else type(it).__name__ for it in out] == ["hole", "Trade", "Trade"]
    assert trust.take([made[6]], 1.0) == []  # a replay
    handed: list[Sequence[WordTrouble]] = []
    shell.repair = handed.append
    async with trio.open_nursery() as nursery:
        await nursery.start(shell.run)
        await wait_all_tasks_blocked()
        mock_clock.jump(1.0)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    ((trouble,),) = handed
    assert (trouble.state, trouble.channels) == ("gapped", ("trade",))
    assert "2 trades" in trouble.text
    assert len([text for text in caplog.messages if text.startswith("trade of BTCUSDT: ")]) == 1
    (anew,) = trust.note(Resync(Subscription("trade", "BTCUSDT"), trouble.text), 2.0)
    assert isinstance(anew, Status)
    assert anew.state == "resyncing"
    assert isinstance(trust.take([made[7]], 3.0)[-1], Status)
    assert shell.judge.instruments["BTCUSDT"].worst().said == ("live", "")


SLOW = 7.0  # seconds between two messages of an instrument


async def mute_after(minutes: int, folder: Path, mock_clock: MockClock, start: int) -> tuple[float, list[MarketData]]:
    """One life of a feed of twelve instruments that speak every SLOW seconds, of which one goes mute after so many
    minutes. Returns how long it was mute before it was called stale, and what was published."""
    published: list[MarketData] = []

    def wall_ns() -> int:
        return start + round(trio.current_time() * 1e9)

    shell = trust_of_feed(
        binance.Account({}, ["trade"]), BINANCE, published.extend, wall_ns, LOG, cache_dir=str(folder)
    )
    await shell.load()
    trust = shell.connection("binance/0")
    symbols = [f"S{number}" for number in range(12)]
    trust.begins(symbols)
    trust.ready()
    mute_since, ids = trio.current_time() + 60 * minutes, count()
    async with trio.open_nursery() as nursery:
        await nursery.start(shell.run)
        while shell.judge.instruments["S0"].worst().said[0] != "stale":
            number = next(ids)
            now = trio.current_time()
            talking = symbols if now < mute_since else symbols[1:]
            made: list[MarketData] = [Trade("binance", s, 1, wall_ns(), 10.0, 1.0, None, number) for s in talking]
            published += trust.take(made, now)
            await wait_all_tasks_blocked()
            for _ in range(round(SLOW)):
                mock_clock.jump(1.0)
                await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    return trio.current_time() - mute_since, published


async def test_what_was_learnt_is_used_after_a_restart_with_the_same_verdicts(
    mock_clock: MockClock, tmp_path: Path
) -> None:
    hour = 3_600_000_000_000
    unlearnt, _ = await mute_after(1, tmp_path / "other", mock_clock, hour * 480_000)
    assert 60 < unlearnt < 130
    first, _ = await mute_after(25, tmp_path, mock_clock, hour * 480_000)
    assert (tmp_path / "binance.tempos").exists()
    start = hour * 480_000 - round(trio.current_time() * 1e9)  # the same hour of the day
    second, _ = await mute_after(1, tmp_path, mock_clock, start)
    assert first < unlearnt
    assert second == pytest.approx(first, abs=2 * SLOW)


async def test_that_only_the_calendar_tells_the_hours_is_said_once(
    mock_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "feedbus.v")
    for account, config in (
        (Account({}, ["securities"]), MOEX),
        (binance.Account({}, ["trade"]), BINANCE),
        (Account({}, ["orderbooks"]), MOEX),
    ):
        shell = trust_of_feed(account, config, lambda _: None, lambda: 7, LOG)
        for name in ("a/0", "a/1"):
            shell.connection(name).begins([f"TQBR.{name[-1]}"])
    assert len([text for text in caplog.messages if "the calendar says" in text]) == 1
