"""Faults of the simulated ALOR, in what a client of it is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feedbus.sim.alor.conversation import AlorConversation
from feedbus.sim.alor.rest import AlorRest
from feedbus.sim.alor.spoiling import changed
from feedbus.sim.alor.venue import AlorSimOptions, AlorVenue
from feedbus.sim.moex import catalogue
from feedbus.sim.seam import SimRequest

START_NS = 1_719_825_533_000_000_000
LISTED = [each for each in catalogue.securities() if each.symbol in ("TQBR.SBER", "TQBR.GAZP")]
OPCODES = {
    "orderbook": "OrderBookGetAndSubscribe",
    "alltrades": "AllTradesGetAndSubscribe",
    "quotes": "QuotesSubscribe",
    "bars": "BarsGetAndSubscribe",
    "instruments": "InstrumentsGetAndSubscribeV2",
}


def venue(**faults: Any) -> AlorVenue:
    options = AlorSimOptions(start_ns=START_NS, token_s=10**6, faults=json.dumps(faults))
    return AlorVenue(options, securities=LISTED)


def texts(it: AlorVenue, stream: str, steps: int = 60, form: str = "Slim") -> list[Any]:
    """What a client is sent that subscribes SBER on this stream, without its first messages."""
    rest, conversation = AlorRest(it), AlorConversation(it)
    token = json.loads(rest(SimRequest("POST", "/refresh?token=x", now_ns=START_NS)).body)["AccessToken"]
    request = {"opcode": OPCODES[stream], "exchange": "MOEX", "code": "SBER", "guid": "g", "token": token}
    answer = conversation.receive(json.dumps({**request, "format": form, "tf": "60", "from": 0}), START_NS)
    assert any(b"200" in frame.encode() for frame in answer if isinstance(frame, str))
    found = []
    for _ in range(steps):
        it.market.advance()
        found += [json.loads(frame)["data"] for frame in conversation.due()]
    return found


@pytest.mark.parametrize("stream", ["orderbook", "alltrades", "quotes", "bars"])
def test_messages_are_dropped_doubled_and_swapped(stream: str) -> None:
    right = texts(venue(), stream)
    assert len(right) > 4
    assert texts(venue(drop={"count": 2}), stream) == right[2:]
    assert texts(venue(drop={"stream": stream, "symbol": "SBER", "count": None}), stream) == []
    assert texts(venue(duplicate={"stream": stream}), stream) == [right[0], *right]
    assert texts(venue(swap={"symbol": "SBER"}), stream) == [right[1], right[0], *right[2:]]
    assert texts(venue(drop={"symbol": "GAZP"}), stream) == right


def test_the_message_before_is_sent_again() -> None:
    right = texts(venue(), "alltrades")
    assert texts(venue(replay={}), "alltrades") == [*right[:2], right[0], *right[2:]]


def test_data_that_names_another_code_does() -> None:
    found = texts(venue(other_ticker={}), "alltrades")
    assert [each["sym"] for each in found[:2]] == ["GAZP", "SBER"]


@pytest.mark.parametrize(
    ("form", "bids", "asks", "price"), [("Slim", "b", "a", "p"), ("Simple", "bids", "asks", "price")]
)
def test_a_crossed_book_is_crossed(form: str, bids: str, asks: str, price: str) -> None:
    found = texts(venue(cross={}), "orderbook", form=form)
    assert [each[bids][0][price] >= each[asks][0][price] for each in found[:3]] == [True, False, False]


def test_what_an_object_can_not_have_it_does_not_get() -> None:
    assert changed("bars", "SBER", "other_ticker", "{}") is None
    assert changed("quotes", "SBER", "cross", "{}") is None
    assert changed("alltrades", "SBER", "sums_back", "{}") is None
    assert changed("alltrades", "GAZP", "other_ticker", '{"sym":"GAZP"}') == '{"sym":"SBER"}'


def test_faults_can_be_armed_over_rest() -> None:
    it = venue()
    answer = AlorRest(it)(SimRequest("POST", "/sim/faults", b'{"drop": {"stream": "alltrades", "count": null}}'))
    assert json.loads(answer.body)["armed"] == {"drop": {"alltrades": {"*": None}}}
    assert texts(it, "alltrades") == []
