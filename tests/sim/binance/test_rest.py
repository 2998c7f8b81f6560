"""The simulated Binance's REST interface, without a socket."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.sim.binance.catalogue import symbols
from feedbus.sim.binance.rest import BinanceRest
from feedbus.sim.binance.venue import BinanceSimOptions, BinanceVenue
from feedbus.sim.seam import SimRequest, SimResponse

START_NS = 1_723_161_255_208_000_000
MINUTE_NS = 60_000_000_000


def interface(**options: Any) -> BinanceRest:
    return BinanceRest(BinanceVenue(BinanceSimOptions(start_ns=START_NS, **options)))


def get(rest: BinanceRest, target: str, now_ns: int = START_NS) -> SimResponse:
    return rest(SimRequest("GET", target, now_ns=now_ns))


def answered(target: str) -> Any:
    answer = get(interface(), target)
    assert answer.status == 200
    assert answer.content_type.startswith("application/json")
    return json.loads(answer.body)


def test_it_is_there_and_tells_the_markets_time() -> None:
    assert answered("/api/v3/ping") == {}
    assert answered("/api/v3/time") == {"serverTime": START_NS // 1_000_000}
    assert get(BinanceRest(BinanceVenue(BinanceSimOptions())), "/api/v3/time", 7_000_000).body == b'{"serverTime":7}'


@pytest.mark.parametrize(("query", "levels"), [("", 100), ("&limit=5", 5), ("&limit=1", 1), ("&limit=999999", 100)])
def test_a_book_is_as_deep_as_asked_and_100_levels_at_most(query: str, levels: int) -> None:
    book = answered(f"/api/v3/depth?symbol=BTCUSDT{query}")
    assert list(book) == ["lastUpdateId", "bids", "asks"]
    assert len(book["bids"]) == len(book["asks"]) == levels


def test_a_pairs_name_may_be_percent_encoded() -> None:
    assert answered(f"/api/v3/depth?symbol={quote('币安人生USDT')}")["bids"]


def test_all_pairs_are_told_with_their_filters() -> None:
    info = answered("/api/v3/exchangeInfo")
    assert list(info) == ["timezone", "serverTime", "rateLimits", "exchangeFilters", "symbols"]
    assert [each["symbol"] for each in info["symbols"]] == symbols()
    assert info["rateLimits"][0] == {
        "rateLimitType": "REQUEST_WEIGHT",
        "interval": "MINUTE",
        "intervalNum": 1,
        "limit": 6000,
    }
    btc = info["symbols"][0]
    filters = {each["filterType"]: each for each in btc["filters"]}
    assert (btc["status"], btc["baseAsset"], btc["quoteAsset"]) == ("TRADING", "BTC", "USDT")
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"


@pytest.mark.parametrize(
    ("query", "wanted"), [("symbol=ETHUSDT", ["ETHUSDT"]), ('symbols=["BTCUSDT","BNBBTC"]', ["BTCUSDT", "BNBBTC"])]
)
def test_some_pairs_can_be_asked_for(query: str, wanted: list[str]) -> None:
    assert [each["symbol"] for each in answered(f"/api/v3/exchangeInfo?{query}")["symbols"]] == wanted


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        ("depth?symbol=NOPE", -1121, "Invalid symbol."),
        ("depth?symbol=btcusdt", -1121, "Invalid symbol."),
        ("exchangeInfo?symbol=NOPE", -1121, "Invalid symbol."),
        ('exchangeInfo?symbols=["NOPE"]', -1121, "Invalid symbol."),
        ("depth", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ("depth?symbol=&limit=5", -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ("depth?symbol=BTCUSDT&limit=x", -1100, None),
        ("depth?symbol=BTCUSDT&limit=-5", -1100, None),
        ("exchangeInfo?symbols=BTCUSDT", -1100, None),
        ("ticker/24hr?symbol=NOPE", -1121, "Invalid symbol."),
        ("ticker/24hr?type=TINY", -1139, "Invalid ticker type."),
        ('ticker/24hr?symbol=BTCUSDT&symbols=["BTCUSDT"]', -1128, "Combination of optional parameters invalid."),
    ],
)
def test_bad_requests_have_the_venues_codes(target: str, code: int, message: str | None) -> None:
    answer = get(interface(), f"/api/v3/{target}")
    error = json.loads(answer.body)
    assert (answer.status, error["code"]) == (400, code)
    assert message is None or error["msg"] == message


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (SimRequest("GET", "/api/v3/klines"), 404),
        (SimRequest("GET", "/"), 404),
        (SimRequest("GET", "//[x/api/v3/ping"), 400),
        (SimRequest("POST", "/api/v3/ping"), 405),
    ],
)
def test_there_is_nothing_else(request_: SimRequest, status: int) -> None:
    assert interface()(request_).status == status


@pytest.mark.parametrize(
    ("target", "weight"),
    [
        ("ping", 1), ("time", 1), ("exchangeInfo", 20), ("depth?symbol=BTCUSDT", 5),
        ("depth?symbol=BTCUSDT&limit=101", 25),
        ("depth?symbol=BTCUSDT&limit=501", 50), ("depth?symbol=BTCUSDT&limit=5000", 250), ("depth?symbol=NOPE", 5),
        ("ticker/24hr?symbol=BTCUSDT", 2), ('ticker/24hr?symbols=["BTCUSDT","ETHUSDT"]', 2), ("ticker/24hr", 80),
        ("ticker/24hr?symbols=" + json.dumps(symbols()[:21]), 40), ("ticker/24hr?symbol=NOPE", 2),
    ],
)  # fmt: skip
def test_each_answer_tells_the_weight_used_in_this_minute(target: str, weight: int) -> None:
    rest = interface()
    for count in (1, 2):
        headers = dict(get(rest, f"/api/v3/{target}").headers)
        assert headers["X-MBX-USED-WEIGHT-1M"] == str(count * weight)
    headers = dict(get(rest, f"/api/v3/{target}", START_NS + MINUTE_NS).headers)
    assert headers["X-MBX-USED-WEIGHT-1M"] == str(weight)


def test_beyond_the_limit_come_429_and_when_to_come_back() -> None:
    rest = interface(weight_limit=10)
    now = 3 * MINUTE_NS + 14_500_000_000
    assert [get(rest, "/api/v3/depth?symbol=BTCUSDT", now).status for _ in range(3)] == [200, 200, 429]
    refused = get(rest, "/api/v3/ping", now)
    assert json.loads(refused.body)["code"] == -1003
    assert dict(refused.headers)["Retry-After"] == "46"
    assert get(rest, "/api/v3/ping", now + 46_000_000_000).status == 200


@given(target=st.text(max_size=30) | st.text(max_size=20).map(lambda tail: f"/api/v3/depth?symbol=BTCUSDT&{tail}"))
def test_whatever_is_asked_is_answered(target: str) -> None:
    assert get(interface(), target).status in (200, 400, 404)
