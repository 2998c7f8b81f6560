"""The instruments of a feed: when the venue is asked, what is published and logged, and what a failure costs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from feedbus.config import FeedConfig
from feedbus.errors import ConnectFailed, VenueError
from feedbus.feed.budgets import Hold
from feedbus.feed.feed_logs import FeedLogs
from feedbus.feed.instruments import (
    DAY,
    MISSING_NAMED,
    REFUSED_WITHIN,
    RETRY_CAP,
    InstrumentsShell,
    instruments_of_feed,
    publishing,
)
from feedbus.runtime.backoff import Backoff
from feedbus.schema.events import Instrument, MarketData, Ticker
from feedbus.sim.moex.rest import MoexRest
from feedbus.venues.listings import Selection
from feedbus.venues.moex.account import Account as MoexAccount
from feedbus.venues.protocol import Account, Fetch, FetchResponse, Subscription


class Owner:
    """A feed whose venue answers as `rest` does, or fails with `error`."""

    name = "moex"

    def __init__(self, account: Account | None = None) -> None:
        self.account: Account = MoexAccount({}, []) if account is None else account
        self.services = {"rest": "http://rest"}
        self.hold = Hold()
        self.fetcher = AnsweringFetcher(self)
        self.rest = MoexRest(0)
        self.logs = FeedLogs(logging.getLogger("feedbus.moex"), str, str)
        self.error: VenueError | None = None
        self.asked_at: list[float] = []
        self.published: list[tuple[float, MarketData]] = []
        self.reasons: list[str] = []
        self.chosen: Sequence[str] = ()
        self.was_chosen = trio.Event()
        self.refused_twice = trio.Event()

    def publish(self, events: Sequence[MarketData]) -> None:
        self.published += [(trio.current_time(), event) for event in events]

    def clean(self, text: str) -> str:
        return text.replace("s3cret", "***")

    def draw(self) -> float:
        return 0.5

    def selected(self, symbols: Sequence[str]) -> Sequence[str]:
        self.chosen = symbols
        self.was_chosen.set()
        return symbols

    def unlisted(self, reason: str) -> None:
        self.reasons.append(reason)
        if len(self.reasons) == 2:
            self.refused_twice.set()

    def taken(self) -> list[MarketData]:
        """What was published since the last call."""
        taken, self.published = [event for _, event in self.published], []
        return taken


class AnsweringFetcher:
    def __init__(self, owner: Owner) -> None:
        self._owner = owner

    async def get(self, fetch: Fetch) -> FetchResponse:
        await trio.lowlevel.checkpoint()
        if "start=0" in fetch.path and (not self._owner.asked_at or self._owner.asked_at[-1] < trio.current_time()):
            self._owner.asked_at.append(trio.current_time())
        if self._owner.error is not None:
            raise self._owner.error
        answer = self._owner.rest.answer(fetch.path)
        return FetchResponse(answer.status, answer.body, 7)


def shell_of(owner: Owner, *symbols: str, selection: Selection | None = None, **more: Any) -> InstrumentsShell:
    config = FeedConfig(
        name="moex", venue="moex", url="wss://h/", symbols=symbols, selection=selection, rest="http://rest"
    )
    options = {"cache_dir": "", "backoff": Backoff(4.0, 4.0, 0.0), "wall_ns": lambda: 7, **more}
    made = instruments_of_feed(config, owner, **options)
    assert made is not None
    return made


@asynccontextmanager
async def running(shell: InstrumentsShell) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(shell.run)
        yield
        nursery.cancel_scope.cancel()


def row(events: Sequence[MarketData]) -> list[tuple[str, float | None]]:
    return [(event.symbol, event.lot) for event in events if isinstance(event, Instrument)]


async def test_named_symbols_are_published_at_the_start_again_each_half_minute_and_asked_for_daily(
    autojump_clock: MockClock,
) -> None:
    owner = Owner()
    shell = shell_of(owner, "TQBR.SBER", "TQTF.LQDT")
    async with running(shell):
        await trio.sleep(1)
        assert row(owner.taken()) == [("TQBR.SBER", 1.0), ("TQTF.LQDT", 1.0)]
        await trio.sleep(60)
        assert len(owner.taken()) == 4
        await trio.sleep(DAY)
        assert len(owner.asked_at) == 2
        assert 0.9 * DAY <= owner.asked_at[1] - owner.asked_at[0] <= DAY
        per_symbol = DAY / 30
        assert abs(len(owner.taken()) - 2 * per_symbol) < 4
    assert (len(shell.known), shell.missing, shell.failures, shell.known.changes) == (2, frozenset(), 0, 0)
    assert shell.overdue(trio.current_time()) is None


async def test_a_list_that_does_not_come_costs_a_line_and_the_instruments_come_later_and_stay(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "feedbus")
    owner = Owner()
    owner.error = ConnectFailed("no way to s3cret")
    shell = shell_of(owner, "TQBR.SBER")
    async with running(shell):
        await trio.sleep(3600)
        failures = shell.failures
        assert failures > 3
        assert owner.taken() == []
        owner.error = None
        await trio.sleep(RETRY_CAP)
        assert row(owner.taken())[0] == ("TQBR.SBER", 1.0)
        owner.error = ConnectFailed("away")
        await trio.sleep(DAY)
        assert shell.failures > failures
        assert owner.taken(), "what is known goes on being published"
    again = "the instruments are asked for again"
    assert caplog.messages == [
        f"no list of symbols: connect_failed: no way to ***; {again}, and nothing is known of them yet",
        "the venue lists its instruments again",
        f"no list of symbols: connect_failed: away; {again}, and what is known of them stays",
    ]


async def test_a_board_that_can_not_be_listed_costs_the_others_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    owner, answered = Owner(), MoexRest(0).answer
    owner.rest.answer = lambda target, now_ns=0: answered("" if "RFUD" in target else target)  # type: ignore[method-assign]
    shell = shell_of(owner, "FORTS.RFUD.SiZ6", "TQBR.SBER", "TQBR.SBRE")
    async with running(shell):
        await trio.sleep(1)
        assert row(owner.taken()) == [("TQBR.SBER", 1.0)]
        await trio.sleep(3600)
    assert len(owner.asked_at) == shell.failures > 3
    assert shell.missing == frozenset(), "what isn't there isn't known before the list is whole"
    [line] = caplog.messages
    assert line.startswith("no list of symbols: bad_data: ISS FORTS.RFUD from row 0: HTTP 404; ")


async def test_what_changed_is_published_at_once_and_so_is_a_trading_status_in_a_ticker(
    autojump_clock: MockClock,
) -> None:
    owner = Owner()
    shell = shell_of(owner, "TQBR.SBER")
    async with running(shell):
        await trio.sleep(1)
        [paper] = owner.taken()
        assert isinstance(paper, Instrument)
        assert paper.status == "T"
        publish = publishing(owner.publish, shell)
        same = [Ticker("moex", "TQBR.SBER", 3, 4, last=1.0), Ticker("moex", "TQBR.SBER", 3, 4, status="T")]
        publish(same)
        assert owner.taken() == same
        other = Ticker("moex", "TQBR.SBER", 5, 6, status="N")
        publish([other])
        assert owner.taken() == [other, msgspec.structs.replace(paper, status="N", ts_event=5, ts_recv=6)]
        await trio.sleep(31)
        assert {event.status for event in owner.taken() if isinstance(event, Instrument)} == {"N"}


async def test_a_symbol_that_the_venue_does_not_list_is_named_once_with_the_nearest(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    owner = Owner()
    wrong = [f"TQBR.Q{number:04}X" for number in range(MISSING_NAMED + 5)]
    shell = shell_of(owner, "TQBR.SBRE", "TQBR.GAZP", "SRATES.A.B", *wrong)
    async with running(shell):
        await trio.sleep(REFUSED_WITHIN - 1)
        assert caplog.messages == []
        await trio.sleep(2)
        while len(caplog.messages) < MISSING_NAMED + 1:  # the nearest are looked for in a thread
            await trio.lowlevel.checkpoint()
        await trio.sleep(2 * DAY)
    assert caplog.messages[0].startswith("the venue doesn't list the symbol TQBR.SBRE: did you mean TQBR.SBER")
    assert caplog.messages[1] == "the venue doesn't list the symbol TQBR.Q0000X, nor anything like it"
    assert caplog.messages[-1] == "the venue doesn't list 6 more of the symbols"
    assert len(caplog.messages) == MISSING_NAMED + 1
    assert shell.missing == {"TQBR.SBRE", *wrong}, "the venue can't be asked for the other one"


async def test_what_the_venue_refuses_is_named_by_the_line_about_that_with_the_nearest_names(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    owner = Owner()
    shell = shell_of(owner, "TQBR.SBRE", "TQBR.GAZP")
    assert (shell.is_awaited, await shell.nearest(["TQBR.SBRE"])) == (True, None)
    owner.logs.refusals.refused(Subscription("orderbooks", "TQBR.SBRE"), "unknown", 0.0)
    async with running(shell):
        await trio.sleep(20)
        near = await shell.nearest(["TQBR.SBRE", "TQBR.GAZP", "Q0000X"])
    assert (shell.is_awaited, caplog.messages) == (False, [])
    assert shell.missing == {"TQBR.SBRE"}
    assert near is not None
    assert near.pop("TQBR.SBRE")[0].startswith("TQBR.SBER")
    assert near == {"TQBR.GAZP": ["TQBR.GAZP"], "Q0000X": []}


async def test_a_list_that_does_not_come_is_not_awaited_any_more(autojump_clock: MockClock) -> None:
    owner = Owner()
    owner.error = ConnectFailed("away")
    shell = shell_of(owner, "TQBR.SBER")
    async with running(shell):
        await trio.sleep(1)
    assert (shell.is_awaited, await shell.nearest(["TQBR.SBRE"])) == (False, None)


async def test_a_selection_is_asked_for_until_it_comes_and_made_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    owner = Owner()
    owner.error = ConnectFailed("away")
    shell = shell_of(owner, selection=Selection(("TQBR",), ("TQBR.S*",), top=3), cache_dir=str(tmp_path))
    async with running(shell):
        await owner.refused_twice.wait()  # a copy is looked for in a thread
        assert owner.reasons == ["no list of symbols: connect_failed: away"] * 2
        owner.error = None
        await owner.was_chosen.wait()
        await wait_all_tasks_blocked()
        assert len(owner.chosen) == 3
        assert all(symbol.startswith("TQBR.S") for symbol in owner.chosen)
        assert [symbol for symbol, _ in row(owner.taken())] == list(owner.chosen)
        chosen, owner.chosen = owner.chosen, ()
        await trio.sleep(DAY)
        assert owner.chosen == (), "the symbols of a running feed stay"
        assert shell.known.symbols == list(chosen)
    assert "next attempt in 2.0 s" in caplog.messages[0]


async def test_a_bug_that_every_answer_meets_waits_longer_after_each_crash(autojump_clock: MockClock) -> None:
    owner = Owner()
    owner.rest.answer = None  # type: ignore[assignment, method-assign]
    shell = shell_of(owner, "TQBR.SBER")
    began = trio.current_time()
    for _ in range(4):
        with pytest.RaisesGroup(TypeError):
            await shell.run()
    assert trio.current_time() - began >= 3 * 10.0


@pytest.mark.parametrize(
    ("venue", "url", "rest", "asks"),
    [
        ("moex", "wss://iss.moex.com/", None, True),
        ("moex", "ws://127.0.0.1:9/", None, False),
        ("moex", "ws://localhost:9/", "http://127.0.0.1:8", True),
        ("moex", "ws://[::1]:9/", None, False),
    ],
)
def test_the_venue_itself_is_not_asked_about_the_instruments_of_a_simulator(
    venue: str, url: str, rest: str | None, asks: bool
) -> None:
    config = FeedConfig(name="a", venue=venue, url=url, symbols=("TQBR.SBER",), rest=rest)
    made = instruments_of_feed(config, Owner(), cache_dir="", backoff=Backoff(1, 1, 0), wall_ns=lambda: 0)
    assert (made is not None) == asks
