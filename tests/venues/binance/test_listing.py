"""What Binance lists: what is asked for, what is read of it, how turnovers are compared, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.errors import BadData
from feedbus.schema.events import Instrument
from feedbus.sim.binance.catalogue import pairs
from feedbus.sim.binance.rest import BinanceRest
from feedbus.sim.binance.venue import BinanceSimOptions, BinanceVenue
from feedbus.sim.seam import SimRequest
from feedbus.venues.binance.listing import (
    ALL,
    ASKED_ALONE,
    BY_NAME,
    DAYS,
    BinanceListing,
    board_problem,
    pattern_of_pairs_problem,
)
from feedbus.venues.listings import Selection, selected
from feedbus.venues.protocol import Fetch

INVALID = b'{"code":-1121,"msg":"Invalid symbol."}'
Serve = Callable[[str], tuple[int, bytes]]


def pair(base: str, quote: str = "USDT", tick: Any = "0.01000000", status: str = "TRADING", **more: Any) -> Any:
    filters = [{"filterType": "LOT_SIZE", "stepSize": "1"}, {"filterType": "PRICE_FILTER", "tickSize": tick}]
    return {"symbol": base + quote, "status": status, "baseAsset": base, "quoteAsset": quote, "filters": filters} | more


def info(*listed: Any) -> tuple[int, bytes]:
    return 200, json.dumps({"timezone": "UTC", "symbols": listed}).encode()


def read(listing: BinanceListing, serve: Serve) -> list[str]:
    """The whole conversation; returns what was asked for, readably."""
    asked, to_do = [], listing.requests()
    while to_do:
        fetch = to_do.pop(0)
        asked.append(unquote(fetch.path).removeprefix("/api/v3/"))
        to_do += listing.fetched(fetch, *serve(unquote(fetch.path)), 7)
    return asked


def venue(*listed: Any) -> Serve:
    """A venue that has these pairs, and refuses a question for any other as the real one does."""

    def serve(path: str) -> tuple[int, bytes]:
        if "symbols=" not in path:
            return info(*(each for each in listed if each["status"] == "TRADING"))
        wanted = json.loads(path.partition("symbols=")[2])
        found = [each for each in listed if each["symbol"] in wanted]
        return info(*found) if len(found) == len(wanted) else (400, INVALID)

    return serve


def names(listing: BinanceListing) -> list[str]:
    return [instrument.symbol for instrument in listing.instruments()]


def test_a_pair_is_an_instrument_of_lot_1_in_its_quote_asset() -> None:
    listing = BinanceListing(["BTCUSDT"])
    assert read(listing, venue(pair("BTC"))) == ['exchangeInfo?symbols=["BTCUSDT"]']
    assert listing.instruments() == [
        Instrument("binance", "BTCUSDT", 0, 7, None, 1.0, 0.01, 2, "USDT", None, "SPOT", "TRADING")
    ]
    assert (listing.problems(), listing.unlistable()) == ([], ())


@pytest.mark.parametrize(
    ("tick", "found"),
    [
        ("0.00000001", (1e-08, 8)),
        ("1.00000000", (1.0, 0)),
        ("10", (10.0, 0)),
        ("0.50000000", (0.5, 1)),
        (None, (None, None)),
        ("0.00000000", (None, None)),
        ("1e-5", (None, None)),
        ("-1", (None, None)),
        ("9" * 400, (None, None)),
    ],
)
def test_the_decimals_are_those_of_the_tick(tick: Any, found: tuple[float | None, int | None]) -> None:
    listing = BinanceListing()
    read(listing, venue(pair("BTC", tick=tick)))
    [instrument] = listing.instruments()
    assert (instrument.tick_size, instrument.decimals) == found
    assert len(listing.problems()) == (found == (None, None) and tick is not None)


def test_a_symbol_that_does_not_exist_costs_the_others_nothing_and_brings_all_names() -> None:
    has = [pair("BTC"), pair("ETH"), pair("OLD", status="BREAK")]
    listing = BinanceListing(["BTCUSDT", "BTCUSD", "OLDUSDT"])
    assert read(listing, venue(*has)) == [
        'exchangeInfo?symbols=["BTCUSDT","BTCUSD","OLDUSDT"]',
        "exchangeInfo?permissions=SPOT&showPermissionSets=false&symbolStatus=TRADING",
        'exchangeInfo?symbols=["BTCUSD"]',
        'exchangeInfo?symbols=["OLDUSDT"]',
    ]
    assert names(listing) == ["BTCUSDT", "ETHUSDT", "OLDUSDT"]
    assert listing.instruments()[2].status == "BREAK", "it exists, and isn't traded now"


def test_one_symbol_that_does_not_exist_is_asked_for_twice_and_no_more() -> None:
    for has in ([pair("BTC")], []):
        listing = BinanceListing(["BTCUSD"])
        assert len(read(listing, venue(*has))) == 3
        assert names(listing) == [each["symbol"] for each in has]


def test_of_many_symbols_all_are_asked_for_and_of_those_that_are_missing_some() -> None:
    symbols = [f"A{number}USDT" for number in range(BY_NAME + 1)]
    listing = BinanceListing(symbols)
    asked = read(listing, venue(pair("A0"), pair("B")))
    assert asked[0].endswith("symbolStatus=TRADING")
    assert len(asked) == 1 + ASKED_ALONE
    assert names(listing) == ["A0USDT", "BUSDT"]


def test_what_is_not_traded_is_not_selected_from() -> None:
    listing = BinanceListing()
    read(listing, lambda path: info(pair("BTC"), pair("OLD", status="BREAK"), pair("NEW", status="CANCEL_ONLY")))
    assert names(listing) == ["BTCUSDT"]


def test_turnovers_in_different_assets_are_compared_in_usdt() -> None:
    listed = [pair("BTC"), pair("ETH", "BTC"), pair("BTC", "TRY"), pair("USDT", "TRY"), pair("X", "Y"), pair("Z")]
    days = [("BTCUSDT", "50000", "9"), ("ETHBTC", "0.04", "2"), ("BTCTRY", "1600000", "64"), ("USDTTRY", "32", "320")]
    days += [("XY", "1", "5"), ("GONE", "1", "1")]
    told = [{"symbol": symbol, "lastPrice": last, "quoteVolume": volume} for symbol, last, volume in days]
    learned: dict[str, float] = {}
    listing = BinanceListing(turnover=True, learned=learned)
    read(listing, lambda path: (200, json.dumps(told).encode()) if "ticker" in path else info(*listed))
    assert learned == listing.turnovers()
    assert listing.turnovers() == {"BTCUSDT": 9, "ETHBTC": 100_000, "BTCTRY": 2, "USDTTRY": 10, "XY": 0}
    best = selected(listing.instruments(), listing.turnovers(), Selection(top=2))
    assert best == ["ETHBTC", "USDTTRY"]


@pytest.mark.parametrize(
    ("fetch", "status", "body", "complaint"),
    [
        (ALL, 200, b"<html>", "/api/v3/exchangeInfo: JSON is malformed"),
        (ALL, 200, b"{}", "missing required field `symbols`"),
        (ALL, 200, b'{"symbols":[{}]}', "missing required field"),
        (ALL, 200, b'{"symbols":[{"symbol":7}]}', "Expected `str`"),
        (ALL, 503, b"", "/api/v3/exchangeInfo: HTTP 503"),
        (ALL, 400, b"{}", "/api/v3/exchangeInfo: HTTP 400"),
        (DAYS, 400, b"{}", "/api/v3/ticker/24hr: HTTP 400"),
        (DAYS, 200, b'[{"symbol":"A","lastPrice":"-1"}]', "/api/v3/ticker/24hr: Expected `float` >= 0"),
        (DAYS, 200, b'[{"symbol":"A","quoteVolume":"nan"}]', "/api/v3/ticker/24hr"),
    ],
)
def test_what_is_no_list_is_bad_data(fetch: Fetch, status: int, body: bytes, complaint: str) -> None:
    listing = BinanceListing(turnover=True)
    with pytest.raises(BadData) as caught:
        listing.fetched(fetch, status, body, 7)
    assert complaint in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_refusal_of_something_else_is_bad_data() -> None:
    listing = BinanceListing(["BTCUSDT", "BTCUSD"])
    refused = {'["BTCUSD"]': (400, b'{"code":-1003}'), "TRADING": info(pair("BTC"))}
    with pytest.raises(BadData, match="HTTP 400: code -1003"):
        read(listing, lambda path: next((told for key, told in refused.items() if path.endswith(key)), (400, INVALID)))


def test_an_empty_list_is_bad_data_where_all_were_asked_for() -> None:
    listing = BinanceListing()
    read(listing, venue(pair("A B"), pair("abc")))
    with pytest.raises(BadData, match="no pairs that can be subscribed"):
        listing.instruments()
    assert len(listing.problems()) == 2


@given(st.binary(max_size=40), st.sampled_from([ALL, DAYS]), st.integers(100, 599))
def test_any_bytes_are_a_list_or_bad_data(body: bytes, fetch: Fetch, status: int) -> None:
    with suppress(BadData):
        BinanceListing(turnover=True).fetched(fetch, status, body, 7)


def test_the_simulated_venue_lists_its_pairs_and_refuses_others_as_the_real_one() -> None:
    rest = BinanceRest(BinanceVenue(BinanceSimOptions(start_ns=0)))

    def serve(symbols: Sequence[str], *, turnover: bool = False) -> BinanceListing:
        listing = BinanceListing(symbols, turnover=turnover)
        to_do = listing.requests()
        while to_do:
            fetch = to_do.pop(0)
            answer = rest(SimRequest("GET", fetch.path, now_ns=0))
            to_do += listing.fetched(fetch, answer.status, answer.body, 7)
        return listing

    everything = [each.symbol for each in pairs()]
    assert names(serve([])) == everything
    assert names(serve(["BTCUSDT", "币安人生USDT"])) == ["BTCUSDT", "币安人生USDT"]
    assert names(serve(["BTCUSDT", "BTCUSD"])) == everything
    turnovers = serve([], turnover=True).turnovers()
    assert list(turnovers) == everything
    assert min(turnovers.values()) > 0, "every quote asset has a price in USDT"
    ticks = {each.symbol: each.tick / 10**8 for each in pairs()}
    assert {each.symbol: each.tick_size for each in serve([]).instruments()} == pytest.approx(ticks)


def test_there_are_no_boards_and_patterns_are_in_capitals() -> None:
    assert board_problem("TQBR") == "venue binance has no boards, but quote assets: use quote"
    assert pattern_of_pairs_problem("*USDT") is None
    assert pattern_of_pairs_problem("btc*") == "symbols are written in capitals: did you mean BTC*?"
    assert pattern_of_pairs_problem("")
