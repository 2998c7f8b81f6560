"""Symbols: which can be subscribed, and how the venue wants them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.venues.moex.symbols import MARKETS, destination, selector, symbol_problem, ticker
from feedbus.venues.protocol import Subscription


@pytest.mark.parametrize("symbol", ["TQBR.SBER", "FORTS.RFUD.SiZ6", "SNDX.IMOEX", "TQOB.SU26238RMFS4", "MXSE2.A"])
def test_a_symbol_is_board_and_secid(symbol: str) -> None:
    assert symbol_problem(symbol) is None


@pytest.mark.parametrize(
    ("symbol", "complaint"),
    [
        ("SBER", "not BOARD.SECID"),
        ("", "not BOARD.SECID"),
        ("TQBR.", "not BOARD.SECID"),
        (".SBER", "not BOARD.SECID"),
        ("TQBR..SBER", "not BOARD.SECID"),
        ("MXSE.TQBR.SBER", "write it without MXSE."),
        ("MXSE.SBER", "write it without MXSE."),
        ("FORTS.SiZ6", "not MARKET.BOARD.SECID"),
        ('TQBR.A"B', "selector can't carry"),
        ("TQBR.A B", "selector can't carry"),
        ("TQBR.A\\B", "selector can't carry"),
        ("TQBR.A:B", "selector can't carry"),
        ("TQBR.A\nB", "selector can't carry"),
        ("TQBR.A\0", "selector can't carry"),
        ("TQBR.\ud800", "selector can't carry"),
        ("TQBR.SBER,TQBR.GAZP", "selector can't carry"),
        ("SBER", "not BOARD.SECID, like TQBR.SBER: did you mean TQBR.SBER?"),
        ("gazp", "did you mean TQBR.GAZP?"),
        ("tqbr.sber", "a market and a board are written in A-Z, 0-9 and _: did you mean TQBR.SBER?"),
        ("TQBR.sber", "a SECID of the market MXSE is written in capitals: did you mean TQBR.SBER?"),
        ("SBER.TQBR", "the board comes before the SECID: did you mean TQBR.SBER?"),
        ("sber.tqbr", "did you mean TQBR.SBER?"),
        ("MOEX:SBER:TQBR", "did you mean TQBR.SBER?"),
        ("TQBR:SBER", "did you mean TQBR.SBER?"),
        ("TQBR SBER", "did you mean TQBR.SBER?"),
        ("MXSE.TQBR.SBER", "did you mean TQBR.SBER?"),
        ("FORTS.SiZ6.RFUD", "the board comes before the SECID: did you mean FORTS.RFUD.SiZ6?"),
        ("forts.rfud.SiZ6", "did you mean FORTS.RFUD.SiZ6?"),
        ("TQBR.ABCDEFGHIJKLMNOP", "longer than 25 characters as MXSE.TQBR.ABCDEFGHIJKLMNOP"),
    ],
)
def test_a_symbol_that_could_not_be_subscribed_is_refused(symbol: str, complaint: str) -> None:
    assert complaint in (symbol_problem(symbol) or "")


def test_the_longest_ticker_is_allowed() -> None:
    assert len(ticker("TQBR.ABCDEFGHIJKLMNO")) == 25
    assert symbol_problem("TQBR.ABCDEFGHIJKLMNO") is None


def test_a_market_is_put_before_a_symbol_that_names_none() -> None:
    assert ticker("TQBR.SBER") == "MXSE.TQBR.SBER"
    assert all(ticker(f"{market}.BOARD.X") == f"{market}.BOARD.X" for market in MARKETS)


def test_a_destination_is_market_and_channel() -> None:
    assert destination(Subscription("orderbooks", "TQBR.SBER")) == "MXSE.orderbooks"
    assert destination(Subscription("securities", "FORTS.RFUD.SiZ6")) == "FORTS.securities"
    assert destination(Subscription("candles.M10", "TQBR.SBER")) == "MXSE.candles"


def test_a_selector_names_the_ticker_and_the_interval_of_candles() -> None:
    assert selector(Subscription("orderbooks", "TQBR.SBER")) == 'TICKER="MXSE.TQBR.SBER"'
    assert selector(Subscription("candles.M1", "TQBR.SBER")) == 'TICKER="MXSE.TQBR.SBER" and interval="M1"'
    assert selector(Subscription("candles.D1", "FORTS.RFUD.SiZ6")) == 'TICKER="FORTS.RFUD.SiZ6" and interval="D1"'


@pytest.mark.parametrize("symbol", ["BTC-USDT", "СБЕР", "", "TQBR.A\nB", "FORTS.SiZ6"])
def test_where_nothing_is_near_nothing_is_proposed(symbol: str) -> None:
    assert "did you mean" not in str(symbol_problem(symbol))


@given(st.text(alphabet="TQBRSEtqbrse.:- MXFO\n", max_size=16))
def test_what_is_proposed_can_be_subscribed(symbol: str) -> None:
    for proposed in re.findall(r"did you mean (.*)\?$", symbol_problem(symbol) or ""):
        assert symbol_problem(proposed) is None
