"""Faults of the simulated exchange, in what a client of it is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest

from feedbus.schema.events import BookSnapshot, Ticker
from feedbus.sim.message_faults import MessageFaults, parse_faults
from feedbus.sim.moex import catalogue
from feedbus.sim.moex.conversation import MoexConversation
from feedbus.sim.moex.rest import MoexRest
from feedbus.sim.moex.spoiling import changed
from feedbus.sim.moex.venue import MoexSimOptions, MoexVenue
from feedbus.sim.seam import SimRequest
from feedbus.venues.moex.orderbook import Orderbook
from feedbus.venues.moex.securities import OtherTicker, Securities

START_NS = 1_719_825_533_000_000_000
LISTED = [each for each in catalogue.securities() if each.symbol in ("TQBR.SBER", "TQBR.GAZP")]


def client(stream: str, **faults: Any) -> tuple[MoexVenue, MoexConversation, bytes]:
    """A client that has subscribed SBER on this stream; the body of the snapshot."""
    venue = MoexVenue(MoexSimOptions(start_ns=START_NS, faults=json.dumps(faults)), securities=LISTED)
    conversation = MoexConversation(venue)
    conversation.receive(b"CONNECT\ndomain:DEMO\nlogin:guest\npasscode:guest\n\n\0", 1)
    selector = b'TICKER="MXSE.TQBR.SBER"' + (b' and INTERVAL="M1"' if stream == "candles" else b"")
    asked = b"SUBSCRIBE\ndestination:MXSE.%b\nid:1\nselector:%b\n\n\0" % (stream.encode(), selector)
    return venue, conversation, body_of(conversation.receive(asked, 1)[-1])


def body_of(frame: bytes) -> bytes:
    return frame.partition(b"\n\n")[2].rstrip(b"\0")


def bodies(stream: str, steps: int = 60, **faults: Any) -> list[bytes]:
    venue, conversation, first = client(stream, **faults)
    found = [first]
    for _ in range(steps):
        venue.market.advance()
        found += map(body_of, conversation.due())
    return found


@pytest.mark.parametrize("stream", ["orderbooks", "securities", "candles"])
def test_messages_are_dropped_doubled_swapped_and_replayed_and_the_snapshot_is_not(stream: str) -> None:
    right = bodies(stream)
    assert len(right) > 3
    assert bodies(stream, drop={"count": 2})[0] == right[0]
    if stream != "securities":  # what is said next depends on what was written before, not on what was sent
        assert bodies(stream, drop={"count": 2}) == [right[0], *right[3:]]
    assert bodies(stream, duplicate={"stream": stream}) == [*right[:2], *right[1:]]
    assert bodies(stream, swap={"symbol": "TQBR.SBER"}) == [right[0], right[2], right[1], *right[3:]]
    assert bodies(stream, replay={}) == [*right[:2], right[0], *right[2:]]
    assert bodies(stream, drop={"symbol": "TQBR.GAZP"}) == right


def test_a_dropped_change_is_never_said_again() -> None:
    right, dropped = bodies("securities"), bodies("securities", drop={})
    assert dropped == [right[0], *right[2:]]


def test_a_crossed_book_is_crossed_in_the_eyes_of_a_client() -> None:
    decoder = Orderbook("TQBR.SBER")
    books = [decoder.decode(body, 7) for body in bodies("orderbooks", cross={"count": 2})]
    assert all(isinstance(book, BookSnapshot) for book in books)
    assert [book.bids[0][0] >= book.asks[0][0] for book in books[:5]] == [False, True, True, False, False]


def test_a_row_of_another_ticker_is_one() -> None:
    decoder = Securities("TQBR.SBER")
    first, other = bodies("securities", other_ticker={})[:2]
    decoder.decode(first, 7)
    with pytest.raises(OtherTicker):
        decoder.decode(other, 7)


def test_sums_that_went_back_are_the_half_of_what_they_were_and_right_again_later() -> None:
    decoder = Securities("TQBR.SBER")
    found = [decoder.decode(body, 7) for body in bodies("securities", sums_back={})]
    trades = [each.trades for each in found if isinstance(each, Ticker) and each.trades is not None]
    back = [at for at in range(1, len(trades)) if trades[at] < trades[at - 1]]
    assert len(back) == 1
    assert trades[-1] > trades[0]


def test_what_a_body_can_not_have_it_does_not_get() -> None:
    book = bodies("orderbooks")[0]
    assert changed("orderbooks", "MXSE.TQBR.SBER", "other_ticker", book) is None
    assert changed("orderbooks", "MXSE.TQBR.SBER", "sums_back", book) is None
    assert changed("candles", "MXSE.TQBR.SBER", "cross", bodies("candles")[0]) is None
    plain = b'{"properties":{"type":"updates"},\n"columns":["TICKER","LAST"],\n"data":[["MXSE.TQBR.SBER",[1.50,2]]]}'
    assert changed("securities", "MXSE.TQBR.SBER", "sums_back", plain) is None
    volume = plain.replace(b'"LAST"', b'"VOLTODAY"').replace(b"[1.50,2]", b"[1301,0]")
    assert changed("securities", "MXSE.TQBR.SBER", "sums_back", volume) == volume.replace(b"1301", b"650")


def test_faults_can_be_armed_over_rest_where_the_venue_is_known() -> None:
    venue, conversation, _ = client("orderbooks")
    rest = MoexRest(START_NS, faults=venue.faults)
    assert rest(SimRequest("POST", "/sim/faults", b'{"drop": {"count": null}}')).status == 200
    for _ in range(20):
        venue.market.advance()
        assert conversation.due() == []
    assert MoexRest(START_NS)(SimRequest("GET", "/sim/faults")).status == 404
    [request] = parse_faults('{"clear": true}')
    assert isinstance(request, MessageFaults)
    venue.faults.arm(request)
    venue.market.advance()


def test_faults_that_there_are_not_are_no_options() -> None:
    with pytest.raises(ValueError, match="no stream 'trades'"):
        MoexVenue(MoexSimOptions(faults='{"drop": {"stream": "trades"}}'), securities=LISTED)
