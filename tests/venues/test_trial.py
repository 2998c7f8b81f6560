"""The trial venue in conversation: what is particular to Bybit on the machine that all venues share."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feedbus.errors import BadData, TimedOut
from feedbus.schema.events import BookDelta, BookSnapshot, Event, Ticker, Trade
from feedbus.venues.protocol import (
    Close,
    Confirmed,
    Ready,
    Refused,
    Resync,
    Send,
    Session,
    Skipped,
    Subscription,
    WakeAt,
)
from tests.places import CAPTURES
from tests.venues import script
from tests.venues.trial.bybit import Account
from tests.venues.trial.samples.bybit import answer_to, book, message

BTC, ETH = (Subscription("orderbook.50", symbol) for symbol in ("BTCUSDT", "ETHUSDT"))
MS = 1_000_000


def subscribe(number: int, *topics: str, op: str = "subscribe") -> Send:
    return Send(json.dumps({"req_id": str(number), "op": op, "args": topics}, separators=(",", ":")))


class Script(script.Script[Session]):
    def __init__(self, *symbols: str, channel: str = "orderbook.50") -> None:
        super().__init__(Account({}, [channel]).session(symbols))


def test_data_may_come_before_the_answer_and_a_hole_is_got_again() -> None:
    script = Script("BTCUSDT", "ETHUSDT")
    asked = subscribe(1, "orderbook.50.BTCUSDT", "orderbook.50.ETHUSDT")
    script.opened(Ready(), asked, WakeAt(10.0))
    at = ("bybit", "BTCUSDT", 1786540363844 * MS, 7)
    asks = [(63982.8, 5.015)]
    first = BookSnapshot(*at, [(63982.7, 6.408)], asks, 7)
    script.received(message("orderbook.50.BTCUSDT", book(7, ("63982.70", "6.408"))), Confirmed(BTC), first)
    script.received(answer_to("1"), Confirmed(ETH), WakeAt(20.0)).stands(live=1, confirmed=1)
    delta = message("orderbook.50.BTCUSDT", book(8, ("63982.70", "0")), "delta")
    script.received(delta, BookDelta(*at, [(63982.7, 0.0)], asks, 8, 8))
    script.at(1.0).received(
        message("orderbook.50.BTCUSDT", book(10), "delta"),
        Skipped(BadData("orderbook.50 BTCUSDT", "delta 10 after 8")),
        Resync(BTC, "delta 10 after 8"),
        subscribe(2, "orderbook.50.BTCUSDT", op="unsubscribe"),
        WakeAt(1.1),
    )
    script.received(delta).counted(late_frames=1)
    script.at(1.1).ticked(subscribe(3, "orderbook.50.BTCUSDT"), WakeAt(11.0)).stands(sent=1, confirmed=1)


def test_one_bad_topic_is_found_among_the_others_which_are_asked_for_again_at_once() -> None:
    reason = "error:handler not found,topic:orderbook.50.ZZZ"
    symbols = [*(f"S{number}" for number in range(6)), "ZZZ"]
    topics = [f"orderbook.50.{symbol}" for symbol in symbols]
    script = Script(*symbols).opened(Ready(), subscribe(1, *topics), WakeAt(10.0))
    script.received(answer_to("1", reason), WakeAt(0.1)).stands(wanted=7)
    script.at(0.1).ticked(subscribe(2, *topics[:4]), WakeAt(0.2))
    script.at(0.2).ticked(subscribe(3, *topics[4:]), WakeAt(10.1))
    script.yields("answer", script.session.frame(answer_to("2"), 7, 0.2), None)
    script.received(answer_to("3", reason), WakeAt(0.2 + 0.1))
    script.at(0.5).ticked(subscribe(4, *topics[4:6]), WakeAt(0.6))
    script.at(1.0).ticked(subscribe(5, topics[6]), WakeAt(10.5))
    script.received(answer_to("5", reason), Refused(Subscription("orderbook.50", "ZZZ"), reason), WakeAt(6.0))
    script.yields("answer", script.session.frame(answer_to("4"), 7, 1.0), None)
    script.stands(confirmed=6, refused=1)


@pytest.mark.parametrize("said", ["", "error:already subscribed,topic:orderbook.50.BTCUSDT"])
def test_an_answer_without_a_number_is_to_the_only_request(said: str) -> None:
    script = Script("BTCUSDT")
    script.opened(Ready(), subscribe(1, "orderbook.50.BTCUSDT"), WakeAt(10.0))
    script.received(answer_to("", said), Confirmed(BTC), WakeAt(20.0))
    script.at(20.0).ticked(Send('{"op":"ping"}'), WakeAt(40.0))


def test_a_request_that_is_not_answered_ends_the_connection() -> None:
    script = Script("BTCUSDT").opened(Ready(), subscribe(1, "orderbook.50.BTCUSDT"), WakeAt(10.0))
    script.at(10.0).ticked(Close(TimedOut("no answer to orderbook.50 BTCUSDT within 10 s")))


def test_changes_of_a_ticker_are_merged() -> None:
    script = Script("BTCUSDT", channel="tickers")
    script.yields("opened", script.session.opened(0.0), None)
    row = {"symbol": "BTCUSDT", "lastPrice": "65114.20", "volume24h": "8.5"}
    at = ("bybit", "BTCUSDT", 1786540363844 * MS, 7)
    subscription = Subscription("tickers", "BTCUSDT")
    first = Ticker(*at, last=65114.2, volume=8.5, window_s=86_400)
    script.received(message("tickers.BTCUSDT", row), Confirmed(subscription), first)
    later = Ticker(*at, last=65115.0, volume=8.5, window_s=86_400)
    script.received(message("tickers.BTCUSDT", {"lastPrice": "65115"}, "delta"), later)


def test_the_captured_frames_become_events() -> None:
    path = CAPTURES / "bybit" / "ccxt_bybit_20260812_linear.jsonl"
    if not path.exists():
        pytest.skip("the captures aren't on this machine")
    found: list[Any] = []
    for line in path.read_text().splitlines():
        talk = json.loads(line)
        channel, _, symbol = talk["sent"][0]["args"][0].rpartition(".")
        if channel.startswith("kline"):
            continue
        session = Account({}, [channel]).session([symbol])
        list(session.opened(0.0))
        for each in talk["messages"]:
            found += session.frame(json.dumps(each).encode(), 7, 0.0)
    trades = [each for each in found if isinstance(each, Trade)]
    assert [(each.price, each.size, each.side) for each in trades] == [(63976.1, 0.015, "buy"), (63976.1, 0.002, "buy")]
    assert [type(each) for each in found if isinstance(each, Event)] == [Trade, Trade]
    assert [each.reason for each in found if isinstance(each, Resync)] == ["delta 53935310 after None"]
