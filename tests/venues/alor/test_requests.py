"""What ALOR is asked, byte by byte, and what may be asked of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from feedbus.venues.alor import requests as streams
from feedbus.venues.alor.requests import AlorSubscription, Known, Options
from feedbus.venues.protocol import Subscription
from tests import places

CAPTURES = places.CAPTURES / "alor"
NOW = 1_702_631_123_780_000_000  # a Friday, 9:05:23 UTC


def asked(channel: str, symbol: str, **options: Any) -> str | bytes:
    stream = AlorSubscription(Subscription(channel, symbol), Options(**options), Known())
    return streams.subscribe(stream, "g1", "tok", NOW)


@pytest.mark.parametrize(
    ("channel", "symbol", "options", "request_"),
    [
        (
            "orderbook",
            "SBER",
            {},
            (
                '{"opcode":"OrderBookGetAndSubscribe","exchange":"MOEX","code":"SBER","depth":20,"frequency":100,'
                '"format":"Slim","guid":"g1","token":"tok"}'
            ),
        ),
        (
            "orderbook",
            "MOEX:CNY-3.23:RFUD",
            {"depth": 50, "frequency": 250, "format": "Simple"},
            (
                '{"opcode":"OrderBookGetAndSubscribe","exchange":"MOEX","code":"CNY-3.23","instrumentGroup":"RFUD",'
                '"depth":50,"frequency":250,"format":"Simple","guid":"g1","token":"tok"}'
            ),
        ),
        (
            "alltrades",
            "SPBX:AAPL",
            {"format": "Simple"},
            (
                '{"opcode":"AllTradesGetAndSubscribe","exchange":"SPBX","code":"AAPL","includeVirtualTrades":false,'
                '"format":"Simple","guid":"g1","token":"tok"}'
            ),
        ),
        (
            "quotes",
            "AAPL",
            {"exchange": "SPBX", "frequency": 10},
            (
                '{"opcode":"QuotesSubscribe","exchange":"SPBX","code":"AAPL","frequency":10,"format":"Slim",'
                '"guid":"g1","token":"tok"}'
            ),
        ),
        (
            "bars_60",
            "MOEX:SBER:TQBR",
            {},
            (
                '{"opcode":"BarsGetAndSubscribe","exchange":"MOEX","code":"SBER","instrumentGroup":"TQBR","tf":"60",'
                '"splitAdjust":false,"frequency":100,"format":"Slim","from":1702625100,"skipHistory":false,'
                '"guid":"g1","token":"tok"}'
            ),
        ),
        (
            "bars_D",
            "SBER",
            {"history": 3, "format": "Simple"},
            (
                '{"opcode":"BarsGetAndSubscribe","exchange":"MOEX","code":"SBER","tf":"D","splitAdjust":false,'
                '"frequency":100,"format":"Simple","from":1702339200,"skipHistory":false,"guid":"g1","token":"tok"}'
            ),
        ),
        (
            "bars_15",
            "SBER",
            {"history": 0},
            (
                '{"opcode":"BarsGetAndSubscribe","exchange":"MOEX","code":"SBER","tf":"15","splitAdjust":false,'
                '"frequency":100,"format":"Slim","from":1702631115,"skipHistory":true,"guid":"g1","token":"tok"}'
            ),
        ),
        (
            "instruments",
            "SPBX:AAPL",
            {},
            (
                '{"opcode":"InstrumentsGetAndSubscribeV2","exchange":"SPBX","code":"AAPL","format":"Slim",'
                '"guid":"g1","token":"tok"}'
            ),
        ),
    ],
)
def test_a_request_says_what_the_symbol_and_the_options_do(
    channel: str, symbol: str, options: dict[str, Any], request_: str
) -> None:
    assert asked(channel, symbol, **options) == request_


def test_the_other_requests() -> None:
    assert streams.unsubscribe("g1", "tok") == '{"opcode":"unsubscribe","guid":"g1","token":"tok"}'
    assert streams.ping("g1", "tok") == '{"opcode":"ping","guid":"g1","confirm":true,"token":"tok"}'


def test_requests_have_the_keys_and_types_of_the_specification_s_examples() -> None:
    if not CAPTURES.exists():
        pytest.skip("the captures are not here")
    lines = (CAPTURES / "docexamples_asyncapi.jsonl").read_text().splitlines()
    examples = {example["opcode"]: example for line in lines if "opcode" in (example := json.loads(line)["example"])}
    ours = [asked(channel, "MOEX:SBER:TQBR") for channel in streams.CHANNELS]
    ours += [streams.unsubscribe("g1", "tok")]
    for request in map(json.loads, ours):
        theirs = examples[request["opcode"]]
        assert {name: type(value) for name, value in request.items()}.items() <= {
            name: type(value) for name, value in theirs.items()
        }.items()
        assert theirs.keys() - request.keys() <= {"depth"}  # of trades: we ask for no history


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"format": "Heavy"}, "Invalid enum value 'Heavy'"),
        ({"exchange": "NYSE"}, "Invalid enum value 'NYSE'"),
        ({"history": 1001}, "Expected `int` <= 1000"),
        ({"token": "x"}, "unknown field"),
    ],
)
def test_options_out_of_bounds_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=reason):
        msgspec.convert(options, Options)
