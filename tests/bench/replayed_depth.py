"""Our side of a turn of parse_binance.py about depth: a Session that keeps the book of one symbol, fed from a capture.

The lines are those of the capture: when a message came (ns), a blank, and the message as it was. The snapshot among
them is the answer to the Session's first Fetch, at its place. A Session that sees its book run out of levels asks for
another one, which the capture doesn't have. That answer is made of all levels that were shown until then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from time import process_time_ns
from typing import NamedTuple

import msgspec

from feedbus.books.books import Books
from feedbus.schema.events import BookDelta, BookSnapshot, Status
from feedbus.venues.binance.account import Account
from feedbus.venues.protocol import Effect, Fetch, FetchResponse, WakeAt

CHANNEL = "depth@100ms"
SNAPSHOT = b'{"lastUpdateId"'
ANSWER = b'{"result":null,"id":1}'
LATER = 3  # so many messages after it was asked for, a snapshot comes
LEVELS = 1000
MOST_ANSWERS = 20

Levels = list[tuple[str, str]]
Reader = Callable[[BookDelta | BookSnapshot | Status], object]
"""What is called with each event of the book, in order."""


class Message(NamedTuple):
    """A message, when it came (ns since the epoch), and how many seconds after the first one."""

    raw: bytes
    ts_recv: int
    now: float


class Played(NamedTuple):
    """What came of it: changes of the book that were published, CPU time, and after how many messages a snapshot was
    asked for that never came."""

    changes: int
    cpu_ns: int
    unanswered: int | None


class _Changes(msgspec.Struct, rename={"last": "u", "bids": "b", "asks": "a"}):
    last: int
    bids: Levels
    asks: Levels


class _Frame(msgspec.Struct):
    data: _Changes


class _Snapshot(msgspec.Struct, rename={"update": "lastUpdateId"}):
    update: int
    bids: Levels
    asks: Levels


class Capture:
    """The depth of one symbol: its messages, and the snapshots by how many messages come before them."""

    def __init__(self, symbol: str, lines: Sequence[bytes]) -> None:
        self.symbol = symbol
        self.messages: list[Message] = []
        self.answers: dict[int, bytes] = {}
        begin = int(lines[0].partition(b" ")[0])
        for line in lines:
            at, _, raw = line.partition(b" ")
            if raw.startswith(SNAPSHOT):
                self.answers[len(self.messages)] = raw
            else:
                self.messages.append(Message(raw, int(at), (int(at) - begin) / 1e9))
        (self._place,) = self.answers
        while len(self.answers) < MOST_ANSWERS and (asked := replay(self).unanswered) is not None:
            if asked + LATER >= len(self.messages):
                break
            self.answers[asked + LATER] = self._snapshot(asked + LATER)

    def _snapshot(self, place: int) -> bytes:
        messages = [message.raw for message in self.messages[:place]]
        return next(snapshots(self.answers[self._place], messages, [place]))[1]


def snapshots(first: bytes, messages: Sequence[bytes], places: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """Places, in rising order, and the snapshots there: the best levels of all that were shown in so many messages and
    in the first snapshot."""
    begin = msgspec.json.decode(first, type=_Snapshot)
    update, sides, done = begin.update, (dict(begin.bids), dict(begin.asks)), 0
    for place in places:
        for message in messages[done:place]:
            changes = msgspec.json.decode(message, type=_Frame).data
            if changes.last > begin.update:
                update = changes.last
                for side, levels in zip(sides, (changes.bids, changes.asks), strict=True):
                    side.update(levels)
        done = place
        bids, asks = (
            sorted(((price, size) for price, size in side.items() if float(size)), key=_price, reverse=descending)
            for side, descending in zip(sides, (True, False), strict=True)
        )
        yield place, msgspec.json.encode(_Snapshot(update, bids[:LEVELS], asks[:LEVELS]))


def _price(level: tuple[str, str]) -> float:
    return float(level[0])


def best_at_end(capture: Capture) -> tuple[float, float] | None:
    """The best bid and ask that a reader of the bus has at the end."""
    books = Books()
    replay(capture, lambda event: books.add("", event))
    bid, ask = books.best("binance", capture.symbol) or (None, None)
    return None if bid is None or ask is None else (bid[0], ask[0])


def replay(capture: Capture, reader: Reader | None = None) -> Played:
    """Plays a capture to a new Session, with the calls that the shell around it would make. Nothing is kept of what is
    published, unless there is a reader."""
    session = Account({}, (CHANNEL,)).session([capture.symbol])
    list(session.opened(0.0))
    shell = _Shell(reader)
    shell.take(session.frame(ANSWER, capture.messages[0].ts_recv, 0.0), 0)
    answers = capture.answers
    begin = process_time_ns()
    for number, (raw, ts_recv, now) in enumerate(capture.messages):
        if number in answers and (asked := shell.asked) is not None:
            shell.asked = None
            shell.take(session.fetched(asked, FetchResponse(200, answers[number], ts_recv), now), number)
        shell.take(session.frame(raw, ts_recv, now), number)
        if now >= shell.wake_at:
            shell.take(session.tick(now), number)
    cpu_ns = process_time_ns() - begin
    return Played(shell.changes, cpu_ns, None if shell.asked is None else shell.asked_at)


class _Shell:
    """What the shell around a Session would do with its effects."""

    def __init__(self, reader: Reader | None) -> None:
        self.reader = reader
        self.changes = 0
        self.wake_at = inf
        self.asked: Fetch | None = None
        self.asked_at = 0

    def take(self, effects: Iterable[Effect], number: int) -> None:
        for effect in effects:
            if isinstance(effect, BookDelta):
                self.changes += 1
            elif isinstance(effect, WakeAt):
                self.wake_at = effect.when
            elif isinstance(effect, Fetch):
                self.asked, self.asked_at = effect, number
            if self.reader is not None and isinstance(effect, BookDelta | BookSnapshot | Status):
                self.reader(effect)
