"""Binance's subscriptions against a venue that loses requests and answers, refuses some, forgets streams and has others
that nobody asked for: once it is in order again, it sends what is wanted and nothing else, and at no time was it asked
more often than it allows."""

from __future__ import annotations

import json
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from feedbus.testing.strategies import examples
from feedbus.venues.binance.account import Account
from feedbus.venues.protocol import Close, Effect, Send, WakeAt

SYMBOLS = ["AUSDT", "BUSDT", "CUSDT", "DUSDT"]
FATES = ["good"] * 4 + ["lost", "unanswered", "refused", "refused without an id"]


class Venue:
    """What is subscribed at the other end of one connection."""

    def __init__(self) -> None:
        self.streams: set[str] = set()

    def takes(self, text: str, fate: str) -> bytes | None:
        """Carry a request out, and answer it, as its fate has it."""
        request = json.loads(text)
        method, names, number = request["method"], request.get("params", []), request["id"]
        if method == "LIST_SUBSCRIPTIONS" or (method == "UNSUBSCRIBE" and fate.startswith("refused")):
            fate = "good"
        if fate == "lost":
            return None
        if fate.startswith("refused"):
            more = {} if "without" in fate else {"id": number}
            return json.dumps({"code": 2, "msg": "no", **more}).encode()
        if method == "SUBSCRIBE":
            self.streams |= set(names)
        elif method == "UNSUBSCRIBE":
            self.streams -= set(names)
        result = sorted(self.streams) if method == "LIST_SUBSCRIPTIONS" else None
        return None if fate == "unanswered" else json.dumps({"result": result, "id": number}).encode()


class Talk:
    """A Session and a Venue, and the time that goes by."""

    def __init__(self, symbols: Iterable[str], fates: list[str]) -> None:
        self.venue = Venue()
        self.wanted = set(symbols)
        self.session = Account({}, ["trade"]).session(sorted(self.wanted))
        self.now = 0.0
        self.wake: float | None = None
        self.sent: list[float] = []
        self.fates = fates
        self.closed = False
        self.carry_out(self.session.opened(self.now))

    def carry_out(self, effects: Iterable[Effect]) -> None:
        for effect in list(effects):
            match effect:
                case WakeAt(when):
                    self.wake = when
                case Close():
                    self.closed = True
                case Send(data):
                    assert isinstance(data, str)
                    self.sent.append(self.now)
                    answer = self.venue.takes(data, self.fates.pop() if self.fates else "good")
                    if answer is not None:
                        self.carry_out(self.session.frame(answer, 1, self.now))

    def turn(self, symbol: str) -> None:
        """Want it, or want it no more."""
        call = self.session.unsubscribe if symbol in self.wanted else self.session.subscribe
        self.wanted ^= {symbol}
        self.carry_out(call([symbol], self.now))

    def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while self.wake is not None and self.wake <= until:
            self.now, self.wake = max(self.now, self.wake), None
            self.carry_out(self.session.tick(self.now))
        self.now = until


pauses = st.sampled_from([0.0, 0.1, 0.4, 3.0, 9.9, 30.0, 1000.0])
turns = st.lists(st.tuples(pauses, st.sampled_from(SYMBOLS)), max_size=16)


strangers = st.sets(st.sampled_from([f"{symbol.lower()}@trade" for symbol in [*SYMBOLS, "XUSDT"]]))


@examples(300)
@given(turns, st.lists(st.sampled_from(FATES), max_size=12), strangers)
def test_in_the_end_the_venue_sends_what_is_wanted(
    changes: list[tuple[float, str]], fates: list[str], changed: set[str]
) -> None:
    talk = Talk(SYMBOLS[:2], fates)
    for seconds, symbol in changes:
        talk.pass_time(seconds)
        talk.turn(symbol)
    talk.venue.streams ^= changed
    talk.fates = []
    talk.pass_time(5000.0)
    assert not talk.closed
    assert talk.venue.streams == {f"{symbol.lower()}@trade" for symbol in talk.wanted}
    assert talk.session.instruments() == ({"confirmed": len(talk.wanted)} if talk.wanted else {})
    assert all(sum(first <= now < first + 1.0 for now in talk.sent) <= 3 for first in talk.sent)
