"""A script of calls to a Session, and the effects that they yield: how the tests of every venue's Session are written.

A venue's tests derive a Script of their own, which makes the Session and brings it to where a test begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic, Self, TypeVar

from feedbus.venues.protocol import Close, Effect, Session, Skipped, Subscription, WakeAt

S = TypeVar("S", bound=Session)

TS_RECV = 7
"""What every frame is received at."""


class Script(Generic[S]):
    """Calls a Session at the times given, compares what it yields, and shows the whole talk when it differs."""

    def __init__(self, session: S) -> None:
        self.session = session
        self.now = 0.0
        self.wake = 0.0  # the last WakeAt
        self.talk: list[str] = []

    def at(self, now: float) -> Self:
        self.now = now
        return self

    def yields(self, call: str, effects: Iterable[Effect], expected: Sequence[object] | None) -> list[Effect]:
        """What a call yields has to be what is expected, if anything is."""
        found = list(effects)
        self.wake = next((effect.when for effect in reversed(found) if isinstance(effect, WakeAt)), self.wake)
        self.talk.append(f"{self.now:8.2f} {call}\n" + "".join(f"           -> {effect}\n" for effect in found))
        if expected is not None:
            assert [plain(effect) for effect in found] == [plain(effect) for effect in expected], "\n".join(self.talk)
        return found

    def opened(self, *expected: object) -> Self:
        self.yields("opened", self.session.opened(self.now), expected)
        return self

    def received(self, data: bytes | bytearray, *expected: object) -> Self:
        self.yields(f"received {data[:300]!r}", self.session.frame(data, TS_RECV, self.now), expected)
        return self

    def ticked(self, *expected: object) -> Self:
        self.yields("tick", self.session.tick(self.now), expected)
        return self

    def subscribed(self, symbols: Sequence[str], *expected: object) -> Self:
        self.yields(f"subscribe {symbols}", self.session.subscribe(symbols, self.now), expected)
        return self

    def unsubscribed(self, symbols: Sequence[str], *expected: object) -> Self:
        self.yields(f"unsubscribe {symbols}", self.session.unsubscribe(symbols, self.now), expected)
        return self

    def resubscribed(self, subscriptions: Sequence[Subscription], reason: str, *expected: object) -> Self:
        effects = self.session.resubscribe(subscriptions, reason, self.now)
        self.yields(f"resubscribe {', '.join(map(str, subscriptions))}", effects, expected)
        return self

    def counted(self, **expected: int) -> Self:
        assert {name: self.session.counters().get(name, 0) for name in expected} == expected, "\n".join(self.talk)
        return self

    def stands(self, **expected: int) -> Self:
        assert self.session.instruments() == expected, "\n".join(self.talk)
        return self

    def asked(self) -> Self:
        """Open; the effects are other tests' matter."""
        self.yields("opened", self.session.opened(self.now), None)
        return self


def plain(effect: object) -> object:
    """Errors compare by type and text."""
    match effect:
        case Close(error):
            return (Close, type(error), str(error))
        case Skipped(error):
            return (Skipped, str(error))
        case _:
            return effect
