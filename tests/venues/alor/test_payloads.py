"""What ALOR writes on each channel in each format, and the events that it becomes: no digit is lost."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import BookSnapshot, MarketEvent, Quote, Ticker, Trade
from feedbus.testing.strategies import examples
from feedbus.venues.alor.payloads import Format, decode_envelope, decode_text
from feedbus.venues.alor.requests import AlorSubscription, Known, Options
from feedbus.venues.fields import DECODE_ERRORS
from feedbus.venues.protocol import Subscription
from tests import places
from tests.properties.soundness import sound_event

CAPTURES = places.CAPTURES / "alor"
FORMATS: tuple[Format, ...] = ("Simple", "Slim")
MS = 1_702_631_123_780
TS = MS * 1_000_000
SIMPLE_QUOTES = (
    '{"symbol":"SBER","exchange":"MOEX","description":"Сбербанк","prev_close_price":271.74,'
    '"last_price":272,"last_price_timestamp":1703844426,"high_price":272.59,"low_price":271.48,"accruedInt":0,'
    '"volume":5614360,"open_interest":null,"ask":272,"bid":271.99,"ask_vol":4097,"bid_vol":237,'
    '"ob_ms_timestamp":null,"open_price":272.19,"yield":null,"lotsize":10,"lotvalue":2720,"facevalue":3,"type":"CS",'
    '"total_bid_vol":328865,"total_ask_vol":543594,"accrued_interest":0,"change":0.26,"change_percent":0.1}'
)
SLIM_QUOTES = (
    '{"sym":"SBER","ex":"MOEX","desc":"Сбербанк","tst":1703844426,"tso":null,"o":272.19,"h":272.59,'
    '"l":271.48,"c":272,"v":5614360,"acci":0,"oi":null,"y":null,"ask":272,"bid":271.99,"av":4097,"bv":237,'
    '"tbv":328865,"tav":543594,"lot":10,"lotv":2720,"fv":3,"t":"CS"}'
)


def events_of(channel: str, how: Format, body: str, **options: Any) -> list[Any]:
    stream = AlorSubscription(Subscription(channel, "X"), Options(format=how, **options), Known())
    return list(stream.events(stream.decode(f'{{ "data": {body}, "guid":"g" }}'.encode()).data, "X", 7))


# Books


@pytest.mark.parametrize(
    ("how", "body", "bids", "asks", "ts"),
    [
        (
            "Simple",
            (
                f'{{"snapshot":true,"bids":[{{"price":257.7,"volume":157}}],"asks":[{{"price":257.71,"volume":288}}],'
                f'"timestamp":1702631123,"ms_timestamp":{MS},"existing":true}}'
            ),
            [(257.7, 157.0)],
            [(257.71, 288.0)],
            TS,
        ),
        (
            "Slim",
            f'{{"b":[{{"p":70.589,"v":146,"y":16.21}}],"a":[{{"p":70.772,"v":10,"y":16.14}}],"t":{MS},"h":false}}',
            [(70.589, 146.0)],
            [(70.772, 10.0)],
            TS,
        ),
        ("Slim", '{"b":[],"a":[]}', [], [], 0),
        ("Slim", f'{{"b":[{{"p":1.50,"v":1}}],"a":[],"t":{MS}}}', [(1.5, 1.0)], [], TS),
        (
            "Slim",
            f'{{"b":[{{"p":1,"v":1}},{{"p":2,"v":1}}],"a":[{{"p":4,"v":0.5}},{{"p":2.5,"v":1e3}}],"t":{MS}}}',
            [(2.0, 1.0), (1.0, 1.0)],
            [(2.5, 1000.0), (4.0, 0.5)],
            TS,
        ),
    ],
)
def test_a_book_is_taken_whole_best_first(how: Format, body: str, bids: Any, asks: Any, ts: int) -> None:
    assert events_of("orderbook", how, body) == [BookSnapshot("alor", "X", ts, 7, bids, asks, None, True, True)]


@pytest.mark.parametrize("how", FORMATS)
@pytest.mark.parametrize("depth", [1, 3, 50])
def test_a_side_with_fewer_levels_than_were_asked_for_is_whole(how: Format, depth: int) -> None:
    keys = {"Simple": ("bids", "asks", "price", "volume"), "Slim": ("b", "a", "p", "v")}[how]
    for bids, asks in ((depth, 0), (depth - 1, depth), (depth, depth - 1), (0, depth + 1)):
        sides = ([{keys[2]: at + 1, keys[3]: 1} for at in range(count)] for count in (bids, asks))
        [book] = events_of("orderbook", how, json.dumps(dict(zip(keys[:2], sides, strict=True))), depth=depth)
        assert (len(book.bids), len(book.asks)) == (bids, asks)
        assert (book.bids_whole, book.asks_whole) == (bids < depth, asks < depth)


# Trades


@pytest.mark.parametrize(
    ("how", "body", "trade"),
    [
        (
            "Slim",
            f'{{"id":9237394357,"sym":"SBER","bd":"TQBR","q":79,"px":267.92,"t":{MS},"oi":0,"h":false,"s":"sell"}}',
            Trade("alor", "X", TS, 7, 267.92, 79.0, "sell", 9237394357),
        ),
        (
            "Slim",
            f'{{"id":9223372036854775807,"sym":"[N/A]","q":0,"px":37.63,"t":{MS},"s":"buy"}}',
            Trade("alor", "X", TS, 7, 37.63, 0.0, "buy", 2**63 - 1),
        ),
        ("Slim", '{"id":1,"sym":"SBER","q":1,"px":1,"s":null}', Trade("alor", "X", 0, 7, 1.0, 1.0, None, 1)),
        (
            "Simple",
            (
                '{"id":9237394357,"orderno":0,"symbol":"SBER","board":"TQBR","qty":79,"price":267.92,'
                '"time":"2023-12-19T07:00:08.9878590Z","timestamp":1702969208987,"oi":0,"existing":false,"side":"sell"}'
            ),
            Trade("alor", "X", 1_702_969_208_987_859_000, 7, 267.92, 79.0, "sell", 9237394357),
        ),
    ],
)
def test_a_trade_is_published_with_its_own_id_and_time(how: Format, body: str, trade: Trade) -> None:
    assert events_of("alltrades", how, body) == [trade]


@pytest.mark.parametrize(
    ("time", "beyond"),
    [
        ("2023-01-17T14:11:58.8950001", 100),
        ("2023-01-17T14:11:58.8950001Z", 100),
        ("2023-01-17T14:11:58.8950000", 0),
        ("2023-01-17T14:11:58.895999999Z", 999_999),
        ("2023-01-17T14:11:58.8955", 500_000),
        ("2023-01-17T14:11:58.895", 0),
        ("2023-01-17T14:11:58.8960001Z", 0),  # not the time of the timestamp
        ("2023-01-17T14:11:58", 0),
        ("2023-01-17T14:11:58.8950001+03:00", 0),
        ("2023-01-17T14:11:58.895٣٣٣٣", 0),
        ("2023-01-17T14:11:58.8950001\n", 0),
        ("", 0),
        ("null", 0),
    ],
)
def test_the_time_of_a_simple_trade_adds_what_is_beyond_its_milliseconds(time: str, beyond: int) -> None:
    body = {"id": 1, "qty": 1, "price": 1, "timestamp": 1_673_964_718_895, "time": time, "side": "buy"}
    (trade,) = events_of("alltrades", "Simple", json.dumps(body))
    assert trade.ts_event == 1_673_964_718_895_000_000 + beyond


@pytest.mark.parametrize(
    ("how", "body"),
    [
        ("Slim", '{"id":1,"sym":"SBER","q":1,"px":1,"t":1,"h":true,"s":"buy"}'),
        ("Simple", '{"id":1,"symbol":"SBER","qty":1,"price":1,"timestamp":1,"existing":true,"side":"buy"}'),
    ],
)
def test_a_trade_of_the_past_is_not_published(how: Format, body: str) -> None:
    assert events_of("alltrades", how, body) == []


# Quotes


def test_quotes_are_the_best_prices_and_the_day_s_statistics() -> None:
    quote = Quote("alor", "X", 0, 7, 271.99, 237.0, 272.0, 4097.0, None)
    day: dict[str, Any] = {"bid": 271.99, "ask": 272.0, "last": 272.0, "open": 272.19, "high": 272.59, "low": 271.48}
    ticker = Ticker("alor", "X", 0, 7, **day, volume=5614360.0)
    assert events_of("quotes", "Slim", SLIM_QUOTES) == [quote, ticker]
    ticker = Ticker("alor", "X", 0, 7, **day, previous_close=271.74, volume=5614360.0)
    assert events_of("quotes", "Simple", SIMPLE_QUOTES) == [quote, ticker]


@pytest.mark.parametrize("how", FORMATS)
def test_what_is_null_or_missing_in_quotes_is_none(how: Format) -> None:
    name = {"Simple": "symbol", "Slim": "sym"}[how]
    nothing = [Quote("alor", "X", 0, 7, None, None, None, None, None), Ticker("alor", "X", 0, 7)]
    assert events_of("quotes", how, f'{{"{name}":"[N/A]"}}') == nothing
    given_ = json.loads({"Simple": SIMPLE_QUOTES, "Slim": SLIM_QUOTES}[how])
    nulls = {key: given_[key] if key == name else None for key in given_}
    assert events_of("quotes", how, json.dumps(nulls)) == nothing


@pytest.mark.parametrize(
    ("book_ms", "last_s", "quote_ts", "ticker_ts"),
    [
        ("null", "1703844426", 0, 0),  # the last price may be hours old: it says nothing of when this was so
        ("1703844426500", "1703844426", 1_703_844_426_500_000_000, 1_703_844_426_500_000_000),
        ("1703844426500", "1703844427", 1_703_844_426_500_000_000, 1_703_844_427_000_000_000),
        ("1703844426500", "null", 1_703_844_426_500_000_000, 1_703_844_426_500_000_000),
        ("null", "null", 0, 0),
        ("0", "0", 0, 0),
    ],
)
def test_quotes_are_as_old_as_their_book(book_ms: str, last_s: str, quote_ts: int, ticker_ts: int) -> None:
    body = SLIM_QUOTES.replace('"tso":null', f'"tso":{book_ms}').replace('"tst":1703844426', f'"tst":{last_s}')
    assert [event.ts_event for event in events_of("quotes", "Slim", body)] == [quote_ts, ticker_ts]


# What is no such thing


@pytest.mark.parametrize(
    ("channel", "how", "body"),
    [
        ("orderbook", "Slim", '{"b":[]}'),
        ("orderbook", "Slim", '{"b":null,"a":[]}'),
        ("orderbook", "Slim", '{"bids":[],"asks":[]}'),
        ("orderbook", "Simple", '{"b":[],"a":[]}'),
        ("orderbook", "Slim", '{"b":[{"p":1}],"a":[]}'),
        ("orderbook", "Slim", '{"b":[{"p":1,"v":-1}],"a":[]}'),
        ("orderbook", "Slim", '{"b":[{"p":null,"v":1}],"a":[]}'),
        ("orderbook", "Slim", '{"b":[{"p":1e999,"v":1}],"a":[]}'),
        ("orderbook", "Slim", '{"b":[],"a":[],"t":-1}'),
        ("orderbook", "Slim", '{"b":[],"a":[],"t":9223372036855}'),
        ("orderbook", "Slim", '{"b":[' + '{"p":1,"v":1},' * 1000 + '{"p":1,"v":1}],"a":[]}'),
        ("alltrades", "Slim", '{"id":1,"q":1,"s":"buy"}'),
        ("alltrades", "Slim", '{"id":-1,"q":1,"px":1,"s":"buy"}'),
        ("alltrades", "Slim", '{"id":9223372036854775808,"q":1,"px":1,"s":"buy"}'),
        ("alltrades", "Slim", '{"id":"1","q":1,"px":1,"s":"buy"}'),
        ("alltrades", "Slim", '{"id":1,"q":-1,"px":1,"s":"buy"}'),
        ("alltrades", "Slim", '{"id":1,"q":1,"px":null,"s":"buy"}'),
        ("alltrades", "Slim", '{"id":1,"q":1,"px":1,"s":"BUY"}'),
        ("alltrades", "Slim", '{"id":1,"q":1,"px":1,"s":"buy","h":272.59}'),
        ("alltrades", "Simple", '{"id":1,"q":1,"px":1,"s":"buy"}'),
        ("quotes", "Slim", "{}"),
        ("quotes", "Slim", '{"symbol":"SBER"}'),
        ("quotes", "Slim", '{"sym":"SBER","bid":"1"}'),
        ("quotes", "Slim", '{"sym":"SBER","bv":-1}'),
        ("quotes", "Slim", '{"sym":"SBER","h":true}'),
        ("quotes", "Slim", '{"sym":"SBER","tst":9223372037}'),
        ("quotes", "Slim", '{"sym":"SBER","tso":-1}'),
        ("quotes", "Slim", "null"),
    ],
)
def test_anything_else_can_not_be_decoded(channel: str, how: Format, body: str) -> None:
    with pytest.raises(DECODE_ERRORS):
        events_of(channel, how, body)


NUMBERS = st.sampled_from(["-0.0", "1e308", "-1e308", "1e-400", "0.1", "7", "-7", "1" + "0" * 400]) | st.from_regex(
    r"-?(0|[1-9]\d{0,20})(\.\d{1,20})?([eE][+-]?\d{1,3})?", fullmatch=True
)
WORDS = st.sampled_from(["null", "true", "false", '"buy"', '"sell"', '"SBER"', "[]", "{}"])
SLIM_KEYS = [*"qthsbaolcv", "id", "sym", "px", "bid", "ask", "av", "bv", "tst", "tso", "bd", "st"]
LEVELS = st.lists(st.builds('{{"p":{},"v":{}}}'.format, NUMBERS, NUMBERS), max_size=3).map(",".join).map("[{}]".format)
NEEDED = {
    "orderbook": {"b": "[]", "a": "[]"},
    "alltrades": {"id": "1", "q": "1", "px": "1"},
    "quotes": {"sym": "1"},
    "bars_60": {"t": "60"},
    "instruments": {},
}


@pytest.mark.parametrize("channel", NEEDED)
@examples(100)
@given(cells=st.dictionaries(st.sampled_from(SLIM_KEYS), NUMBERS | WORDS | LEVELS))
def test_any_object_is_sound_events_or_can_not_be_decoded(channel: str, cells: dict[str, str]) -> None:
    body = ",".join(f'"{name}":{cell}' for name, cell in (NEEDED[channel] | cells).items())
    try:
        found = events_of(channel, "Slim", f"{{{body}}}")
    except DECODE_ERRORS:
        return
    for event in found:
        assert isinstance(event, MarketEvent)
        sound_event(event)


# What was seen


def seen(name: str) -> list[str]:
    if not CAPTURES.exists():
        pytest.skip("the captures are not here")
    return (CAPTURES / name).read_text().splitlines()


def numbers(value: Any) -> list[Any]:
    """Every number, as it was written or as it is, however deep."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, Decimal | int | float) and not isinstance(value, bool) else []


def every_digit_survives(channel: str, how: Format, frame: str) -> list[Any]:
    """The events of a frame: each of their numbers is written in it, digit by digit, or is a time."""
    written = set(numbers(json.loads(frame, parse_float=Decimal, parse_int=Decimal)["data"]))
    stream = AlorSubscription(Subscription(channel, "X"), Options(format=how), Known())
    found: list[Any] = list(stream.events(stream.decode(frame.encode()).data, "X", 7))
    for event in found:
        assert {Decimal(repr(number)) for number in numbers(msgspec.structs.astuple(event)[4:])} <= written
        sound_event(event)
    return found


def test_the_captured_frames_become_events_without_the_loss_of_a_digit() -> None:
    book, ack = seen("captured_alor4go_orderbook_20221216.jsonl")
    assert every_digit_survives("orderbook", "Simple", book) == [
        BookSnapshot("alor", "X", 1_671_223_802_393_000_000, 7, [], [], None, True, True)
    ]
    answer = decode_envelope(ack.encode())
    said = decode_text(answer.message)
    assert (answer.about, answer.code, said) == ("01GMM8RJ59N9AY05F8FGQEF3JC", 200, "Handled successfully")
    (trade,) = seen("captured_alor4go_alltrades_20230117.json")
    assert every_digit_survives("alltrades", "Simple", trade) == [
        Trade("alor", "X", 1_673_964_718_895_000_000, 7, 10.245, 39.0, "sell", 2022426556961456082)
    ]


def test_the_examples_of_the_specification_become_events_without_the_loss_of_a_digit() -> None:
    schemas = {"OrderBook": "orderbook", "AllTrades": "alltrades", "Quotes": "quotes", "Instruments": "instruments"}
    count = 0
    for line in seen("docexamples_asyncapi.jsonl"):
        example = json.loads(line, parse_float=Decimal)
        for how in FORMATS:
            for word, channel in schemas.items():
                if example["schema"].startswith(f"PayloadResponse{how}{word}"):
                    count += bool(every_digit_survives(channel, how, json.dumps(json.loads(line)["example"])))
    assert count == 9


def test_the_answers_in_the_specification_and_in_the_official_client_s_tests_are_understood() -> None:
    lines = [json.loads(line) for line in seen("docexamples_asyncapi.jsonl")]
    codes = [json.dumps(line["example"]) for line in lines if "httpCode" in line["example"]]
    for text in [*codes, *seen("officialsdk_test_ack.jsonl")]:
        answer = decode_envelope(text.encode())
        written = json.loads(text)
        assert (answer.about, answer.code, msgspec.json.decode(answer.message)) == tuple(
            written[name] for name in ("requestGuid", "httpCode", "message")
        )
    assert len(codes) == 4
