"""The publisher numbers events, packs them into messages, and sends heartbeats. It never waits for a subscriber.

The publisher alone decides when a message is sent, in `_send_or_wait`:

- Events that were read in a round (feedbus/transport/rounds.py) are sent together at the end of the round.
- Other events are sent at once when the last message with their word and venue was sent more than `linger` seconds ago.
  Otherwise they wait until `linger` is over. So a quiet bus adds no delay, and under load many symbols share a message.
- No event waits longer than `linger`, and a full message is sent without waiting.
- A Status goes out after everything that was published before it, and before everything that is published after it,
  whatever the words: it says whether the data around it may be trusted.

Many tasks call `publish`. An error in sending a message is raised in the publisher's own task (see `run`) and not in
the task that published: that one reads a connection, which would be closed for a fault that it has no part in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Protocol

import trio

from feedbus.bus.nng import MESSAGE_SIZE, RECV_MAX_SIZE
from feedbus.schema import codec
from feedbus.schema.events import EVENT_TYPES, Event, Heartbeat, MarketData, Status
from feedbus.schema.topics import topic_of

LINGER = 0.001  # seconds
BEAT_EVERY = 1.0  # seconds
OVERDUE_AFTER = 5.0  # seconds by which a heartbeat, or an event that waits, may be late
DRAIN_ON_STOP = 0.1  # seconds that nng gets to write out its queues: it has no flush, and closing drops them
FIRST_GUESS = 256  # bytes of an event, assumed until some have been encoded
# Estimated bytes at which pending events are sent. It is below MESSAGE_SIZE, because a message that turns out larger
# must be split, and is then encoded twice.
FULL = MESSAGE_SIZE * 15 // 16


class Sink(Protocol):
    """Where messages go: a PubSocket, or a list in a test."""

    def send(self, message: bytes) -> None:
        """Take one message without waiting. Raises BusError when that is impossible."""


class LocalReaders(Protocol):
    """What a publisher needs of the readers in its own process (feedbus.bus.local.LocalBus)."""

    def hand_over(self, header: codec.MessageHeader, groups: Sequence[codec.Group], size: int) -> None:
        """Take the events of one message, which has `size` bytes, without waiting."""


class ReadingRounds(Protocol):
    """What a publisher needs of the rounds in which the sockets are read (feedbus.transport.rounds.Rounds)."""

    def is_open(self) -> bool:
        """Return True while a task that was woken by the present round hasn't returned to waiting for the next one."""

    def more_to_come(self) -> bool:
        """Return True if more will be read in the open round: by other tasks, or by the only one that is left."""

    def wake_at_end(self, event: trio.Event) -> None:
        """Set this event when the open round ends."""

    def cancel_wake(self, event: trio.Event) -> None:
        """Undo `wake_at_end`. It does no harm when the event was never registered."""


class _WordStream:
    """The topics of one word and venue, which share messages. Sequence numbers are kept by symbol."""

    __slots__ = ("changed", "event_size", "last_sent", "next", "pending", "pending_count", "venue", "word")

    def __init__(self, word: str, venue: str) -> None:
        self.word = word
        self.venue = venue
        self.pending: dict[str, list[Event]] = {}  # the unsent events by symbol, in the order published
        self.pending_count = 0
        self.last_sent = -inf
        self.event_size = float(FIRST_GUESS)  # bytes of an encoded event, on a moving average
        self.next: dict[str, int] = {}  # the next sequence number, by symbol
        self.changed: set[str] = set()  # symbols published since the last heartbeat


class _KindState:
    """The count and the streams of one kind of event, by venue."""

    __slots__ = ("count", "streams", "word")

    def __init__(self, word: str) -> None:
        self.word = word
        self.count = 0
        self.streams: dict[str, _WordStream] = {}


class Publisher:
    """One named publisher. Several publishers of one process may share a Sink.

    messages, bytes  totals of what was handed to the sink
    too_large        events larger than RECV_MAX_SIZE, which are not sent: subscribers see a gap
    epoch            nanoseconds since the Unix epoch; sequence numbers begin at 1 in each epoch
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        *,
        linger: float = LINGER,
        rounds: ReadingRounds | None = None,
        local: LocalReaders | None = None,
        clock: Callable[[], float] = trio.current_time,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`linger` is in seconds. `rounds` are those in which the events are read; None when they don't come from
        sockets. `local` are the readers in this process that are given the events themselves; None when there are none.

        `clock` returns monotonic seconds, `wall_ns` nanoseconds since the Unix epoch.
        """
        self.name = name
        self.epoch = wall_ns()
        self.messages = 0
        self.bytes = 0
        self.too_large = 0
        self._sink = sink
        self._linger = linger
        self._rounds = rounds
        self._local = local
        self._clock = clock
        self._wall_ns = wall_ns
        self._streams: dict[tuple[str, str], _WordStream] = {}
        self._kinds = {event_type: _KindState(event_type.WORD) for event_type in EVENT_TYPES}
        # Its deadline is when the publisher's own task sends what is pending.
        self._timer = trio.CancelScope(deadline=inf)
        self._wake = trio.Event()  # it is set when that task has to run now
        self._has_run = False
        self._failure: Exception | None = None  # why a message could not be sent; the publisher's own task raises it
        self._beat = 0
        self._next_beat = inf
        self._status_was_last = False  # whether the last event that was published is a Status

    def publish(self, events: Sequence[MarketData]) -> None:
        """Send these events at once or within `linger` seconds, in order within each topic.

        When a message can't be sent, `run` raises the error. Only a publisher that has never run raises it here.
        """
        if not events:
            return
        now = self._clock()
        kind, venue = type(events[0]), events[0].venue
        if (kind is Status) is not self._status_was_last:
            self._turn(now)
        of_kind, stream = self._place(kind, venue)
        touched = {stream: None}
        for event in events:
            if type(event) is not kind or event.venue != venue:  # mostly all are of one kind and venue
                kind, venue = type(event), event.venue
                if (kind is Status) is not self._status_was_last:
                    self._turn(now)
                of_kind, stream = self._place(kind, venue)
                touched[stream] = None
            of_kind.count += 1
            queue = stream.pending.get(event.symbol)
            if queue is None:
                stream.pending[event.symbol] = [event]
            else:
                queue.append(event)
            stream.pending_count += 1
            if (stream.pending_count + 1) * stream.event_size > FULL:
                self._flush(stream, now)
        self._send_or_wait(touched, now)

    def begin_epoch(self) -> None:
        """Begin a new epoch, because the program that publishes here was restarted and has lost its state.

        Pending events are sent first. In the new epoch all sequence numbers begin at 1.
        """
        self.flush()
        # A later epoch must be greater, even when the wall clock has been set back.
        self.epoch = max(self.epoch + 1, self._wall_ns())
        self._beat = 0
        for stream in self._streams.values():
            stream.next.clear()
            stream.changed.clear()

    def counts(self) -> dict[str, int]:
        """Return how many events have been published so far, by kind."""
        return {str(of.__struct_config__.tag): found.count for of, found in self._kinds.items() if found.count}

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Send heartbeats, and events that have waited long enough, until cancelled. It can be run again.

        Raises the error when a message can't be sent: a BusError of the sink, or an event that can't be encoded,
        whichever task published it. Subscribers see a gap.
        """
        self._has_run = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_late)
            nursery.start_soon(self._beats)
            task_status.started()

    def overdue(self, now: float) -> str | None:
        """Describe what is overdue at `now` (seconds of trio's clock); None when nothing is."""
        if now > self._next_beat + OVERDUE_AFTER:
            return f"{self.name}: no heartbeat is published"
        late = self._next_beat < inf and now > self._timer.deadline + OVERDUE_AFTER  # it runs, and events wait
        return f"{self.name}: events that wait aren't sent" if late else None

    async def finish(self) -> None:
        """Send pending events and a last heartbeat, and give nng time to write them out. Raises what `run` raises."""
        self.beat()
        self._raise_failure()
        await trio.sleep(DRAIN_ON_STOP)

    def beat(self) -> None:
        """Send a heartbeat: the newest sequence number of each topic that has changed since the last heartbeat.

        By it a subscriber notices a loss at the end of a topic that has fallen silent. A long heartbeat is sent in
        parts of at most MESSAGE_SIZE.
        """
        self.flush()
        self._beat += 1
        parts = self._head_parts()
        for number, heads in enumerate(parts, 1):
            event = Heartbeat(self.name, self.epoch, self._beat, number, len(parts), heads)
            stream = self._stream(self._kinds[Heartbeat], self.name)
            self._kinds[Heartbeat].count += 1
            stream.pending = {"": [event]}  # a heartbeat has no symbol
            stream.pending_count = 1
            self._flush(stream, stream.last_sent)
            stream.changed.clear()

    def flush(self) -> None:
        """Send all pending events. They go out together, so that a subscriber is woken once for all words."""
        self._flush_all(self._clock())

    # When to send

    def _turn(self, now: float) -> None:
        """The next event is a Status and the last one wasn't, or the other way round: what is pending goes first."""
        self._status_was_last = not self._status_was_last
        self._flush_all(now)

    def _place(self, kind: type[MarketData], venue: str) -> tuple[_KindState, _WordStream]:
        """Return where events of this kind and venue are counted, and the stream in which they go."""
        of_kind = self._kinds[kind]
        return of_kind, of_kind.streams.get(venue) or self._stream(of_kind, venue)

    def _stream(self, of_kind: _KindState, venue: str) -> _WordStream:
        """Return the stream of a kind and venue. Kinds that share a word, as books and their deltas do, share the
        stream, so that they keep their order."""
        key = (of_kind.word, venue)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = _WordStream(*key)
        of_kind.streams[venue] = stream
        return stream

    def _send_or_wait(self, touched: Iterable[_WordStream], now: float) -> None:
        """Decide when the events that were just published are sent: now, at the end of the round, or after `linger`."""
        rounds = self._rounds
        if rounds is not None and rounds.is_open():
            if rounds.more_to_come():
                # The last task to read in this round is the last to publish, and its call sends everything (the `else`
                # below). If it has nothing to publish, the end of the round wakes our own task. If the round ends late,
                # the timer does.
                rounds.wake_at_end(self._wake)
                self._wait_until(now + self._linger)
            else:
                self._flush_all(now)
            return
        for stream in touched:
            if not stream.pending_count:
                continue
            due = stream.last_sent + self._linger
            if now < due:
                self._wait_until(due)
                continue
            self._flush(stream, now)
            # Under load, a call of `publish` nearly always comes before the timer goes off. Moving the timer then costs
            # a tenth of waking a task.
            if self._timer.deadline < inf:
                self._timer.deadline = min(self._first_due(), now + self._linger)

    def _wait_until(self, due: float) -> None:
        """Have pending events sent at `due`. The timer is never later than the first stream that is due."""
        if due < self._timer.deadline:
            self._timer.deadline = due

    def _stop_waiting(self) -> None:
        """Stop the timer: nothing is pending any more."""
        if self._timer.deadline < inf:
            self._timer.deadline = inf
            if self._rounds is not None:
                self._rounds.cancel_wake(self._wake)

    def _first_due(self) -> float:
        waiting = (stream.last_sent for stream in self._streams.values() if stream.pending_count)
        return min(waiting, default=inf) + self._linger

    async def _send_late(self) -> None:
        """Run the publisher's own task, which sends what no call of `publish` has sent in time, and raises failures."""
        while True:
            self._timer = trio.CancelScope(deadline=inf)
            self._wake = trio.Event()
            self.flush()
            self._raise_failure()
            with self._timer:
                await self._wake.wait()
            if self._rounds is not None:
                self._rounds.cancel_wake(self._wake)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    async def _beats(self) -> None:
        self._next_beat = trio.current_time()
        try:
            while True:
                self.beat()
                self._next_beat += BEAT_EVERY
                if self._next_beat < trio.current_time():
                    # The event loop was held up for longer than a beat. The missed beats are not made up for.
                    self._next_beat = trio.current_time() + BEAT_EVERY
                await trio.sleep_until(self._next_beat)
        finally:
            self._next_beat = inf

    # Packing

    def _flush_all(self, now: float) -> None:
        for stream in self._streams.values():
            if stream.pending_count:
                self._flush(stream, now)
        self._stop_waiting()

    def _flush(self, stream: _WordStream, now: float) -> None:
        """Number the pending events of a stream and send them. The numbers are taken even when sending fails, so that
        subscribers see the gap."""
        pending, stream.pending = stream.pending, {}
        count, stream.pending_count = stream.pending_count, 0
        stream.last_sent = now
        stream.changed.update(pending)
        groups: list[codec.Group] = []
        for symbol, events in pending.items():
            first = stream.next.get(symbol, 1)
            stream.next[symbol] = first + len(events)
            groups.append((symbol, first, events))
        try:
            self._send(stream, groups, count)
        except Exception as error:
            if not self._has_run:
                raise  # there is no task of the publisher's own that could raise it
            self._failure = self._failure or error
            self._wake.set()

    def _send(self, stream: _WordStream, groups: list[codec.Group], count: int) -> None:
        """Encode and send groups of so many events; a message that turns out too large is split in halves."""
        header = codec.MessageHeader(stream.word, stream.venue, self.name, self.epoch, self._wall_ns())
        message = codec.encode(header, groups)
        stream.event_size += (min(MESSAGE_SIZE, len(message) / count) - stream.event_size) * 0.2
        if len(message) > MESSAGE_SIZE and count > 1:
            for half in _halves(groups):
                self._send(stream, half, sum(len(events) for _, _, events in half))
        elif len(message) > RECV_MAX_SIZE:
            self.too_large += 1
        else:
            self._sink.send(message)
            self.messages += 1
            self.bytes += len(message)
            if self._local is not None:
                self._local.hand_over(header, groups, len(message))

    def _head_parts(self) -> list[list[tuple[str, int]]]:
        """Return (topic, newest sequence number) of the topics that have changed, in parts that each fit a message."""
        parts: list[list[tuple[str, int]]] = [[]]
        size = 0
        for stream in self._streams.values():
            prefix = topic_of(stream.word, stream.venue, "")
            rest = len(prefix.encode()) + 12  # msgpack: an array, a string header, a 64-bit number
            for symbol in sorted(stream.changed):  # so that the same run publishes the same bytes
                head_size = rest + (len(symbol) if symbol.isascii() else len(symbol.encode()))
                size += head_size
                if size > MESSAGE_SIZE - 256:  # bytes for the other fields of a heartbeat
                    parts.append([])
                    size = head_size
                parts[-1].append((prefix + symbol, stream.next[symbol] - 1))
            stream.changed.clear()
        return parts


def _halves(groups: list[codec.Group]) -> list[list[codec.Group]]:
    """Split groups into two halves. A single group is split between its events, which keep their numbers."""
    if len(groups) > 1:
        middle = len(groups) // 2
        return [groups[:middle], groups[middle:]]
    symbol, first, events = groups[0]
    middle = len(events) // 2
    return [[(symbol, first, events[:middle])], [(symbol, first + middle, events[middle:])]]
