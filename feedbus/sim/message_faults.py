"""What goes wrong on purpose with the messages of any simulated venue, so that clients can be tested. Pure.

    {"drop": {"stream": "securities", "symbol": "TQBR.SBER", "count": 3}, "replay": {"symbol": "*"}}

A request is one object of this kind, or a list of them. Each fault is done to the next `count` messages of a symbol on
this stream; `count` null is for ever, `*` is every stream, and every symbol, each with a count of its own. A message
takes one fault, of those that can be done to it the one that was armed first. The first message of a subscription,
which says how things are, takes none. A fault that is armed again, for the same stream and symbol, has the new count.

Which streams there are, and how a message is changed, is up to the venue. Whatever is sent is written as the venue
writes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from feedbus.sim.seam import HTML, JSON, SimRequest, SimResponse

ANY = "*"
MAX_RULES = 1000
FAULTS_PATH = "/sim/faults"

FaultCount = Annotated[int, Meta(ge=1, le=1_000_000)]
_FaultedName = Annotated[str, Meta(min_length=1, max_length=50)]

M = TypeVar("M", str, bytes)
Changed = Callable[[str, M], M | None]
"""(kind of fault, message) -> the message with this fault; None where it can't have it."""


class MessageFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The next messages of a symbol on a stream."""

    stream: _FaultedName = ANY
    symbol: _FaultedName = ANY
    count: FaultCount | None = 1


class MessageFaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to do from now on."""

    clear: bool = False
    """Before anything else: disarm everything."""
    drop: MessageFault | None = None
    """They aren't sent."""
    duplicate: MessageFault | None = None
    """They are sent twice."""
    swap: MessageFault | None = None
    """They are sent after the message that follows them."""
    replay: MessageFault | None = None
    """The message before them is sent again after them."""
    other_ticker: MessageFault | None = None
    """They name another symbol, where they name any."""
    cross: MessageFault | None = None
    """The bids and asks of a full picture of a book have changed places."""
    sums_back: MessageFault | None = None
    """The sums of the day have fallen."""


KINDS = tuple(name for name in MessageFaults.__struct_fields__ if name != "clear")

_decode = msgspec.json.Decoder(MessageFaults | list[MessageFaults]).decode


def parse_faults(body: bytes | str) -> list[MessageFaults]:
    """The requests in a body. Raises ValueError, which says what is wrong."""
    try:
        read = _decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise ValueError(f"no faults: {error}") from None
    return read if isinstance(read, list) else [read]


class SentMessages:
    """What faults have to know of one subscription: what was written last, and what is held back."""

    __slots__ = ("held", "last")

    def __init__(self) -> None:
        self.last: Any = None
        self.held: Any = None


class _FaultRule:
    __slots__ = ("done", "fault", "kind")

    def __init__(self, kind: str, fault: MessageFault) -> None:
        self.kind = kind
        self.fault = fault
        self.done: Counter[str] = Counter()  # by symbol

    def applies(self, stream: str, symbol: str) -> bool:
        fault = self.fault
        return (
            fault.stream in (ANY, stream)
            and fault.symbol in (ANY, symbol)
            and (fault.count is None or self.done[symbol] < fault.count)
        )


class ArmedFaults:
    """The faults of messages that are armed in one venue, and how often each was done."""

    def __init__(self, streams: Collection[str], symbols: Collection[str]) -> None:
        self.done: Counter[str] = Counter()
        self._streams = streams
        self._symbols = symbols
        self._rules: dict[tuple[str, str, str], _FaultRule] = {}

    def check(self, request: MessageFaults) -> None:
        """Raises ValueError for a stream or a symbol that there isn't."""
        for kind in KINDS:
            fault = getattr(request, kind)
            if fault is None:
                continue
            if fault.stream != ANY and fault.stream not in self._streams:
                known = ", ".join(self._streams)
                raise ValueError(f"no faults: {kind}: no stream {fault.stream!r}; there are: {known}")
            if fault.symbol != ANY and fault.symbol not in self._symbols:
                raise ValueError(f"no faults: {kind}: {fault.symbol!r} isn't listed")

    def clear(self) -> None:
        """Disarm everything."""
        self._rules.clear()

    def arm(self, request: MessageFaults) -> None:
        """Arm what a request names. Raises ValueError for what there isn't, and for too many."""
        self.check(request)
        if request.clear:
            self.clear()
        for kind in KINDS:
            fault = getattr(request, kind)
            if fault is not None:
                key = (kind, fault.stream, fault.symbol)
                self._rules.pop(key, None)
                if len(self._rules) >= MAX_RULES:
                    raise ValueError(f"no faults: more than {MAX_RULES} are armed")
                self._rules[key] = _FaultRule(kind, fault)

    def armed(self) -> dict[str, Any]:
        """What is armed: by kind, stream and symbol, how often it is still done; of all symbols, how often to each."""
        found: dict[str, Any] = {}
        for (kind, stream, symbol), rule in self._rules.items():
            count = rule.fault.count
            left = None if count is None else count - rule.done[symbol]
            found.setdefault(kind, {}).setdefault(stream, {})[symbol] = left
        return found

    def spoiled(self, stream: str, symbol: str, sent: SentMessages, message: M, changed: Changed[M]) -> Sequence[M]:
        """What is sent in place of this message."""
        before, sent.last = sent.last, message
        if not self._rules and sent.held is None:
            return (message,)
        found: Sequence[M] = self._faulty(stream, symbol, sent, message, before, changed)
        if sent.held is None or sent.held is message:
            return found
        held, sent.held = sent.held, None
        return (*found, held)

    def _faulty(
        self, stream: str, symbol: str, sent: SentMessages, message: M, before: M | None, changed: Changed[M]
    ) -> Sequence[M]:
        for key, rule in self._rules.items():
            if rule.applies(stream, symbol):
                found: Sequence[M] | None = _with_fault(rule.kind, sent, message, before, changed)
                if found is not None:
                    self._count(key, rule, symbol)
                    return found
        return (message,)

    def _count(self, key: tuple[str, str, str], rule: _FaultRule, symbol: str) -> None:
        self.done[rule.kind] += 1
        rule.done[symbol] += 1
        if rule.fault.symbol != ANY and rule.done[symbol] == rule.fault.count:
            del self._rules[key]


def _with_fault(kind: str, sent: SentMessages, message: M, before: M | None, changed: Changed[M]) -> Sequence[M] | None:
    """What is sent in place of this message; None where this fault can't be done to it."""
    match kind:
        case "drop":
            return ()
        case "duplicate":
            return (message, message)
        case "swap" if sent.held is None:
            sent.held = message
            return ()
        case "replay" if before is not None:
            return (message, before)
        case "swap" | "replay":
            return None
    other = changed(kind, message)
    return None if other is None else (other,)


def faults_answer(faults: ArmedFaults, request: SimRequest) -> SimResponse:
    """The simulator's own resource: GET says what is armed and how often each was done, POST arms besides."""
    if request.method not in ("GET", "POST"):
        return SimResponse(405, HTML, b"")
    if request.method == "POST":
        try:
            requests = parse_faults(request.body)
            for each in requests:
                faults.check(each)
            for each in requests:
                faults.arm(each)
        except ValueError as error:
            return SimResponse(400, JSON, msgspec.json.encode({"error": str(error)}))
    told = {"armed": faults.armed(), "done": dict(sorted(faults.done.items()))}
    return SimResponse(200, JSON, msgspec.json.encode(told))
