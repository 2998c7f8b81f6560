"""The conversation with Binance spot, call by call: what each call of a Session yields."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Self

import pytest

from feedbus.errors import BadData, TimedOut, VenueError
from feedbus.schema.events import Bar, BookSnapshot, MarketEvent, Quote, Trade
from feedbus.venues.binance.account import Account
from feedbus.venues.binance.session import Session
from feedbus.venues.protocol import (
    Close,
    Confirmed,
    Notice,
    Ready,
    Refused,
    Resync,
    Send,
    Skipped,
    Subscription,
    WakeAt,
)
from tests.places import CAPTURES
from tests.venues import script

CAPTURE = CAPTURES / "binance" / "spot_btcusdt_20240808.gz"
TRADES = ("trade",)
TIME = 1723161255342
BTC, ETH, BNB = (Subscription("trade", symbol) for symbol in ("BTCUSDT", "ETHUSDT", "BNBUSDT"))
LISTED = WakeAt(30.0)  # when the list is asked for, while nothing else is due
SHUTDOWN = (
    Notice("the venue shuts the server of a connection down"),
    Close(VenueError("the venue shuts this server down")),
)


def request(method: str, number: int, *names: str) -> Send:
    params = {"params": list(names)} if names else {}
    return Send(json.dumps({"method": method, **params, "id": number}, separators=(",", ":")))


def subscribe(number: int, *names: str) -> Send:
    return request("SUBSCRIBE", number, *names)


def unsubscribe(number: int, *names: str) -> Send:
    return request("UNSUBSCRIBE", number, *names)


def listing(number: int) -> Send:
    return request("LIST_SUBSCRIPTIONS", number)


def answer(number: int, result: Any = None) -> bytes:
    return json.dumps({"result": result, "id": number}, separators=(",", ":")).encode()


def error(msg: str = "Invalid request: no", **more: Any) -> bytes:
    return json.dumps({"code": 2, "msg": msg, **more}).encode()


def data(name: str, **payload: Any) -> bytes:
    return json.dumps({"stream": name, "data": payload}, separators=(",", ":")).encode()


def fill(price: str = "61837.63000000", number: int = 5) -> dict[str, Any]:
    return {"e": "trade", "s": "BTCUSDT", "t": number, "p": price, "q": "0.02000000", "T": TIME, "m": True}


def trade(symbol: str = "BTCUSDT", price: float = 61837.63, number: int = 5) -> Trade:
    return Trade("binance", symbol, TIME * 1_000_000, 7, price, 0.02, "sell", number)


def names(count: int) -> list[str]:
    return [f"S{number}" for number in range(count)]


def streams(symbols: Iterable[str]) -> list[str]:
    return [f"{symbol.lower()}@trade" for symbol in symbols]


class Script(script.Script[Session]):
    """Up to where a test begins."""

    def __init__(self, *symbols: str, channels: Sequence[str] = TRADES) -> None:
        super().__init__(Account({}, channels).session(symbols))

    def begun(self) -> Self:
        """Opened, at the time given; its effects are other tests'."""
        self.yields("opened", self.session.opened(self.now), None)
        return self

    def live(self) -> Self:
        """Opened and answered; BTCUSDT has had a trade."""
        self.begun()
        self.yields("answer", self.session.frame(answer(1), 7, self.now), None)
        self.yields("trade", self.session.frame(data("btcusdt@trade", **fill()), 7, self.now), None)
        return self


# Subscribing


def test_the_conversation_is_open_at_once_and_all_channels_are_asked_for_in_one_request() -> None:
    script = Script("BTCUSDT", "币安人生USDT", channels=("trade", "depth5@100ms")).at(2.0).stands(wanted=2)
    params = ["btcusdt@trade", "btcusdt@depth5@100ms", "币安人生usdt@trade", "币安人生usdt@depth5@100ms"]
    text = f'{{"method":"SUBSCRIBE","params":{json.dumps(params, ensure_ascii=False, separators=(",", ":"))},"id":1}}'
    script.opened(Ready(), Send(text), WakeAt(12.0)).stands(sent=2)


def test_two_hundred_streams_are_asked_for_every_third_of_a_second() -> None:
    symbols = names(450)
    asked = streams(symbols)
    script = Script(*symbols).opened(Ready(), subscribe(1, *asked[:200]), WakeAt(0.35)).stands(sent=200, wanted=250)
    script.at(0.3).ticked(WakeAt(0.35))
    script.at(0.35).ticked(subscribe(2, *asked[200:400]), WakeAt(0.7))
    script.at(0.5).subscribed(["LATE"])
    script.at(0.7).ticked(subscribe(3, *asked[400:], "late@trade"), WakeAt(10.0)).stands(sent=451)


def test_an_answer_confirms_every_stream_of_its_request_and_only_once() -> None:
    script = Script("BTCUSDT", "ETHUSDT").begun()
    script.received(answer(1), Confirmed(BTC), Confirmed(ETH), LISTED).stands(confirmed=2)
    script.received(answer(1)).counted(answers=2, unknown_ids=1).at(10.0).ticked(LISTED).stands(confirmed=2)


def test_data_before_the_answer_confirms_and_makes_live() -> None:
    script = Script("BTCUSDT").begun()
    script.received(data("btcusdt@trade", **fill()), Confirmed(BTC), trade()).stands(live=1)
    script.received(data("btcusdt@trade", **fill("1.5")), trade(price=1.5))
    script.received(answer(1), LISTED).counted(unknown_ids=0).at(10.0).ticked(LISTED)


def test_bad_data_before_the_answer_confirms_and_is_not_live() -> None:
    script = Script("BTCUSDT").begun()
    skipped = Skipped(BadData("trade BTCUSDT", "Object missing required field `t`"))
    script.received(data("btcusdt@trade"), Confirmed(BTC), skipped).stands(confirmed=1)
    script.received(data("btcusdt@trade", **fill()), trade()).stands(live=1)


# Errors


def test_an_error_is_about_any_stream_of_its_request_which_are_asked_for_again_in_halves_until_one_is_refused() -> None:
    reason = "Invalid request: no (code 2)"
    script = Script("BTCUSDT", "ETHUSDT").begun()
    script.received(error(id=1), WakeAt(0.35)).stands(wanted=2)
    script.at(0.35).ticked(subscribe(2, "btcusdt@trade"), WakeAt(0.7))
    script.received(error(id=2), Refused(BTC, reason)).stands(refused=1, wanted=1)
    script.at(0.7).ticked(subscribe(3, "ethusdt@trade"), WakeAt(5.35)).received(answer(3), Confirmed(ETH))
    script.at(5.35).ticked(subscribe(4, "btcusdt@trade"), WakeAt(15.35)).counted(errors=2)
    script.received(answer(4), Confirmed(BTC), LISTED).stands(confirmed=2)


def test_an_error_refuses_nothing_that_sends_data_or_is_not_wanted_any_more() -> None:
    script = Script("BTCUSDT", "ETHUSDT").begun().received(data("btcusdt@trade", **fill()), Confirmed(BTC), trade())
    script.unsubscribed(["ETHUSDT"], WakeAt(0.35)).received(error(id=1)).stands(live=1)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (error("too many\nparameters\x1b", id=1), "too many parameters (code 2)"),
        (error("x" * 900, id=1), f"{'x' * 200} (code 2)"),
        (b'{"code":-1121,"id":1}', "no message (code -1121)"),
        (b'{"error":{"code":3,"msg":"Invalid JSON"},"id":1}', "Invalid JSON (code 3)"),
        (b'{"id":1,"error":{"msg":"no"},"code":1}', None),
    ],
)
def test_what_an_error_says_is_one_short_line(frame: bytes, reason: str | None) -> None:
    skipped = Skipped(BadData("message", "Object missing required field `code` - at `$.error`"))
    expected = [skipped] if reason is None else [Refused(BTC, reason), WakeAt(5.0)]
    Script("BTCUSDT").begun().received(frame, *expected)


@pytest.mark.parametrize("more", [{}, {"id": None}])
def test_an_error_without_an_id_is_about_the_only_request_under_way(more: dict[str, Any]) -> None:
    script = Script("BTCUSDT").begun()
    script.received(error(**more), Refused(BTC, "Invalid request: no (code 2)"), WakeAt(5.0)).stands(refused=1)


def test_an_error_without_an_id_that_may_be_about_two_requests_is_noticed_and_deadlines_decide() -> None:
    script = Script("BTCUSDT").begun().at(1.0).subscribed(["ETHUSDT"], subscribe(2, "ethusdt@trade"))
    script.received(error(), Notice("an error about no request of ours: Invalid request: no (code 2)")).stands(sent=2)
    script.at(2.0).received(answer(2), Confirmed(ETH), WakeAt(12.0))
    script.at(10.0).ticked(WakeAt(12.0)).at(12.0).ticked(listing(3), WakeAt(22.0))
    script.received(answer(3, ["ethusdt@trade"]), WakeAt(12.35)).stands(wanted=1, confirmed=1)
    script.at(12.35).ticked(subscribe(4, "btcusdt@trade"), WakeAt(22.35))


@pytest.mark.parametrize("number", [0, 2, -1, 2**63, "1", "abc"])
def test_an_error_about_no_request_of_ours_is_noticed(number: int | str) -> None:
    script = Script("BTCUSDT").begun()
    script.received(error(id=number), Notice("an error about no request of ours: Invalid request: no (code 2)"))
    script.counted(errors=1).stands(sent=1)


def test_notices_are_few() -> None:
    script = Script().begun()
    effects = [effect for _ in range(50) for effect in script.session.frame(error(), 7, 0.0)]
    assert [type(effect) for effect in effects] == [Notice] * 8
    script.counted(errors=50)


@pytest.mark.parametrize("number", [0, 2, -1, 2**63, "1", "abc", None])
def test_an_answer_to_no_request_of_ours_is_counted(number: int | str | None) -> None:
    script = Script("BTCUSDT").begun()
    script.received(json.dumps({"result": None, "id": number}).encode()).received(b'{"id":5,"result":true}')
    script.counted(answers=2, unknown_ids=2).stands(sent=1)


@pytest.mark.parametrize("result", [True, [], {}, "null", 0])
def test_an_answer_of_another_shape_leaves_it_to_the_deadline(result: Any) -> None:
    script = Script("BTCUSDT").begun()
    script.received(answer(1, result), Skipped(BadData("SUBSCRIBE", "the result is of another shape")))
    script.stands(sent=1).at(10.0).ticked(listing(2), WakeAt(20.0))


# Unanswered


def test_what_is_not_answered_is_asked_after_once_and_what_is_listed_is_confirmed() -> None:
    script = Script("BTCUSDT", "ETHUSDT", "BNBUSDT").begun().at(9.99).ticked(WakeAt(10.0))
    script.at(10.0).ticked(listing(2), WakeAt(20.0)).at(12.0).ticked(WakeAt(20.0))
    confirmed = [Confirmed(BTC), Confirmed(BNB)]
    listed = answer(2, ["bnbusdt@trade", 7, None, [], "btcusdt@trade"])
    script.received(listed, *confirmed, subscribe(3, "ethusdt@trade"), WakeAt(22.0))
    script.stands(confirmed=2, sent=1).counted(unanswered=1)
    script.received(answer(1)).counted(unknown_ids=1)
    script.at(20.0).ticked(WakeAt(22.0)).received(answer(3), Confirmed(ETH), WakeAt(50.0)).at(22.0).ticked(WakeAt(50.0))


def test_what_is_not_answered_three_times_and_not_listed_is_refused() -> None:
    script = Script("BTCUSDT").begun().at(10.0).ticked(listing(2), WakeAt(20.0))
    script.at(11.0).received(answer(2, []), subscribe(3, "btcusdt@trade"), WakeAt(21.0))
    script.at(21.0).ticked(listing(4), WakeAt(31.0))
    script.at(22.0).received(answer(4, []), subscribe(5, "btcusdt@trade"), WakeAt(32.0))
    script.at(32.0).ticked(listing(6), WakeAt(42.0)).at(33.0)
    script.received(answer(6, []), Refused(BTC, "not answered 3 times"), WakeAt(38.0))
    script.stands(refused=1).counted(unanswered=3).at(38.0).ticked(subscribe(7, "btcusdt@trade"), WakeAt(48.0))


@pytest.mark.parametrize("no_list", ["late", "refused"])
def test_without_a_list_only_what_is_not_answered_is_asked_again_while_others_are_there(no_list: str) -> None:
    script = Script("BTCUSDT", "BNBUSDT").begun().received(answer(1), Confirmed(BTC), Confirmed(BNB), LISTED).at(1.0)
    script.subscribed(["ETHUSDT"], subscribe(2, "ethusdt@trade"), WakeAt(11.0))
    script.at(11.0).ticked(listing(3), WakeAt(21.0))
    if no_list == "late":
        script.at(21.0).ticked(subscribe(4, "ethusdt@trade"), LISTED)
    else:
        text = "LIST_SUBSCRIPTIONS refused: Invalid request: no (code 2)"
        script.at(20.0).received(error(id=3), Notice(text), subscribe(4, "ethusdt@trade"), WakeAt(30.0))
    script.counted(unanswered=1 + (no_list == "late")).stands(confirmed=2, sent=1)


def test_no_answer_to_the_list_either_is_a_failure() -> None:
    script = Script("BTCUSDT").begun().at(10.0).ticked(listing(2), WakeAt(20.0))
    script.at(20.0).ticked(Close(TimedOut("no answer to LIST_SUBSCRIPTIONS within 10 s")))


def test_a_list_of_another_shape_leaves_it_to_the_deadline() -> None:
    script = Script("BTCUSDT").begun().at(10.0).ticked(listing(2), WakeAt(20.0))
    script.received(answer(2), Skipped(BadData("LIST_SUBSCRIPTIONS", "the result is of another shape")))
    script.at(20.0).ticked(Close(TimedOut("no answer to LIST_SUBSCRIPTIONS within 10 s")))


def test_the_list_goes_before_what_waits_and_keeps_the_pace() -> None:
    script = Script("BTCUSDT").begun().at(9.9).subscribed(["ETHUSDT"], subscribe(2, "ethusdt@trade"))
    script.at(10.0).ticked(WakeAt(9.9 + 0.35)).subscribed(["BNBUSDT"])
    script.at(10.3).ticked(listing(3), WakeAt(10.65)).at(10.7).ticked(subscribe(4, "bnbusdt@trade"), WakeAt(20.0))
    script.received(answer(3, ["btcusdt@trade", "ethusdt@trade"]), Confirmed(BTC), WakeAt(20.7))
    script.stands(confirmed=1, sent=2)


def test_what_data_has_confirmed_is_not_asked_after() -> None:
    script = Script("BTCUSDT").begun().received(data("btcusdt@trade", **fill()), Confirmed(BTC), trade())
    script.at(10.0).ticked(LISTED).counted(unanswered=1).stands(live=1)


def test_an_unsubscribe_that_is_not_answered_is_settled_by_the_list() -> None:
    script = Script("BTCUSDT", "ETHUSDT", "BNBUSDT").live().at(1.0)
    every = ["btcusdt@trade", "ethusdt@trade", "bnbusdt@trade"]
    script.unsubscribed(["BTCUSDT", "ETHUSDT", "BNBUSDT"], unsubscribe(2, *every), WakeAt(11.0))
    script.at(5.0).subscribed(["BNBUSDT"], subscribe(3, "bnbusdt@trade"))
    script.received(answer(3), Confirmed(BNB), WakeAt(15.0))
    script.at(15.0).ticked(listing(4), WakeAt(25.0))
    script.at(16.0).received(
        answer(4, ["ethusdt@trade", "bnbusdt@trade"]), unsubscribe(5, "ethusdt@trade"), WakeAt(26.0)
    )
    script.received(data("ethusdt@trade", **fill())).received(data("btcusdt@trade", **fill()))
    script.counted(given_up=1, unknown_streams=1).stands(confirmed=1)


# Given up, taken up again


def test_what_is_given_up_is_unsubscribed_and_its_data_is_counted_and_passed_over() -> None:
    script = Script("BTCUSDT", "ETHUSDT").live().at(1.0).stands(live=1, confirmed=1)
    script.unsubscribed(["BTCUSDT"], unsubscribe(2, "btcusdt@trade"), WakeAt(11.0)).stands(confirmed=1)
    script.received(data("btcusdt@trade", **fill())).counted(given_up=1, unknown_streams=0)
    script.received(answer(2), LISTED)
    script.received(data("btcusdt@trade", **fill())).counted(given_up=1, unknown_streams=1)
    script.unsubscribed(["BTCUSDT", "NEVER"])


def test_what_is_wanted_again_keeps_the_order_of_the_requests_and_its_data_is_published() -> None:
    script = Script("BTCUSDT").live().at(0.1).unsubscribed(["BTCUSDT"], WakeAt(0.35)).subscribed(["BTCUSDT"])
    script.received(data("btcusdt@trade", **fill()), trade()).stands(wanted=1)
    script.at(0.4).ticked(unsubscribe(2, "btcusdt@trade"), WakeAt(0.75))
    script.at(0.8).ticked(subscribe(3, "btcusdt@trade"), WakeAt(10.4))
    script.received(answer(2), WakeAt(10.8)).received(answer(3), Confirmed(BTC), LISTED).stands(confirmed=1)
    script.received(data("btcusdt@trade", **fill()), trade()).stands(live=1)


def test_a_refused_unsubscribe_is_noticed_and_its_data_still_passed_over() -> None:
    script = Script("BTCUSDT").live().at(1.0).unsubscribed(["BTCUSDT"], unsubscribe(2, "btcusdt@trade"), WakeAt(11.0))
    script.received(error(id=2), Notice("UNSUBSCRIBE refused: Invalid request: no (code 2)"), LISTED)
    script.received(data("btcusdt@trade", **fill())).counted(given_up=1)


def test_names_given_up_are_remembered_up_to_a_limit() -> None:
    script = Script().begun()
    for number in range(3):
        symbols = [f"X{number}X{at}" for at in range(1000)]
        list(script.session.subscribe(symbols, number * 10.0))
        for step in range(6):
            list(script.session.tick(number * 10.0 + step))
        list(script.session.unsubscribe(symbols, number * 10.0 + 6.0))
    for number in range(3):
        script.received(data(f"x{number}x0@trade", **fill()))
    script.counted(given_up=2, unknown_streams=1)


# Data


@pytest.mark.parametrize(
    "name", ["ethusdt@trade", "btcusdt@aggTrade", "BTCUSDT@trade", "", "!miniTicker@arr", "x" * 999]
)
def test_data_of_an_unknown_stream_is_counted_and_passed_over(name: str) -> None:
    Script("BTCUSDT").live().received(data(name, **fill())).counted(unknown_streams=1).stands(live=1)


USUAL = data("btcusdt@trade", **fill())
SPACED = json.dumps({"stream": "btcusdt@trade", "data": fill()}, indent=1).encode()
TURNED = json.dumps({"data": dict(reversed(fill().items())), "stream": "btcusdt@trade"}).encode()
ESCAPED = USUAL.replace(b"btc", b"\\u0062tc")
MORE = json.dumps({"stream": "btcusdt@trade", "data": {**fill(), "new": [{}]}, "more": [1]}).encode()


@pytest.mark.parametrize("frame", [USUAL, SPACED, TURNED, ESCAPED, MORE, USUAL + b"\r\n "])
def test_data_may_be_written_in_any_way_that_json_allows(frame: bytes) -> None:
    Script("BTCUSDT").live().received(frame, trade()).received(bytearray(frame), trade())


def test_a_payload_that_names_another_symbol_than_its_stream_is_counted_and_not_published() -> None:
    script = Script("BTCUSDT", "ETHUSDT").live()
    reason = "names another instrument than the one subscribed: 'BTCUSDT'"
    skipped = Skipped(BadData("trade ETHUSDT", reason))
    script.received(data("ethusdt@trade", **fill()), skipped)
    script.received(data("ethusdt@trade", **{**fill(), "s": "ETHUSDT"}), trade("ETHUSDT"))
    script.received(data("ethusdt@trade", **fill()), skipped)  # once it is live, too
    assert script.session.counters()["other_instruments"] == 2
    unsaid = fill()
    del unsaid["s"]
    script.received(data("ethusdt@trade", **unsaid), trade("ETHUSDT"))


@pytest.mark.parametrize(
    ("frame", "place"),
    [
        (b"", "message: Input data was truncated"),
        (b"[]", "message: Expected `object`, got `array`"),
        (b'{"u":9,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4"}', "message: neither data of a stream that it names,"),
        (b'{"lastUpdateId":160,"bids":[],"asks":[]}', "message: neither data of a stream that it names, nor an answer"),
        (b'{"stream":"btcusdt@trade"}', "message: neither data of a stream that it names, nor an answer"),
        (b'{"stream":7,"data":{}}', "message: Expected `str`, got `int` - at `$.stream`"),
        (b'{"e":"outage","E":5}', "message: an event that doesn't say its stream"),
        (b'{"stream":"btcusdt@trade","data":' + b"[" * 9999, "message: "),
        (b'{"stream":"btcusdt@trade","data":{"t":' + b"[" * 9999, "message: "),
        (b'{"stream":"btcusdt@trade","data":{"s":"\xff"}}', "trade BTCUSDT: "),
        (b'{"stream":"btcusdt@trade","data":null}', "trade BTCUSDT: Expected `object`, got `null`"),
        (data("btcusdt@trade", **fill())[:-1] + b"]", "message: JSON is malformed"),
        (data("btcusdt@trade", **fill())[:-1], "message: Input data was truncated"),
        (data("btcusdt@trade", **fill("nan")), "trade BTCUSDT: Expected `float` > 0.0 - at `$.p`"),
    ],
)
def test_what_can_not_be_used_is_skipped_with_a_reason(frame: bytes, place: str) -> None:
    script = Script("BTCUSDT").live()
    (effect,) = script.yields("received", script.session.frame(frame, 7, 0.0), None)
    assert isinstance(effect, Skipped)
    assert str(effect.error).startswith(place)
    assert str(effect.error).isprintable()
    script.received(data("btcusdt@trade", **fill()), trade())


@pytest.mark.parametrize(
    "frame",
    [
        b'{"e":"serverShutdown","E":1770123456789}',
        b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
        b'{"data": {"e":"serverShutdown"}, "stream": "!serverShutdown"}',
    ],
)
def test_a_shutdown_is_told_and_the_connection_made_anew(frame: bytes) -> None:
    Script("BTCUSDT").live().received(frame, *SHUTDOWN)


KLINE = {
    "t": 1633998480000, "T": 1633998539999, "s": "NKNUSDT", "i": "1m", "o": "0.3527", "c": "0.3528", "h": "0.3529",
    "l": "0.3522", "v": "10", "n": 30, "x": True, "q": "3.5", "V": "4", "Q": "20", "B": "0",
}  # fmt: skip
BAR = Bar(
    "binance", "NKNUSDT", 5_000_000, 7, "venue", 60, 1633998480000000000, 0.3527, 0.3529, 0.3522, 0.3528, 10.0, 3.5,
    30, 4.0, 6.0, 0.35, True, 0, True, 3.5,
)  # fmt: skip


@pytest.mark.parametrize(
    ("channel", "payload", "event"),
    [
        ("trade", {**fill(), "s": "NKNUSDT"}, trade("NKNUSDT")),
        ("kline_1m", {"e": "kline", "E": 5, "s": "NKNUSDT", "k": KLINE}, BAR),
    ],
)
def test_a_payload_without_a_wrapping_says_its_stream_itself(channel: str, payload: Any, event: Any) -> None:
    script = Script("NKNUSDT", channels=(channel,)).begun()
    script.received(json.dumps(payload).encode(), Confirmed(Subscription(channel, "NKNUSDT")), event).stands(live=1)
    other = {**payload, "s": "BTCUSDT"}
    script.received(json.dumps(other).encode()).counted(unknown_streams=1)


def test_revisions_are_counted_on_over_connections_and_begin_anew_when_it_was_given_up() -> None:
    account = Account({}, ["kline_1m"])
    frame = data("nknusdt@kline_1m", E=5, k=KLINE)

    def revisions(session: Session) -> list[int]:
        return [effect.revision for _ in range(2) for effect in session.frame(frame, 7, 0.0) if isinstance(effect, Bar)]

    first, second = account.session(["NKNUSDT"]), account.session(["NKNUSDT"])
    assert (revisions(first), revisions(second)) == ([0, 1], [2, 3])
    list(second.unsubscribe(["NKNUSDT"], 0.0))
    assert revisions(account.session(["NKNUSDT"])) == [0, 1]


@pytest.mark.parametrize("fast", [False, True], ids=["first word", "later"])
@pytest.mark.parametrize(
    ("minute", "ended"),
    [(0, []), (1, [(0, 1, True, False, 10.0)]), (60, [(0, 1, True, False, 10.0)])],
    ids=["within the minute", "the next minute", "an hour later"],
)
def test_a_bar_whose_end_fell_between_two_connections_is_ended_by_the_next(
    minute: int, ended: list[tuple[Any, ...]], fast: bool
) -> None:
    account = Account({}, ["kline_1m"])

    def bars(session: Session, minute: int, final: bool) -> list[tuple[Any, ...]]:
        """(minute, revision, final, complete, volume) of the bars that one message yields."""
        start = BAR.start // 1_000_000 + minute * 60_000
        effects = session.frame(data("nknusdt@kline_1m", E=5, k={**KLINE, "t": start, "x": final}), 7, 0.0)
        found = [effect for effect in effects if isinstance(effect, Bar)]
        return [
            ((bar.start - BAR.start) // 60_000_000_000, bar.revision, bar.final, bar.complete, bar.volume)
            for bar in found
        ]

    first = account.session(["NKNUSDT"])
    if fast:
        assert bars(first, -1, True) == [(-1, 0, True, True, 10.0)]
    assert bars(first, 0, False) == [(0, 0, False, True, 10.0)]
    second, revision = account.session(["NKNUSDT"]), 0 if minute else 1
    assert bars(second, minute, False) == [*ended, (minute, revision, False, True, 10.0)]
    assert bars(second, minute, True) == [(minute, revision + 1, True, True, 10.0)]
    assert bars(account.session(["NKNUSDT"]), minute + 1, False) == [(minute + 1, 0, False, True, 10.0)]


@pytest.mark.skipif(not CAPTURE.exists(), reason=f"no capture of the venue at {CAPTURE}")
def test_every_frame_of_a_capture_is_taken() -> None:
    session, seen = Account({}, ["trade", "bookTicker"]).session(["BTCUSDT"]), Counter[tuple[str, type]]()
    list(session.opened(0.0))
    session.frame(answer(1), 1, 0.0)
    for line in gzip.decompress(CAPTURE.read_bytes()).splitlines():
        frame = line.partition(b" ")[2]
        name = json.loads(frame).get("stream", "what REST answered")
        seen.update((name, type(effect)) for effect in session.frame(frame, 7, 0.0))
    expected = {("btcusdt@trade", Trade): 9757, ("btcusdt@bookTicker", Quote): 28040}
    assert seen == {**expected, ("what REST answered", Skipped): 1}
    assert session.counters()["unknown_streams"] == 3451
    assert session.instruments() == {"live": 1}


# What is out of bounds

ODD = {"0.00": 0, "-0": 0, "-7": 1, "1e100": 1, "1e308": 1, "nan": 1}  # how many errors are told


@pytest.mark.parametrize(("number", "told"), ODD.items())
@pytest.mark.parametrize("at", [0, 1])
def test_a_level_out_of_bounds_is_left_out_alone_and_counted(at: int, number: str, told: int) -> None:
    script = Script("BTCUSDT", channels=["depth5"]).begun()
    level = ["7", "7"]
    level[at] = number
    frame = data("btcusdt@depth5", lastUpdateId=1, bids=[level, ["2", "3"]], asks=[])
    found = list(script.session.frame(frame, 7, 0.0))
    assert found[-1] == BookSnapshot("binance", "BTCUSDT", 0, 7, [(2.0, 3.0)], [], 1, False, True)
    assert sum(isinstance(effect, Skipped) for effect in found) == told
    assert script.session.counters()["levels_left_out"] == 1


@pytest.mark.parametrize("number", [number for number, told in ODD.items() if told])
def test_a_number_out_of_bounds_is_none_and_counted(number: str) -> None:
    script = Script("BTCUSDT", channels=["bookTicker", "kline_1m"]).begun()
    quote = data("btcusdt@bookTicker", u=1, b=number, B="5", a="2.5", A=number)
    candle = {"t": 60_000, **dict.fromkeys("ochv", number), "l": "2", "n": 3, "x": True, "q": "8", "V": "4"}
    told = [
        *script.session.frame(quote, 7, 0.0),
        *script.session.frame(data("btcusdt@kline_1m", E=1, k=candle), 7, 0.0),
    ]
    events = [effect for effect in told if isinstance(effect, MarketEvent)]
    empty = (None, None, 2.0, None, None, 8.0, 3, 4.0, None, None)
    assert events == [
        Quote("binance", "BTCUSDT", 0, 7, None, None, 2.5, None, 1),
        Bar(
            "binance",
            "BTCUSDT",
            1_000_000,
            7,
            "venue",
            60,
            60_000_000_000,
            *empty,
            final=True,
            revision=0,
            complete=True,
            turnover_currency=8.0,
        ),
    ]
    assert sum(isinstance(effect, Skipped) for effect in told) == script.session.counters()["values_left_out"] == 6


# Made anew


def test_one_stream_is_got_anew_and_its_neighbours_go_on() -> None:
    script = Script("BTCUSDT", "ETHUSDT").live().at(1.0)
    script.received(data("ethusdt@trade", **{**fill(), "s": "ETHUSDT"}), trade("ETHUSDT")).stands(live=2)
    script.resubscribed([BTC], "silent", Resync(BTC, "silent"), unsubscribe(2, "btcusdt@trade"), WakeAt(1.35))
    script.received(data("ethusdt@trade", **{**fill(), "s": "ETHUSDT"}), trade("ETHUSDT")).stands(wanted=1, live=1)
    script.at(1.35).ticked(subscribe(3, "btcusdt@trade"), WakeAt(11.0)).received(answer(2), WakeAt(11.35))
    script.received(answer(3), Confirmed(BTC), LISTED).stands(confirmed=1, live=1)
    script.received(data("btcusdt@trade", **fill()), trade()).stands(live=2)


# What the venue has


LOST = "the venue doesn't list it as subscribed any more"


def all_live(*symbols: str) -> Script:
    """All of them have had a trade, and the first list has shown them."""
    script = Script(*symbols).begun()
    script.yields("answer", script.session.frame(answer(1), 7, 0.0), None)
    for symbol in symbols:
        frame = data(f"{symbol.lower()}@trade", **{**fill(), "s": symbol})
        script.yields("trade", script.session.frame(frame, 7, 0.0), None)
    script.at(30.0).ticked(listing(2), WakeAt(40.0))
    return script.received(answer(2, streams(symbols)), WakeAt(330.0))


def test_every_five_minutes_the_venue_is_asked_what_it_has_and_what_it_lost_is_asked_for_again() -> None:
    script = all_live("BTCUSDT", "ETHUSDT").at(329.0).ticked(WakeAt(330.0))
    script.at(330.0).ticked(listing(3), WakeAt(340.0))
    script.received(answer(3, ["btcusdt@trade"]), Resync(ETH, LOST), WakeAt(330.35)).stands(live=1, wanted=1)
    script.at(330.35).ticked(subscribe(4, "ethusdt@trade"), WakeAt(340.35)).counted(lost_subscriptions=1)
    script.received(answer(4), Confirmed(ETH), WakeAt(360.35)).stands(live=1, confirmed=1)
    script.at(360.35).ticked(listing(5), WakeAt(370.35))
    script.received(answer(5, ["ethusdt@trade", "btcusdt@trade"]), WakeAt(660.35)).counted(lost_subscriptions=1)


def test_a_live_stream_that_was_lost_is_live_only_with_its_next_data() -> None:
    script = all_live("BTCUSDT").at(330.0).ticked(listing(3), WakeAt(340.0))
    script.received(answer(3, []), Resync(BTC, LOST), WakeAt(330.35)).stands(wanted=1)
    script.at(330.35).ticked(subscribe(4, "btcusdt@trade"), WakeAt(340.35))
    script.received(data("btcusdt@trade", **fill()), Confirmed(BTC), trade()).stands(live=1)


def test_a_name_that_is_confirmed_and_then_not_listed_is_refused_and_its_neighbours_live() -> None:
    script = Script("BTCUSDT", "ETHUSDT").live().at(30.0).ticked(listing(2), WakeAt(40.0))
    refused = Refused(ETH, "confirmed, but not listed as subscribed")
    script.received(answer(2, ["btcusdt@trade"]), refused, WakeAt(35.0)).stands(live=1, refused=1)
    script.at(35.0).ticked(subscribe(3, "ethusdt@trade"), WakeAt(45.0)).received(
        answer(3), Confirmed(ETH), WakeAt(65.0)
    )
    script.at(65.0).ticked(listing(4), WakeAt(75.0))
    script.received(answer(4, ["btcusdt@trade"]), refused).counted(lost_subscriptions=0)
    script.at(75.0).ticked(subscribe(5, "ethusdt@trade"), WakeAt(85.0))
    script.received(data("ethusdt@trade", **{**fill(), "s": "ETHUSDT"}), Confirmed(ETH), trade("ETHUSDT"))
    script.stands(live=2)


def test_what_was_confirmed_after_the_list_was_asked_for_or_was_given_up_meanwhile_is_not_looked_for_in_it() -> None:
    script = all_live("BTCUSDT", "ETHUSDT").at(329.9).subscribed(["BNBUSDT"], subscribe(3, "bnbusdt@trade"))
    script.at(330.25).ticked(listing(4), WakeAt(339.9)).received(answer(3), Confirmed(BNB), WakeAt(340.25))
    script.at(330.3).unsubscribed(["ETHUSDT"], WakeAt(330.6))
    script.received(answer(4, ["btcusdt@trade", "ethusdt@trade"])).counted(lost_subscriptions=0, stray_subscriptions=0)
    script.at(330.6).ticked(unsubscribe(5, "ethusdt@trade"), WakeAt(340.6)).stands(live=1, confirmed=1)


def test_what_was_got_anew_since_the_list_was_asked_for_is_not_looked_for_in_it() -> None:
    script = all_live("BTCUSDT").at(330.0).ticked(listing(3), WakeAt(340.0))
    script.resubscribed([BTC], "silent", Resync(BTC, "silent"), WakeAt(330.35))
    script.at(330.35).ticked(unsubscribe(4, "btcusdt@trade"), WakeAt(330.35 + 0.35))
    script.at(331.0).ticked(subscribe(5, "btcusdt@trade"), WakeAt(340.0))
    script.received(data("btcusdt@trade", **fill()), Confirmed(BTC), trade()).stands(live=1)
    script.received(answer(3, []), WakeAt(341.0)).counted(lost_subscriptions=0).stands(live=1)


def test_what_the_venue_has_and_nobody_wants_is_ended() -> None:
    script = Script("BTCUSDT").live().at(30.0).ticked(listing(2), WakeAt(40.0))
    strays = ["ethusdt@trade", "bnbusdt@kline_1d@+08:00", "!miniTicker@arr", "X@trade", "x" * 5000]
    text = "the venue has 2 streams that nobody wants, which are ended: bnbusdt@kline_1d@+08:00, ethusdt@trade"
    script.received(answer(2, ["btcusdt@trade", *strays]), Notice(text), WakeAt(30.35))
    script.at(30.35).ticked(unsubscribe(3, "bnbusdt@kline_1d@+08:00", "ethusdt@trade"), WakeAt(40.35))
    script.counted(stray_subscriptions=2).received(answer(3), WakeAt(330.0)).stands(live=1)


def test_what_is_being_ended_anyway_is_not_ended_twice() -> None:
    script = Script("BTCUSDT", "ETHUSDT").live().at(29.9).unsubscribed(["ETHUSDT"], unsubscribe(2, "ethusdt@trade"))
    script.at(30.25).ticked(listing(3), WakeAt(39.9))
    script.received(answer(3, ["btcusdt@trade", "ethusdt@trade"]), WakeAt(40.25)).counted(stray_subscriptions=0)
    script.received(answer(2), WakeAt(330.25))


def test_a_list_that_does_not_come_costs_nothing() -> None:
    script = Script("BTCUSDT").live().at(30.0).ticked(listing(2), WakeAt(40.0))
    script.at(40.0).ticked(WakeAt(330.0)).stands(live=1).at(330.0).ticked(listing(3), WakeAt(340.0))
    refused = Notice("LIST_SUBSCRIPTIONS refused: Invalid request: no (code 2)")
    script.received(error(id=3), refused, WakeAt(630.0)).stands(live=1).counted(lost_subscriptions=0)
