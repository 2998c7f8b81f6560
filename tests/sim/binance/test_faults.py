"""Faults by request: what is armed, on whom it is used up, and that it is over then."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from feedbus.sim.binance import fault_requests
from feedbus.sim.binance.catalogue import pairs
from feedbus.sim.binance.fault_requests import DIFFS
from feedbus.sim.binance.rest import BinanceRest
from feedbus.sim.binance.server import admit, converse
from feedbus.sim.binance.venue import BinanceSimOptions, BinanceVenue
from feedbus.sim.seam import SimRequest, SimResponse

START_NS = 1_723_161_255_208_000_000
LISTED = pairs()[:3]
NOISY = "/stream?streams=" + "/".join(f"{pair.symbol.lower()}@depth@100ms" for pair in LISTED)


def venue(**options: Any) -> BinanceVenue:
    return BinanceVenue(BinanceSimOptions(start_ns=START_NS, **options), listed=LISTED)


def arm(it: BinanceVenue, **faults: Any) -> None:
    it.arm(fault_requests.parse(json.dumps(faults)), START_NS)


def diffs(it: BinanceVenue, steps: int = 40, target: str = NOISY) -> dict[str, list[Any]]:
    """The diffs of each pair from the steps that follow."""
    conversation = converse(it, target, START_NS)
    assert conversation is not None
    found: dict[str, list[Any]] = {}
    for _ in range(steps):
        it.advance()
        for frame in conversation.due():
            data = json.loads(frame)["data"]
            found.setdefault(data["s"], []).append(data)
    return found


def gaps(of_one: list[Any]) -> int:
    return sum(then["U"] != before["u"] + 1 for before, then in pairwise(of_one))


def test_the_next_diffs_of_one_pair_are_dropped_and_of_no_other() -> None:
    it, spared = venue(), venue()
    arm(it, drop_diffs={"symbol": "BTCUSDT", "count": 3})
    had, all_of_them = diffs(it), diffs(spared)
    assert had["BTCUSDT"] == all_of_them["BTCUSDT"][3:]
    assert had["ETHUSDT"] == all_of_them["ETHUSDT"]
    assert it.faults_told()["done"] == {"drop_diffs": 3}
    assert it.faults_told()["armed"] == {}


def test_every_pair_has_its_own_count() -> None:
    it = venue()
    diffs(it, 5)
    arm(it, drop_diffs={"symbol": "*", "count": 2})
    assert it.faults_told()["armed"] == {"drop_diffs": {pair.symbol: 2 for pair in LISTED}}
    diffs(it)
    assert it.faults_told()["done"] == {"drop_diffs": 2 * len(LISTED)}


def test_faults_of_a_pair_come_one_after_the_other_as_they_were_armed() -> None:
    it = venue()
    arm(it, nan_diffs={"symbol": "BTCUSDT"})
    arm(it, duplicate_diffs={"symbol": "BTCUSDT"}, exponent_diffs={"symbol": "BTCUSDT"})
    arm(it, nan_diffs={"symbol": "BTCUSDT"})  # armed again: now it is the last
    first, second, third, fourth, fifth, *_ = diffs(it)["BTCUSDT"]
    assert first == second
    assert "E" in json.dumps(third["b"] + third["a"])
    assert "NaN" in json.dumps(fourth["b"] + fourth["a"])
    assert fifth["U"] == fourth["u"] + 1


@pytest.mark.parametrize("kind", sorted({*DIFFS} - {"drop_diffs"}))
def test_a_fault_changes_the_next_diff_and_then_the_market_goes_on(kind: str) -> None:
    it, spared = venue(), venue()
    arm(it, **{kind: {"symbol": "BTCUSDT"}})
    had, right = diffs(it)["BTCUSDT"], diffs(spared)["BTCUSDT"]
    assert had != right
    assert had[-len(right) + 1 :] == right[1:]
    assert it.faults_told()["done"] == {kind: 1}


def test_a_quote_is_wrong_once() -> None:
    it, spared = venue(), venue()
    arm(it, wrong_quote={"symbol": "BTCUSDT"})
    had, right = (diffs(each, target="/stream?streams=btcusdt@bookTicker")["BTCUSDT"] for each in (it, spared))
    assert [one == other for one, other in zip(had, right, strict=True)].count(False) == 1


def test_ids_begin_anew_and_diffs_quotes_and_snapshots_agree_about_it() -> None:
    it = venue()
    before = diffs(it, 5)["BTCUSDT"][-1]
    arm(it, restart_ids={"symbol": "BTCUSDT"})
    after = diffs(it, 30)["BTCUSDT"]
    assert after[0]["u"] < before["u"] // 2 + 1000
    assert (gaps(after), after[-1]["u"]) == (0, it.market.instruments["BTCUSDT"].update)
    snapshot = json.loads(get(BinanceRest(it), "depth?symbol=BTCUSDT").body)
    assert snapshot["lastUpdateId"] == after[-1]["u"]


def test_ids_that_begin_anew_leave_no_gap_on_a_connection() -> None:
    it = venue()
    conversation = converse(it, "/stream?streams=btcusdt@depth", START_NS)
    assert conversation is not None
    seen = []
    for step in range(60):
        if step == 25:
            arm(it, restart_ids={"symbol": "*"})
        it.advance()
        seen += [json.loads(frame)["data"] for frame in conversation.due()]
    assert all(each["U"] <= each["u"] for each in seen)
    assert gaps(seen) == 1


# REST


def get(rest: BinanceRest, target: str, now_ns: int = START_NS) -> SimResponse:
    return rest(SimRequest("GET", f"/api/v3/{target}", now_ns=now_ns))


def test_a_stale_book_is_the_one_of_the_moment_of_arming() -> None:
    it = venue()
    rest = BinanceRest(it)
    old = get(rest, "depth?symbol=BTCUSDT&limit=5").body
    arm(it, stale_depth={"symbol": "BTCUSDT", "count": 2})
    diffs(it)
    answers = [get(rest, "depth?symbol=BTCUSDT&limit=5").body for _ in range(3)]
    assert [answer == old for answer in answers] == [True, True, False]
    assert get(rest, "depth?symbol=ETHUSDT").status == 200


def test_it_may_be_stale_for_ever_until_it_is_cleared() -> None:
    it = venue()
    rest = BinanceRest(it)
    arm(it, stale_depth={"symbol": "*", "count": None})
    old = get(rest, "depth?symbol=ETHUSDT").body
    diffs(it)
    assert {get(rest, "depth?symbol=ETHUSDT").body for _ in range(20)} == {old}
    assert it.faults_told()["armed"]["stale_depth"]["ETHUSDT"] is None
    arm(it, clear=True)
    assert get(rest, "depth?symbol=ETHUSDT").body != old
    assert it.faults_told()["armed"] == {}


def test_a_book_may_be_a_page_or_cut_short_or_of_another_pair() -> None:
    it = venue()
    rest = BinanceRest(it)
    right = get(rest, "depth?symbol=ETHUSDT").body
    arm(it, html_depth={"symbol": "ETHUSDT"}, cut_depth={"symbol": "ETHUSDT"}, other_depth={"symbol": "ETHUSDT"})
    page, cut, other, again = (get(rest, "depth?symbol=ETHUSDT") for _ in range(4))
    assert {each.status for each in (page, cut, other, again)} == {200}
    assert page.content_type.startswith("text/html")
    assert page.body.startswith(b"<html>")
    assert right.startswith(cut.body)
    assert 0 < len(cut.body) < len(right)
    assert other.body == get(rest, "depth?symbol=BTCUSDT").body
    assert again.body == right


def test_the_next_requests_are_refused_and_weigh_nothing() -> None:
    it = venue()
    rest = BinanceRest(it)
    arm(it, refuse_rest={"status": 418, "retry_after_s": 7, "count": 2})
    answers = [get(rest, "ping") for _ in range(3)]
    assert [each.status for each in answers] == [418, 418, 200]
    assert dict(answers[0].headers)["Retry-After"] == "7"
    assert [dict(each.headers)["X-MBX-USED-WEIGHT-1M"] for each in answers] == ["0", "0", "1"]


def test_the_next_answers_come_later() -> None:
    it = venue()
    rest = BinanceRest(it)
    arm(it, delay_rest={"delay_s": 1.5, "count": 2})
    assert [get(rest, "ping").delay_s for _ in range(3)] == [1.5, 1.5, 0.0]


def test_a_pair_that_does_not_trade_stands_still_and_says_so() -> None:
    it = venue()
    rest = BinanceRest(it)
    arm(it, status={"symbol": "BTCUSDT", "status": "BREAK"})
    book = get(rest, "depth?symbol=BTCUSDT").body
    assert list(diffs(it)) == ["ETHUSDT", "BNBUSDT"]
    assert get(rest, "depth?symbol=BTCUSDT").body == book
    statuses = {each["symbol"]: each["status"] for each in json.loads(get(rest, "exchangeInfo").body)["symbols"]}
    assert statuses == {"BTCUSDT": "BREAK", "ETHUSDT": "TRADING", "BNBUSDT": "TRADING"}
    assert it.faults_told()["armed"]["status"] == {"BTCUSDT": "BREAK"}
    arm(it, clear=True)
    assert "BTCUSDT" in diffs(it)


# Connections and weight


def test_every_connection_is_cut_and_new_ones_are_not() -> None:
    it = venue()
    old, idle = converse(it, NOISY, START_NS), converse(it, "/ws", START_NS)
    assert old is not None
    assert idle is not None
    arm(it, cut_connections=True)
    it.advance()
    assert old.due() == idle.receive('{"method":"LIST_SUBSCRIPTIONS","id":1}', START_NS) == []
    assert (old.ending, idle.ending) == ("abort", "abort")
    assert diffs(it)


def test_a_ban_ends_the_connections_and_refuses_new_ones_until_it_is_over() -> None:
    it = venue(weight_limit=2, ban_s=3)
    rest = BinanceRest(it)
    old = converse(it, NOISY, START_NS)
    assert old is not None
    assert [get(rest, "ping").status for _ in range(9)] == [200] * 2 + [429] * 5 + [418] * 2
    it.advance()
    old.due()
    assert old.ending == "refuse"
    assert admit(it, NOISY, START_NS) == 418
    assert admit(it, NOISY, START_NS + 3_000_000_000) is not None
    counters = it.counters
    assert (counters.clients_banned, counters.handshakes_refused, counters.heaviest_minute) == (1, 1, 8)
    arm(it, ban_s=4)
    assert get(rest, "ping", START_NS + 3_000_000_001).status == 418


def test_weight_that_somebody_else_uses_is_told_and_counts() -> None:
    it = venue(weight_limit=10)
    rest = BinanceRest(it)
    arm(it, foreign_weight=9)
    answers = [get(rest, "ping") for _ in range(2)]
    assert [each.status for each in answers] == [200, 429]
    assert dict(answers[0].headers)["X-MBX-USED-WEIGHT-1M"] == "10"
    assert it.faults_told()["armed"] == {"foreign_weight": 9}
    assert it.faults_told()["weight"] == {"used": 11, "heaviest_minute": 11, "bans": 0}


# The resource


def test_the_resource_arms_and_tells() -> None:
    it = venue()
    rest = BinanceRest(it)
    body = b'{"drop_diffs": {"symbol": "BTCUSDT", "count": 3}}'
    armed = rest(SimRequest("POST", "/sim/faults", body, now_ns=START_NS))
    told = rest(SimRequest("GET", "/sim/faults", now_ns=START_NS))
    assert armed.status == told.status == 200
    assert json.loads(told.body) == json.loads(armed.body)
    assert json.loads(told.body)["armed"] == {"drop_diffs": {"BTCUSDT": 3}}
    assert rest(SimRequest("PUT", "/sim/faults")).status == 405


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'[{"drop_diffs": {"symbol": "BTCUSDT"}}, {"drop_all": 1}]', "unknown field `drop_all`"),
        (b'[{"cut_connections": true}, {"drop_diffs": {"symbol": "NOPE"}}]', "drop_diffs: no pair 'NOPE' is listed"),
        (b'[{"foreign_weight": 5}, {"status": {"symbol": "btcusdt", "status": "BREAK"}}]', "no pair 'btcusdt'"),
    ],
)
def test_of_a_wrong_body_nothing_is_done(body: bytes, said: str) -> None:
    it = venue()
    refused = BinanceRest(it)(SimRequest("POST", "/sim/faults", body))
    assert refused.status == 400
    assert said in json.loads(refused.body)["error"]
    assert (it.faults_told()["armed"], it.faults_told()["done"], it.cuts) == ({}, {}, 0)


def test_faults_may_be_armed_from_the_start() -> None:
    it = venue(faults='{"drop_diffs": {"symbol": "BTCUSDT", "count": 5}}')
    assert it.faults_told()["armed"] == {"drop_diffs": {"BTCUSDT": 5}}
    with pytest.raises(ValueError, match="no pair 'NOPE'"):
        venue(faults='{"drop_diffs": {"symbol": "NOPE"}}')


def payloads(it: BinanceVenue, stream: str, steps: int = 40) -> list[Any]:
    """The payloads of one stream from the steps that follow."""
    conversation = converse(it, f"/stream?streams={stream}", START_NS)
    assert conversation is not None
    found = []
    for _ in range(steps):
        it.advance()
        found += [json.loads(frame)["data"] for frame in conversation.due()]
    return found


@pytest.mark.parametrize("channel", ["trade", "aggTrade", "bookTicker", "depth5@100ms", "miniTicker", "kline_1s"])
def test_messages_of_any_stream_are_dropped_doubled_swapped_and_replayed(channel: str) -> None:
    stream = f"btcusdt@{channel}"
    right = payloads(venue(), stream)
    assert len(right) > 2
    for faults, expected in (
        ({"drop": {"stream": channel, "count": 2}}, right[2:]),
        ({"drop": {"symbol": "ETHUSDT", "count": 2}}, right),
        ({"duplicate": {"symbol": "BTCUSDT"}}, [right[0], *right]),
        ({"swap": {}}, [right[1], right[0], *right[2:]]),
        ({"replay": {}}, [*right[:2], right[0], *right[2:]]),
    ):
        it = venue()
        arm(it, **faults)
        assert payloads(it, stream) == expected


def test_payloads_of_another_pair_name_it_and_pictures_may_be_crossed() -> None:
    it = venue()
    arm(it, other_ticker={"count": 2}, cross={})
    assert [each["s"] for each in payloads(it, "btcusdt@trade")[:3]] == ["ETHUSDT", "ETHUSDT", "BTCUSDT"]
    books = payloads(it, "btcusdt@depth5@100ms")
    assert [float(each["bids"][0][0]) >= float(each["asks"][0][0]) for each in books[:2]] == [True, False]
    assert it.faults_told()["done"] == {"cross": 1, "other_ticker": 2}
    assert it.faults_told()["armed"] == {"other_ticker": {"*": {"*": 2}}, "cross": {"*": {"*": 1}}}


def test_a_diff_may_have_a_fault_of_its_own_besides() -> None:
    it, spared = venue(), venue()
    arm(it, drop={"stream": "depth@100ms", "symbol": "BTCUSDT"}, drop_diffs={"symbol": "BTCUSDT"})
    assert diffs(it)["BTCUSDT"] == diffs(spared)["BTCUSDT"][2:]
    assert it.faults_told()["done"] == {"drop": 1, "drop_diffs": 1}


def test_of_a_stream_that_there_is_not_nothing_is_armed() -> None:
    it = venue()
    with pytest.raises(ValueError, match="no stream 'trades'"):
        arm(it, drop={"stream": "trades"})
    assert it.faults_told()["armed"] == {}
