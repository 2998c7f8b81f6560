"""The schema as a contract: tags, topic words, and the fields in their order, written out as subscribers read them."""

from __future__ import annotations

import msgspec
import pytest

from feedbus.schema.events import (
    EVENT_TYPES,
    BookDelta,
    BookSnapshot,
    Event,
    Indicator,
    MarketData,
    MarketEvent,
    Quote,
    Ticker,
    Trade,
    has_price,
    kind,
)

FIRST = "venue symbol ts_event ts_recv "
CONTRACT = {
    # kind: (topic word, fields in order)
    "trade": ("trade", FIRST + "price size side trade_id"),
    "quote": ("quote", FIRST + "bid bid_size ask ask_size venue_sequence"),
    "book": ("book", FIRST + "bids asks venue_sequence bids_whole asks_whole"),
    "delta": ("book", FIRST + "bids asks first_venue_sequence last_venue_sequence"),
    "ticker": (
        "ticker",
        FIRST + "bid ask last open high low previous_close volume turnover trades status window_s",
    ),
    "bar": (
        "bar",
        FIRST + "source period_s start open high low close volume turnover trades buy_volume sell_volume vwap "
        "final revision complete turnover_currency",
    ),
    "bookmetrics": (
        "bookmetrics",
        FIRST + "spread relative_spread mid microprice levels bid_depth ask_depth imbalance liquidity",
    ),
    "indicator": ("indicator", FIRST + "name period_s window start value revision complete"),
    "instrument": ("instrument", FIRST + "isin lot tick_size decimals currency board type status"),
    "feed": (
        "feed",
        FIRST + "state reason connections_up connections_wanted instruments updates_per_s delay_s generation",
    ),
    "status": ("status", FIRST + "state reason since generation word"),
    "alert": ("alert", FIRST + "rule severity state value text"),
    "gap": ("", "topic publisher epoch first last cause"),
    "heartbeat": ("heartbeat", "publisher epoch beat part parts heads"),
    "end": ("", "topic publisher epoch next_publisher"),
    "marker": ("sync", "nonce"),
}

BOOK = BookSnapshot("moex", "TQBR.SBER", 1, 2, [(327.95, 1044.0)], [], 569811206658952028)
TICKER = Ticker("moex", "TQBR.SBER", 1, 2)


def type_of(tag: str) -> type[Event]:
    return {str(of.__struct_config__.tag): of for of in EVENT_TYPES}[tag]


def test_there_are_the_kinds_of_the_contract_and_no_others() -> None:
    assert sorted(str(of.__struct_config__.tag) for of in EVENT_TYPES) == sorted(CONTRACT)
    assert set(MarketData.__args__) == {of for of in EVENT_TYPES if issubclass(of, MarketEvent)}


@pytest.mark.parametrize("tag", CONTRACT)
def test_fields_and_their_order_are_as_promised(tag: str) -> None:
    word, fields = CONTRACT[tag]
    assert type_of(tag).__struct_fields__ == tuple(fields.split())
    assert word == type_of(tag).WORD


@pytest.mark.parametrize("tag", CONTRACT)
def test_every_kind_is_frozen_tagged_and_an_array(tag: str) -> None:
    config = type_of(tag).__struct_config__
    assert (config.frozen, config.array_like, config.gc, config.tag) == (True, True, False, tag)


def test_an_event_is_encoded_as_its_tag_and_then_its_fields() -> None:
    assert (
        msgspec.json.encode(BOOK)
        == b'["book","moex","TQBR.SBER",1,2,[[327.95,1044.0]],[],569811206658952028,false,false]'
    )
    assert msgspec.json.encode(TICKER) == b'["ticker","moex","TQBR.SBER",1,2' + b",null" * 12 + b"]"


def test_an_event_can_not_be_changed() -> None:
    with pytest.raises(AttributeError):
        BOOK.ts_recv = 3  # type: ignore[misc]


def test_kind_is_the_tag() -> None:
    assert (kind(BOOK), kind(TICKER)) == ("book", "ticker")


@pytest.mark.parametrize(
    ("event", "priced"),
    [
        (Trade("v", "s", 0, 1, 1.0, 1.0, None, None), True),
        (BOOK, True),
        (BookSnapshot("v", "s", 0, 1, [], [(1.0, 1.0)], None), True),
        (BookSnapshot("v", "s", 0, 1, [], [], None), False),
        (BookDelta("v", "s", 0, 1, [(1.0, 0.0)], [], None, None), True),
        (BookDelta("v", "s", 0, 1, [], [], None, None), False),
        (TICKER, False),
        (Ticker("v", "s", 0, 1, high=5.0, volume=1.0, status="T"), False),
        (Ticker("v", "s", 0, 1, bid=0.0), True),
        (Ticker("v", "s", 0, 1, ask=-37.6), True),
        (Ticker("v", "s", 0, 1, last=1.0), True),
        (Quote("v", "s", 0, 1, None, None, None, None, None), False),
        (Quote("v", "s", 0, 1, 1.0, 1.0, None, None, None), True),
        (Quote("v", "s", 0, 1, None, None, 1.0, 1.0, None), True),
        (Indicator("v", "s", 0, 1, "ema", 60, 20, 0, 1.0), False),
    ],
)
def test_has_price_asks_for_a_bid_an_ask_or_a_last_price(event: Event, priced: bool) -> None:
    assert has_price(event) is priced


@pytest.mark.parametrize(
    ("trade", "other", "precedes"),
    [
        ((4, 9), (5, 1), True),
        ((5, 1), (4, 9), False),
        ((5, 1), (5, 2), True),
        ((5, 2), (5, 1), False),
        ((5, 1), (5, 1), False),
        ((5, None), (5, 1), False),
        ((5, "a"), (5, "b"), False),
    ],
)
def test_a_trade_precedes_another_by_its_time_and_then_by_its_id(
    trade: tuple[int, int | str | None], other: tuple[int, int | str | None], precedes: bool
) -> None:
    def of(place: tuple[int, int | str | None]) -> Trade:
        return Trade("moex", "SBER", place[0], 9, 1.0, 1.0, None, place[1])

    assert of(trade).precedes(of(other)) is precedes
