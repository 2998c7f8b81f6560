"""What must hold of everything that a Session yields, whatever it was given: shared by the properties."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from math import isfinite
from typing import Any

import msgspec

from feedbus import venues
from feedbus.schema import codec
from feedbus.schema.events import Bar, BookDelta, BookSnapshot, Event, Instrument, MarketEvent, Quote, Ticker, Trade
from feedbus.venues.fields import LARGEST
from feedbus.venues.protocol import Close, Confirmed, Effect, Fatal, Notice, Refused, Skipped, WakeAt

MAX_TEXT = 300

# Fields that are a price of the instrument, and so never 0; below it they are where a venue has derivatives
PRICES: dict[type[Event], tuple[str, ...]] = {
    Trade: ("price",),
    Quote: ("bid", "ask"),
    Ticker: ("bid", "ask", "last", "open", "high", "low", "previous_close"),
    Bar: ("open", "high", "low", "close", "vwap"),
    Instrument: ("tick_size", "lot"),
}
# Fields that count or measure something, and so are never below zero
NEVER_NEGATIVE: dict[type[Event], tuple[str, ...]] = {
    Trade: ("size",),
    Quote: ("bid_size", "ask_size"),
    Ticker: ("volume", "turnover", "trades"),
    Bar: ("period_s", "start", "volume", "turnover", "trades", "buy_volume", "sell_volume", "revision"),
}


def sound(effects: Iterable[Effect], venue: str, symbols: Collection[str], ts_recv: int) -> list[Effect]:
    """The effects, each of which is as it may be; events are about `symbols` and carry the receipt time given."""
    found = list(effects)
    for effect in found:
        assert isinstance(effect, Effect)
        match effect:
            case MarketEvent():
                assert (effect.venue, effect.ts_recv) == (venue, ts_recv)
                assert effect.symbol in symbols
                kinds = venues.account_class(venue).kinds
                assert not kinds or effect.WORD in {word for words in kinds.values() for word in words}
                sound_event(effect)
            case Skipped(error) | Close(error):
                sound_text(str(error))
            case Confirmed(subscription):
                assert subscription.symbol in symbols
            case Refused(subscription, reason):
                assert subscription.symbol in symbols
                sound_text(reason)
            case Notice(text) | Fatal(text):
                sound_text(text)
            case WakeAt(when):
                assert isfinite(when)
    return found


def sound_text(text: str) -> None:
    """Fit for a log and a terminal."""
    assert text.isprintable()
    assert len(text) < MAX_TEXT


def sound_event(event: MarketEvent) -> None:
    """No NaN, no infinity, no price of 0, no negative size, nothing absurd; best first, and it travels."""
    assert all(isfinite(number) for number in numbers(msgspec.structs.astuple(event)))
    for name in PRICES.get(type(event), ()):
        value = getattr(event, name)
        assert value is None or (value != 0 and abs(value) < LARGEST), name
    for name in NEVER_NEGATIVE.get(type(event), ()):
        value = getattr(event, name)
        assert value is None or 0 <= value < LARGEST, name
    if isinstance(event, BookSnapshot | BookDelta):
        assert all(price != 0 and abs(price) < LARGEST for price, _ in [*event.bids, *event.asks])
        assert all(0 <= size < LARGEST for _, size in [*event.bids, *event.asks])
        bids, asks = ([price for price, _ in side] for side in (event.bids, event.asks))
        assert (bids, asks) == (sorted(bids, reverse=True), sorted(asks))
    if isinstance(event, BookSnapshot):
        assert all(size > 0 for _, size in [*event.bids, *event.asks])
    header = codec.MessageHeader(event.WORD, event.venue, "p", 1, 1)
    groups = [(event.symbol, 1, [event])]
    travelled = codec.decode(codec.encode(header, groups))
    assert travelled == (header, groups)
    assert repr(travelled) == repr((header, groups)), "readers in this process get the event itself: 1 isn't 1.0 there"


def numbers(value: Any) -> Iterable[float]:
    """Every number in a value, however deep."""
    if isinstance(value, list | tuple):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, int | float):
        yield value
