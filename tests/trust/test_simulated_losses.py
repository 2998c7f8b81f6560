"""What the checkers find of the simulated venues: nothing while all is right, and what is missing when it is.

The real Sessions talk with the simulated venues. What a venue has written is compared with what was found.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from feedbus import venues
from feedbus.schema.events import Event, MarketData, Status, Trade
from feedbus.sim.alor.conversation import AlorConversation
from feedbus.sim.alor.rest import AlorRest
from feedbus.sim.alor.venue import AlorSimOptions, AlorVenue
from feedbus.sim.binance.catalogue import pairs
from feedbus.sim.binance.fault_requests import FaultRequest, parse
from feedbus.sim.binance.server import converse
from feedbus.sim.binance.venue import BinanceSimOptions, BinanceVenue
from feedbus.sim.moex import catalogue
from feedbus.sim.moex.conversation import MoexConversation
from feedbus.sim.moex.venue import MoexSimOptions, MoexVenue
from feedbus.sim.seam import Conversation, Frame, SimRequest
from feedbus.trust.best_prices import LASTS
from feedbus.trust.checkers import Checkers, checkers_for
from feedbus.trust.crossed_books import CROSSED_FOR
from feedbus.trust.findings import Finding
from feedbus.venues.protocol import AccountEffect, Fetch, FetchResponse, Send, Skipped

START_NS = 1_719_825_533_000_000_000  # a Monday noon in Moscow
SYMBOLS = {"moex": ["TQBR.SBER", "TQBR.GAZP"], "alor": ["SBER", "GAZP"], "binance": ["BTCUSDT", "ETHUSDT"]}
SECURITIES = [each for each in catalogue.securities() if each.symbol in SYMBOLS["moex"]]
CREDENTIALS = {"alor": {"refresh_token": "x"}}


class Market:
    """A simulated venue, a Session that talks with it, and the checkers of what that publishes."""

    def __init__(self, venue: str, channels: Sequence[str], **faults: Any) -> None:
        self.now = 0.0
        self._venue: Any
        self._begin: Callable[[], Conversation | None]
        armed = json.dumps(faults)
        if venue == "moex":
            moex = MoexVenue(MoexSimOptions(start_ns=START_NS, faults=armed), securities=SECURITIES)
            self._advance, self._begin = moex.market.advance, lambda: MoexConversation(moex)
            self._venue, self._step_s = moex, moex.step_ns / 1e9
        elif venue == "alor":
            options = AlorSimOptions(start_ns=START_NS, token_s=10**6, faults=armed)
            alor = AlorVenue(options, securities=SECURITIES)
            self._advance, self._begin = alor.market.advance, lambda: AlorConversation(alor)
            self._venue, self._step_s = alor, alor.market.step_ns / 1e9
        else:
            binance = BinanceVenue(BinanceSimOptions(start_ns=START_NS, faults=armed), listed=pairs()[:2])
            self._advance, self._begin = binance.advance, lambda: converse(binance, "/stream", START_NS)
            self._venue, self._step_s = binance, binance.step_ns / 1e9
        self.account: Any = venues.account_class(venue)(CREDENTIALS.get(venue, {}), channels, None)
        self._symbols = SYMBOLS[venue]
        self.checkers: Checkers = checkers_for(self.account, self.account.channels)
        self.found: list[tuple[float, str, str, Finding]] = []
        self.published: list[MarketData] = []
        self.skipped: list[str] = []
        self._log_in(self.account.start(0.0))
        self.connect()

    @property
    def faults(self) -> Any:
        return self._venue.faults

    def _log_in(self, effects: Iterable[AccountEffect]) -> None:
        for effect in effects:
            if isinstance(effect, Fetch):
                answer = AlorRest(self._venue)(SimRequest("POST", effect.path, effect.body, now_ns=START_NS))
                self._log_in(self.account.fetched(effect, FetchResponse(answer.status, answer.body, START_NS), 0.0))

    def connect(self) -> None:
        """A new connection; what was subscribed on the one before is known to have been."""
        for symbol in self._symbols:
            for word in ("trade", "quote", "book", "ticker", "bar", "instrument"):
                if (checker := self.checkers(symbol, word)) is not None:
                    checker.reset()
        conversation = self._begin()
        assert conversation is not None
        self.conversation: Conversation = conversation
        self.session = self.account.session(self._symbols)
        self._take(self.session.opened(self.now))

    def _take(self, effects: Iterable[object]) -> None:
        for effect in list(effects):
            if isinstance(effect, Send):
                self._receive(self.conversation.receive(effect.data, START_NS + int(self.now * 1e9)))
            elif isinstance(effect, Skipped):
                self.skipped.append(effect.error.reason)
            elif isinstance(effect, Event) and not isinstance(effect, Status):
                self._judge(effect)  # type: ignore[arg-type]

    def _receive(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            data = frame.encode() if isinstance(frame, str) else frame
            self._take(self.session.frame(data, START_NS + int(self.now * 1e9), self.now))

    def _judge(self, event: MarketData) -> None:
        checker = self.checkers(event.symbol, event.WORD)
        finding = None if checker is None else checker.check(event, self.now)
        if finding is not None:
            self.found.append((self.now, event.symbol, event.WORD, finding))
        if finding is None or not finding.refuse:
            self.published.append(event)

    def run(self, seconds: float, *, heard: bool = True) -> Market:
        for _ in range(round(seconds / self._step_s)):
            self.now += self._step_s
            self._advance()
            if heard:
                self._receive(self.conversation.due())
                self._take(self.session.tick(self.now))
            self.found += [(self.now, *late) for late in self.checkers.due(self.now)]
        return self

    def totals(self) -> dict[str, int]:
        return {name: count for name, count in self.checkers.counts.totals().items() if count}

    def trades(self) -> Counter[tuple[str, int | str | None]]:
        return Counter((each.symbol, each.trade_id) for each in self.published if isinstance(each, Trade))


CHANNELS = {
    "moex": ["orderbooks", "securities", "candles.M1"],
    "alor": ["orderbook", "alltrades", "quotes", "instruments", "bars_60"],
    "binance": ["trade", "bookTicker", "depth5@100ms", "ticker", "kline_1s", "kline_1m"],
}


@pytest.mark.parametrize("venue", ["moex", "alor", "binance"])
def test_while_all_is_right_nothing_is_found(venue: str) -> None:
    market = Market(venue, CHANNELS[venue]).run(120)
    market.connect()
    market.run(60)
    assert market.found == []
    assert market.skipped == []
    assert len(market.published) > 200
    assert {each.WORD for each in market.published} >= {
        word for each in CHANNELS[venue] for word in market.account.kinds[each]
    }


def test_aggregate_trades_of_a_venue_that_is_right_leave_none_out() -> None:
    market = Market("binance", ["aggTrade"]).run(120)
    assert market.found == []
    assert len(market.trades()) > 100


@pytest.mark.parametrize("count", [1, 7, 60])
def test_of_k_trades_that_the_venue_drops_k_are_missing(count: int) -> None:
    whole = Market("binance", ["trade"]).run(120).trades()
    market = Market("binance", ["trade"]).run(20)
    market.faults.arm(request(drop={"symbol": "BTCUSDT", "count": count}))
    market.run(100)
    lost = sum(finding.lost or 0 for *_, finding in market.found)
    assert market.faults.done["drop"] == count == lost == market.checkers.counts.trades_lost
    assert {(symbol, word, finding.state, finding.reason) for _, symbol, word, finding in market.found} == {
        ("BTCUSDT", "trade", "gapped", "hole")
    }
    assert sum((whole - market.trades()).values()) == count


def test_of_aggregate_trades_that_the_venue_drops_their_trades_are_missing() -> None:
    one = Market("binance", ["trade"])
    market = Market("binance", ["aggTrade"])
    for each in (one, market):
        each.run(20)
    market.faults.arm(request(drop={"symbol": "BTCUSDT", "count": 9}))
    for each in (one, market):
        each.run(100)
    [finding] = [finding for *_, finding in market.found]
    first, _, last = finding.text.rpartition(": ")[2].partition(" to ")
    trades = {trade_id for symbol, trade_id in one.trades() if symbol == "BTCUSDT"}
    assert finding.lost == len(set(range(int(first), int(last) + 1)) & trades) >= 9


@pytest.mark.parametrize("seconds", [1, 30])
def test_what_is_missed_between_two_connections_is_exact(seconds: int) -> None:
    whole = Market("binance", ["trade"]).run(60 + seconds).trades()
    market = Market("binance", ["trade"]).run(30)
    market.run(seconds, heard=False)
    market.connect()
    market.run(30)
    missing = whole - market.trades()
    assert sum(missing.values()) > 0
    assert market.totals() == {"holes": 2, "trades_lost": sum(missing.values())}
    assert {finding.state for *_, finding in market.found} == {"resyncing"}


@pytest.mark.parametrize("fault", ["duplicate", "replay"])
@pytest.mark.parametrize(
    ("venue", "channels", "stream", "words"),
    [
        ("binance", ["trade"], "trade", {"trade"}),
        ("binance", ["aggTrade"], "aggTrade", {"trade"}),
        ("binance", ["bookTicker"], "bookTicker", {"quote"}),
        ("binance", ["depth5@100ms"], "depth5@100ms", {"book"}),
        ("binance", ["ticker"], "ticker", {"ticker"}),
        ("binance", ["kline_1s", "kline_1m"], "kline_1m", {"bar"}),
        ("moex", ["orderbooks"], "orderbooks", {"book"}),
        ("alor", ["orderbook"], "orderbook", {"book"}),
        ("alor", ["alltrades"], "alltrades", {"trade"}),
    ],
)
def test_what_comes_again_is_refused_and_harms_nothing(
    fault: str, venue: str, channels: list[str], stream: str, words: set[str]
) -> None:
    right = Market(venue, channels).run(40)
    market = Market(venue, channels).run(20)
    market.faults.arm(request(**{fault: {"stream": stream, "count": 3}}))
    market.run(20)
    done = market.faults.done[fault]
    assert done >= 2
    if fault == "replay" or words == {"trade"}:
        assert all(finding.refuse and not finding.state for *_, finding in market.found)
        assert {word for _, _, word, _ in market.found} == words
        assert market.totals() == {"replays": done}
        assert market.published == right.published
    else:
        assert market.found == []  # the same once more says nothing wrong


@pytest.mark.parametrize("stream", ["securities", "candles"])
def test_a_change_that_moex_says_again_is_not_applied_again(stream: str) -> None:
    channels = ["securities", "candles.M1"]
    right = Market("moex", channels).run(60)
    market = Market("moex", channels).run(20)
    market.faults.arm(request(replay={"stream": stream, "count": 5}))
    market.run(40)
    assert market.session.counters()["stale_messages"] == market.faults.done["replay"] > 5
    assert market.published == right.published
    assert market.found == []


def test_a_change_of_moex_that_was_overtaken_has_its_subscription_made_anew() -> None:
    market = Market("moex", ["securities"]).run(20)
    market.faults.arm(request(swap={"symbol": "TQBR.SBER"}))
    market.run(40)
    assert any("which is newer" in reason for reason in market.skipped)
    right = Market("moex", ["securities"]).run(60)
    assert last_of(market, "TQBR.SBER")[4:] == last_of(right, "TQBR.SBER")[4:]


def last_of(market: Market, symbol: str) -> tuple[Any, ...]:
    event = [each for each in market.published if each.symbol == symbol][-1]
    return tuple(getattr(event, name) for name in event.__struct_fields__)


def test_a_trade_that_was_overtaken_is_published_late_and_no_trade_is_missing() -> None:
    whole = Market("binance", ["trade"]).run(60).trades()
    market = Market("binance", ["trade"]).run(20)
    market.faults.arm(request(swap={"count": 4}))
    market.run(40)
    assert market.trades() == whole
    assert market.totals() == {"holes": 8, "trades_lost": 8, "trades_late": 8}


@pytest.mark.parametrize("venue", ["binance", "alor"])
def test_trades_of_another_ticker_are_not_published(venue: str) -> None:
    channel = "trade" if venue == "binance" else "alltrades"
    whole = Market(venue, [channel]).run(60).trades()
    market = Market(venue, [channel]).run(20)
    market.faults.arm(request(other_ticker={"count": 3}))
    market.run(40)
    assert market.session.counters()["other_instruments"] == 6
    missing = whole - market.trades()
    assert sum(missing.values()) == 6
    assert not market.trades() - whole
    assert market.checkers.counts.trades_lost == (6 if venue == "binance" else 0)


def test_sums_of_the_day_that_went_back_are_found_on_moex() -> None:
    market = Market("moex", ["securities"]).run(20)
    market.faults.arm(request(sums_back={"symbol": "TQBR.SBER"}))
    market.run(20)
    [(_, symbol, word, finding)] = market.found
    assert (symbol, word, finding.state, finding.reason) == ("TQBR.SBER", "ticker", "gapped", "counters")


@pytest.mark.parametrize(
    ("venue", "channels", "stream"),
    [
        ("moex", ["orderbooks", "securities"], "orderbooks"),
        ("alor", ["orderbook", "instruments"], "orderbook"),
        ("binance", ["depth5@100ms"], "depth5@100ms"),
    ],
)
def test_books_that_are_crossed_for_long_are_found(venue: str, channels: list[str], stream: str) -> None:
    symbol = SYMBOLS[venue][0]
    market = Market(venue, channels).run(20)
    market.faults.arm(request(cross={"stream": stream, "symbol": symbol, "count": None}))
    market.run(CROSSED_FOR + 3)
    found = [(at, symbol, finding) for at, symbol, word, finding in market.found if finding.reason == "crossed"]
    [(at, of, finding)] = found
    assert (of, finding.state) == (symbol, "gapped")
    assert 20 + CROSSED_FOR <= at <= 20 + CROSSED_FOR + 1.5


def test_a_ticker_of_moex_that_missed_a_change_is_found_by_its_book() -> None:
    """The bid and offer of the ticker stand still while its other cells move on: no change of them comes any more."""
    market = Market("moex", ["orderbooks", "securities"]).run(20)
    spoil = market.faults.spoiled

    def without_prices(stream: str, symbol: str, sent: Any, message: bytes, changed: Callable[..., Any]) -> Any:
        if stream == "securities" and symbol == "TQBR.SBER":
            message = message.replace(b'"BID"', b'"XBID"').replace(b'"OFFER"', b'"XOFFER"')
        return spoil(stream, symbol, sent, message, changed)

    market.faults.spoiled = without_prices
    market.run(120)
    assert {(symbol, word, finding.reason) for _, symbol, word, finding in market.found} <= {
        ("TQBR.SBER", "book", "audit"), ("TQBR.SBER", "ticker", "audit"),
    }  # fmt: skip
    assert market.found
    assert market.found[0][3].words == ("book", "ticker")
    assert market.found[0][0] > 20 + LASTS


def request(**faults: Any) -> FaultRequest:
    """In the form that all venues take, and with fields of Binance besides, which stay empty."""
    return parse(json.dumps(faults))[0]
