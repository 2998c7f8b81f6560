"""Spoiled payloads: each is wrong in one respect, and written as the venue writes it."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from feedbus.sim.binance import wire
from feedbus.sim.binance.catalogue import pairs
from feedbus.sim.binance.fault_requests import DIFFS, QUOTES
from feedbus.sim.binance.market import BinanceInstrument
from feedbus.sim.binance.spoiling import spoiled

BTC = BinanceInstrument(pairs()[0], 1, 0, 9)
SIDES = (("b", BTC.bids), ("a", BTC.asks))
DIFF = wire.depth_update(BTC, BTC.update - 1, [(True, BTC.bids.prices[1]), (False, BTC.asks.prices[0])], 1)
QUOTE = wire.book_ticker("BTCUSDT", BTC.top())


def after(kind: str, level: int = 70, text: str = DIFF) -> Any:
    (payload,) = spoiled(kind, text, BTC, level)
    assert list(json.loads(payload)) == list(json.loads(text))
    assert ": " not in payload
    return json.loads(payload)


def plain(side: str) -> Any:
    return json.loads(DIFF)[side]


def test_a_diff_is_dropped_or_said_twice() -> None:
    assert spoiled("drop_diffs", DIFF, BTC, 0) == ()
    assert spoiled("duplicate_diffs", DIFF, BTC, 0) == (DIFF, DIFF)


def test_update_ids_jump_back() -> None:
    diff = after("jump_back_diffs")
    assert (diff["U"], diff["u"]) == (BTC.update - 1001, BTC.update - 1000)
    early = DIFF.replace(str(BTC.update), "7").replace(str(BTC.update - 1), "6")
    assert (after("jump_back_diffs", text=early)["U"], after("jump_back_diffs", text=early)["u"]) == (1, 1)


def test_a_crossed_diff_bids_more_than_the_best_ask() -> None:
    diff = after("cross_diffs")
    assert Decimal(diff["b"][0][0]) > Decimal(wire.number(BTC.asks.prices[0]))
    assert (diff["b"][1:], diff["a"]) == (plain("b"), plain("a"))


def test_exponents_say_the_same_numbers() -> None:
    diff = after("exponent_diffs")
    for side in "ba":
        assert all("E" in text for level in diff[side] for text in level)
        assert [list(map(Decimal, level)) for level in diff[side]] == [list(map(Decimal, lv)) for lv in plain(side)]
    tiny = after("exponent_diffs", text=DIFF.replace(plain("b")[0][1], "0.00000001").replace(plain("a")[0][1], "0.0"))
    assert (tiny["b"][0][1], tiny["a"][0][1]) == ("1E-8", "0E+0")


@pytest.mark.parametrize(("kind", "size"), [("nan_diffs", "NaN"), ("negative_diffs", "-1.00000000")])
def test_a_size_is_none(kind: str, size: str) -> None:
    assert after(kind)["b"][0] == [plain("b")[0][0], size]
    asks = json.dumps({**json.loads(DIFF), "b": []}, separators=(",", ":"))
    assert after(kind, text=asks)["a"][0] == [plain("a")[0][0], size]


def test_levels_that_never_were_are_removed() -> None:
    diff = after("unknown_removals")
    for side, book in SIDES:
        *before, (price, size) = diff[side]
        assert before == plain(side)
        assert size == "0.00000000"
        assert all(price != wire.number(each) for each in book.prices)


@pytest.mark.parametrize("level", [0, 1, 70, 4999])
def test_one_level_is_wrong_and_still_in_order(level: int) -> None:
    diff = after("wrong_level", level)
    at = min(level, len(BTC.bids.prices) - 1)
    wrong = [wire.number(BTC.bids.prices[at]), wire.number(2 * BTC.bids.sizes[at])]
    assert wrong in diff["b"]
    assert sorted(diff["b"], key=lambda each: -Decimal(each[0])) == diff["b"]
    assert {price for price, _ in diff["b"]} == {plain("b")[0][0], wrong[0]}
    assert diff["a"] == plain("a")


def test_a_wrong_quote_has_twice_the_size() -> None:
    quote, right = after("wrong_quote", text=QUOTE), json.loads(QUOTE)
    assert Decimal(quote.pop("B")) == 2 * Decimal(right.pop("B"))
    assert quote == right


def test_each_kind_can_be_done() -> None:
    for kind in DIFFS:
        assert spoiled(kind, DIFF, BTC, 3) != (DIFF,)
    for kind in QUOTES:
        assert spoiled(kind, QUOTE, BTC, 3) != (QUOTE,)
