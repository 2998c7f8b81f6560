"""A message bus in memory: Publishers send to it, and it can be subscribed to as the real bus is.

The messages are those of the real bus, byte for byte; only nng is left out. A subscriber is one in the publisher's own
process (feedbus/bus/local.py). One that doesn't read loses its oldest messages, and learns of the loss from their
sequence numbers.
"""

from __future__ import annotations

from collections import deque
from typing import TypeVar

from feedbus.bus.local import LocalBus
from feedbus.bus.nng import STALLED_BYTES
from feedbus.schema import codec
from feedbus.schema.events import Event
from feedbus.schema.topics import HEARTBEAT

E = TypeVar("E", bound=Event)

KEPT = 100_000  # messages that the bus keeps for a test to look at


class MemoryBus(LocalBus):
    """A Sink that several Publishers may share. `messages` holds the last `keep` of them, `sent` counts all.
    `stalled_bytes` bounds what waits for each subscriber, as in LocalBus: with 0 it is the newest message alone."""

    def __init__(self, keep: int = KEPT, stalled_bytes: int = STALLED_BYTES) -> None:
        super().__init__(stalled_bytes=stalled_bytes)
        self.messages: deque[bytes] = deque(maxlen=keep)
        self.sent = 0

    def send(self, message: bytes) -> None:
        """Keep one message, and give it to every subscriber that wants it."""
        self.messages.append(message)
        self.sent += 1
        header, groups = _decode(message)
        self.hand_over(header, groups, len(message))

    def take(self) -> list[bytes]:
        """Return the messages that are kept, and forget them."""
        messages = list(self.messages)
        self.messages.clear()
        return messages

    def decoded(self) -> list[tuple[codec.MessageHeader, list[codec.Group]]]:
        """The messages that are kept, without heartbeats, as (header, groups of events)."""
        return [_decode(message) for message in self.messages if not _is_heartbeat(message)]

    def events(self, of: type[E]) -> list[E]:
        """All events of one type in the messages that are kept, in their order."""
        everything = [event for _, groups in self.decoded() for _, _, events in groups for event in events]
        return [event for event in everything if isinstance(event, of)]


def _is_heartbeat(message: bytes) -> bool:
    return message.startswith(f"{HEARTBEAT}.".encode())


def _decode(message: bytes) -> tuple[codec.MessageHeader, list[codec.Group]]:
    if _is_heartbeat(message):
        beats = codec.decode_heartbeats(message)
        publisher, epoch = beats[0].publisher, beats[0].epoch
        return codec.MessageHeader(HEARTBEAT, publisher, publisher, epoch, 0), [("", beats[0].beat, beats)]
    header, groups = codec.decode(message)
    return header, [(symbol, first, events) for symbol, first, events in groups]
