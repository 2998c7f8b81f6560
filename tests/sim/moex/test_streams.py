"""What each kind of subscription is sent, first and then."""

from __future__ import annotations

import msgspec

from feedbus.sim.moex.catalogue import securities
from feedbus.sim.moex.market import MoexMarket
from feedbus.sim.moex.streams import MoexBookStream, MoexCandleStream, MoexSecuritiesStream, MoexStream
from feedbus.sim.moex.wire import CandleBodies, InstrumentBodies, Sequencer


def kinds(stream: MoexStream, market: MoexMarket) -> tuple[list[str], int]:
    """The types of the messages of 30 s, and how many steps brought one."""
    found = [msgspec.json.decode(stream.first())["properties"]["type"]]
    sent = market.step
    for _ in range(120):
        market.advance()
        if stream.changed_at > sent:
            sent = market.step
            found.append(msgspec.json.decode(stream.next())["properties"]["type"])
    return sorted(set(found)), len(found)


def test_a_book_is_always_a_snapshot_and_the_others_become_updates_at_their_own_pace() -> None:
    def made(name: str) -> tuple[MoexStream, MoexMarket]:
        market = MoexMarket(1, 10**18, 250_000_000, securities()[:3])
        market.open(0)
        instrument = next(iter(market.instruments.values()))
        bodies = InstrumentBodies(instrument, market, Sequencer(market))
        streams: dict[str, MoexStream] = {
            "books": MoexBookStream(bodies),
            "securities": MoexSecuritiesStream(bodies, "en"),
            "candles": MoexCandleStream(CandleBodies(instrument, market, Sequencer(market), 1), "M1", market),
        }
        return streams[name], market

    assert kinds(*made("books"))[0] == ["snapshot"]
    assert kinds(*made("securities"))[0] == ["snapshot", "updates"]
    assert kinds(*made("candles")) == (["snapshot", "updates"], 7)
    assert kinds(*made("books"))[1] > 90
    assert 10 < kinds(*made("securities"))[1] < 35


def test_a_subscription_that_was_left_out_is_told_everything_since_its_last_message() -> None:
    market = MoexMarket(1, 10**18, 250_000_000, securities()[:1])
    market.open(0)
    instrument = next(iter(market.instruments.values()))
    stream = MoexCandleStream(CandleBodies(instrument, market, Sequencer(market), 1), "M1", market)
    stream.first()
    for _ in range(3 * 60 * 4):
        market.advance()
    assert len(msgspec.json.decode(stream.next())["data"]) == 4
    assert len(msgspec.json.decode(stream.next())["data"]) == 1
