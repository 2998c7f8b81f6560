"""Binance's frames by two ways that share nothing: the short one of Session.frame against its long one, and what both
make of a frame against plain json."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from feedbus.schema.events import Bar, BookSnapshot, Indicator, MarketEvent, Quote, Ticker, Trade
from feedbus.testing.strategies import examples, mutated
from feedbus.venues.binance.account import Account
from feedbus.venues.protocol import Effect, Session
from tests.properties.samples.binance import CHANNELS, FRAMES, SYMBOLS, dumped, payload, wrapped

MS = 1_000_000
TELLING_ENDS = [b"", b"]", b"}", b"}}", b"} ", b',"stream":"x"}', b',"data":{}}', b"{", b"{{", b" {", b"\0"]
LIVE = [wrapped(channel, symbol, 1) for channel in CHANNELS for symbol in SYMBOLS]


def live(channels: Sequence[str] = CHANNELS) -> Session:
    session = Account({}, channels).session(SYMBOLS)
    list(session.opened(0.0))
    for channel in channels:
        for symbol in SYMBOLS:
            assert list(session.frame(wrapped(channel, symbol), 1, 0.0))
    assert session.instruments() == {"live": len(SYMBOLS)}
    return session


def shown(effects: Iterable[Effect]) -> list[str]:
    """Effects as text, without the places in the frame that an error may name."""
    return [re.sub(r"\(byte \d+\)", "", repr(effect)) for effect in effects]


@st.composite
def other_ends(draw: st.DrawFn) -> bytes:
    """A frame whose first or last bytes are others."""
    frame, some = draw(st.sampled_from(LIVE)), draw(st.sampled_from(TELLING_ENDS))
    return frame[:-1] + some if draw(st.booleans()) else some + frame[1:]


@examples(300)
@given(frames=st.lists(mutated(LIVE) | st.sampled_from(LIVE) | other_ends(), max_size=4))
def test_the_short_way_gives_what_the_long_way_gives(frames: list[bytes]) -> None:
    short, long = live(), live()
    for frame in frames:
        # A blank before it keeps a frame from the short way.
        assert shown(short.frame(frame, 7, 0.0)) == shown(long.frame(b" " + frame, 7, 0.0))
    assert short.counters() == long.counters()


def test_what_the_venue_writes_takes_the_short_way() -> None:
    session: Any = live()
    session._any_message = None  # the long way
    for frame in LIVE:
        (event,) = session.frame(frame, 7, 0.0)
        assert isinstance(event, MarketEvent)


# Against plain json

digits = st.text("0123456789", min_size=1, max_size=12)
texts = st.builds(lambda whole, part: f"{int(whole)}.{part}", digits, digits) | st.integers(0, 10**15).map(str)
prices = texts.filter(lambda text: float(text) > 0)
wholes = st.integers(0, 2**63 - 1)
times = st.integers(0, 9_223_372_036_853)
levels = st.lists(st.tuples(prices, texts), max_size=20)


@st.composite
def changed(draw: st.DrawFn, channel: str) -> dict[str, Any]:
    """A payload as documented, its numbers drawn; keys in any order, and some that nobody knows."""
    raw = payload(channel, SYMBOLS[0], draw(st.integers(0, 3)))
    inner = raw["k"] if channel.startswith("kline") else raw
    for key in "pqbBaAcohlvqVxw":
        if isinstance(inner.get(key), str):
            inner[key] = draw(prices if key == "p" else texts)
    for key in ("t", "a", "u", "n", "lastUpdateId"):
        if type(inner.get(key)) is int:
            inner[key] = draw(times if channel.startswith("kline") and key == "t" else wholes)
    for key in "ET":
        if key in raw:
            raw[key] = draw(times)
    if channel.startswith("depth"):
        raw["bids"], raw["asks"] = draw(levels), draw(levels)
    raw["~"] = draw(st.none() | st.integers() | st.lists(st.text(max_size=3), max_size=3))
    return {key: raw[key] for key in draw(st.permutations(sorted(raw)))}


def by_hand(channel: str, raw: dict[str, Any]) -> Any:
    """What the documentation says that a payload means."""

    def event(of: Any, *fields: Any) -> Any:
        return of("binance", SYMBOLS[0], *fields)

    def price(text: str) -> float | None:
        return float(text) or None

    match channel:
        case "trade":
            side = "sell" if raw["m"] else "buy"
            return event(Trade, raw["T"] * MS, 7, float(raw["p"]), float(raw["q"]), side, raw["t"])
        case "bookTicker":
            sizes = [float(raw[size]) if float(raw[side]) else None for side, size in ("bB", "aA")]
            return event(Quote, 0, 7, price(raw["b"]), sizes[0], price(raw["a"]), sizes[1], raw["u"])
        case "depth5@100ms":
            bids, asks = (
                [(float(at), float(size)) for at, size in raw[side] if float(size)] for side in ("bids", "asks")
            )
            whole = [len(raw[side]) < 5 and all(float(size) for _, size in raw[side]) for side in ("bids", "asks")]
            return event(BookSnapshot, 0, 7, sorted(bids, reverse=True), sorted(asks), raw["lastUpdateId"], *whole)
        case "ticker":
            prices = [price(raw[key]) for key in "bacohlx"]
            return event(Ticker, raw["E"] * MS, 7, *prices, float(raw["v"]), float(raw["q"]), raw["n"], None, 86_400)
        case "avgPrice":
            start = max(0, (raw["E"] - 300_000) * MS)
            return event(Indicator, raw["E"] * MS, 7, "avgPrice", 300, 1, start, price(raw["w"]))
    kline = raw["k"]
    volume, turnover, bought = (float(kline[key]) for key in "vqV")
    sold, vwap = max(0.0, round(volume - bought, 8)), turnover / volume if volume and turnover else None
    begin = [raw["E"] * MS, 7, "venue", 60, kline["t"] * MS, *(price(kline[key]) for key in "ohlc")]
    return event(Bar, *begin, volume, turnover, kline["n"], bought, sold, vwap, kline["x"], 0, True, turnover)


@examples(300)
@given(data=st.data())
def test_a_payload_means_what_plain_json_and_the_documentation_make_of_it(data: st.DataObject) -> None:
    channel = data.draw(st.sampled_from(CHANNELS))
    raw = data.draw(changed(channel))
    message = {"stream": f"{SYMBOLS[0].lower()}@{channel}", "data": raw}
    text = data.draw(st.sampled_from([dumped(message), json.dumps(message, indent=1).encode()]))
    session = Account({}, CHANNELS).session(SYMBOLS)
    list(session.opened(0.0))
    session.frame(FRAMES[0], 1, 0.0)
    expected = by_hand(channel, json.loads(text)["data"])
    assert list(session.frame(text, 7, 0.0)) == [expected]
    again = session.frame(text, 7, 0.0)
    assert list(again) == [msgspec.structs.replace(expected, revision=1) if isinstance(expected, Bar) else expected]


doubles = st.floats(min_value=1e-300, max_value=1e99).map(repr)
long_texts = st.from_regex(r"[1-9][0-9]{0,40}\.[0-9]{1,40}", fullmatch=True)


@examples(400)
@given(text=doubles | prices | long_texts)
def test_every_price_is_rounded_correctly(text: str) -> None:
    frame = dumped({"stream": "btcusdt@trade", "data": {**payload("trade", "BTCUSDT", 0), "p": text}})
    (event,) = live(["trade"]).frame(frame, 7, 0.0)
    assert isinstance(event, Trade)
    assert event.price == float(text)
