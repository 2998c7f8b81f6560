"""Data that names another instrument than the one subscribed is published under none, on every channel that names any.

Books and candles of MOEX, books and bars of ALOR and the books of a few levels of Binance don't say what they are of:
the number of their subscription, or the name of their stream, is all that tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from feedbus.schema.events import Event, Status
from feedbus.venues.alor.account import Account as AlorAccount
from feedbus.venues.binance.account import Account as BinanceAccount
from feedbus.venues.binance.channels import CHANGES, CHANNELS, DEPTHS
from feedbus.venues.protocol import Session, Skipped
from tests.properties.talks import Talk, samples

BINANCE, ALOR, MOEX = samples("binance"), samples("alor"), samples("moex")


def published(session: Session, frame: bytes) -> tuple[Sequence[Event], list[str]]:
    """The data that a frame becomes, and what is said of what can't be used."""
    effects = list(session.frame(frame, 7, 1.0))
    events = [each for each in effects if isinstance(each, Event) and not isinstance(each, Status)]
    return events, [each.error.reason for each in effects if isinstance(each, Skipped)]


def diff(symbol: str, step: int) -> dict[str, Any]:
    return {"e": "depthUpdate", "E": 5, "s": symbol, "U": step, "u": step, "b": [["1.0", "2.0"]], "a": []}


def sampled(channel: str) -> str:
    """The channel of the samples whose payload has all fields that this one's has."""
    return "ticker" if channel.startswith("ticker_") else channel


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("channel", [channel for channel in CHANNELS if channel not in DEPTHS])
def test_on_binance(channel: str, live: bool) -> None:
    account = BinanceAccount({}, [channel])
    session = account.session(["BTCUSDT"])
    list(session.opened(0.0))

    def frame(symbol: str, step: int) -> bytes:
        data = diff(symbol, step) if channel in CHANGES else BINANCE.payload(sampled(channel), symbol, step)
        found: bytes = BINANCE.dumped({"stream": f"btcusdt@{channel}", "data": data})
        return found

    if live:
        for step in (1, 2):
            published(session, frame("BTCUSDT", step))
    events, said = published(session, frame("ETHUSDT", 3))
    assert events == []
    assert said == ["names another instrument than the one subscribed: 'ETHUSDT'"]
    assert session.counters()["other_instruments"] == 1


@pytest.mark.parametrize(
    ("channel", "guid", "body"),
    [
        ("alltrades", "a1", '{"id":9,"sym":"%s","q":2,"px":3.5,"t":5,"s":"buy"}'),
        ("quotes", "q1", (ALOR.QUOTES % "5").replace('"SBER"', '"%s"')),
        ("instruments", "i1", '{"sym":"%s","bd":"TQBR","st":17}'),
    ],
)
@pytest.mark.parametrize("live", [True, False])
def test_on_alor(channel: str, guid: str, body: str, live: bool) -> None:
    talk = Talk("alor")
    account = AlorAccount(ALOR.CREDENTIALS, [channel])
    for effect in account.start(0.0):
        list(account.fetched(effect, talk.answer(effect), 0.0))  # type: ignore[arg-type]
    session = account.session(["SBER"])
    list(session.opened(0.0))
    if live:
        assert published(session, ALOR.data(guid, body % "SBER"))[0]
    events, said = published(session, ALOR.data(guid, body % "SBERP"))
    assert events == []
    assert said == ["names another instrument than the one subscribed: 'SBERP'"]
    assert session.counters()["other_instruments"] == 1


def test_on_moex_the_row_of_another_instrument_ends_its_subscription() -> None:
    talk = Talk("moex")
    frames = [frame for frame in MOEX.FRAMES if b"MXSE.securities" in frame]
    for frame in MOEX.FRAMES:
        talk.session.frame(frame, 7, 1.0)
    updates = [frame for frame in frames if b'"type":"updates"' in frame and b"MXSE.TQBR.SBER" in frame]
    events, said = published(talk.session, updates[-1].replace(b"MXSE.TQBR.SBER", b"MXSE.TQBR.GAZP"))
    assert events == []
    assert said == ["a row of another TICKER: 'MXSE.TQBR.GAZP'"]
    assert published(talk.session, updates[-1])[0] == []
