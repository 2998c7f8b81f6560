"""The faults that are armed in the simulated Binance, and how often each was done. Pure.

fault_requests.py says what can be asked for, spoiling.py does it to payloads. A fault of messages is used up by what is
sent on any stream of its pair: on `@depth` and `@depth@100ms`, in either unit of time. A stream without a subscriber
sends nothing and uses up nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from feedbus.sim.binance import spoiling
from feedbus.sim.binance.fault_requests import (
    ANSWERS,
    DEFAULT_LEVEL,
    DIFFS,
    EVERY,
    QUOTES,
    FaultRequest,
    RefusedRequests,
    SlowAnswers,
)
from feedbus.sim.binance.market import BinanceBookSide, BinanceInstrument
from feedbus.sim.binance.streams import STREAMS
from feedbus.sim.message_faults import KINDS, ArmedFaults, SentMessages

_CHANNELS = {"depth": DIFFS, "depth@100ms": DIFFS, "bookTicker": QUOTES}


class OldBook(NamedTuple):
    """A book as it was."""

    update: int
    bids: BinanceBookSide
    asks: BinanceBookSide


class _Armed:
    """How often each kind of fault is still to be done to a pair, in the order in which they were armed; None: for
    ever."""

    __slots__ = ("left", "level")

    def __init__(self) -> None:
        self.left: dict[str, int | None] = {}
        self.level = DEFAULT_LEVEL

    def arm(self, kind: str, count: int | None) -> None:
        self.left.pop(kind, None)
        self.left[kind] = count

    def take(self, kinds: Sequence[str]) -> str:
        """The kind that comes next, which is counted as done; "" when none of these kinds is armed."""
        kind = next((each for each in self.left if each in kinds), "")
        if kind and (left := self.left[kind]) is not None:
            if left > 1:
                self.left[kind] = left - 1
            else:
                del self.left[kind]
        return kind


class BinanceFaults:
    """All faults of one venue."""

    def __init__(self, instruments: Mapping[str, BinanceInstrument]) -> None:
        self.messages = ArmedFaults(STREAMS, instruments)
        self.done = self.messages.done
        self._instruments = instruments
        self._armed = {symbol: _Armed() for symbol in instruments}
        self._old: dict[str, OldBook] = {}
        self._refused: RefusedRequests | None = None
        self._slow: SlowAnswers | None = None
        self._left = {"refuse_rest": 0, "delay_rest": 0}

    def check(self, request: FaultRequest) -> None:
        """Raises ValueError for a pair that isn't listed, and for a stream that there isn't."""
        self.messages.check(request)
        for kind in request.__struct_fields__:
            if kind in KINDS:
                continue
            symbol = getattr(getattr(request, kind), "symbol", EVERY)
            if symbol != EVERY and symbol not in self._instruments:
                raise ValueError(f"no faults: {kind}: no pair {symbol!r} is listed")

    def symbols(self, symbol: str) -> Iterable[str]:
        """The pairs that a symbol of a request means."""
        return self._instruments if symbol == EVERY else (symbol,)

    def clear(self) -> None:
        """Disarm everything."""
        self.messages.clear()
        self._armed = {symbol: _Armed() for symbol in self._instruments}
        self._old.clear()
        self._left = dict.fromkeys(self._left, 0)

    def arm(self, request: FaultRequest) -> None:
        """Arm the faults of messages and answers that a request names."""
        self.messages.arm(request)
        for kind in (*DIFFS, *QUOTES, *ANSWERS):
            if (asked := getattr(request, kind)) is None:
                continue
            for symbol in self.symbols(asked.symbol):
                armed = self._armed[symbol]
                armed.arm(kind, asked.count)
                if kind == "wrong_level":
                    armed.level = asked.level
                elif kind == "stale_depth":
                    self._old[symbol] = _copied(self._instruments[symbol])
        if request.refuse_rest is not None:
            self._refused, self._left["refuse_rest"] = request.refuse_rest, request.refuse_rest.count
        if request.delay_rest is not None:
            self._slow, self._left["delay_rest"] = request.delay_rest, request.delay_rest.count

    def armed(self) -> dict[str, Any]:
        """What is still to be done: how often, by kind, and by symbol where it is a pair's. None: for ever."""
        found: dict[str, Any] = {kind: left for kind, left in self._left.items() if left}
        found |= self.messages.armed()
        for symbol, armed in self._armed.items():
            for kind, left in armed.left.items():
                found.setdefault(kind, {})[symbol] = left
        return found

    def spoiler(self, stream: str) -> Callable[[str], Sequence[str]] | None:
        """What each payload of the stream of this name goes through; None when no fault is about such streams."""
        name, _, channel = stream.partition("@")
        if channel not in STREAMS or not name:
            return None
        symbol, kinds, sent = name.upper(), _CHANNELS.get(channel, ()), SentMessages()
        change = partial(spoiling.changed, channel, symbol)

        def spoil(payload: str) -> Sequence[str]:
            payloads = self.messages.spoiled(channel, symbol, sent, payload, change)
            return [each for one in payloads for each in self._spoil(symbol, kinds, one)] if kinds else payloads

        return spoil

    def _spoil(self, symbol: str, kinds: Sequence[str], payload: str) -> Sequence[str]:
        armed = self._armed[symbol]
        if not armed.left or not (kind := armed.take(kinds)):
            return (payload,)
        self.done[kind] += 1
        return spoiling.spoiled(kind, payload, self._instruments[symbol], armed.level)

    def depth_answer(self, symbol: str) -> str:
        """The fault that the next answer about this pair's book has, which is counted as done; "" for none."""
        kind = self._armed[symbol].take(ANSWERS)
        if kind:
            self.done[kind] += 1
        return kind

    def old_book(self, symbol: str) -> OldBook:
        """The pair's book as it was when stale_depth was armed."""
        return self._old[symbol]

    def refusal(self) -> RefusedRequests | None:
        """The refusal that the next REST request gets, which is counted as done."""
        return self._refused if self._take("refuse_rest") else None

    def delay_s(self) -> float:
        """How much later the next REST answer comes, which is counted as done."""
        return self._slow.delay_s if self._take("delay_rest") and self._slow is not None else 0.0

    def _take(self, kind: str) -> bool:
        if not self._left[kind]:
            return False
        self._left[kind] -= 1
        self.done[kind] += 1
        return True


def _copied(instrument: BinanceInstrument) -> OldBook:
    bids, asks = (
        BinanceBookSide(side.outward, side.prices.copy(), side.sizes.copy())
        for side in (instrument.bids, instrument.asks)
    )
    return OldBook(instrument.update, bids, asks)
