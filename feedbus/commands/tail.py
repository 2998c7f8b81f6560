"""`feedbus tail`: events from the bus as JSON lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec

from feedbus.bus.receiver import Header
from feedbus.bus.subscriber import subscribe_sync
from feedbus.commands.signals import interrupted_by_signal
from feedbus.schema.events import Gap, MarketData, kind
from feedbus.schema.topics import topic_of
from feedbus.telemetry import logs

_encode = msgspec.json.Encoder().encode


def tail(addresses: Iterable[str], topics: Iterable[str], count: int | None, out: BinaryIO) -> None:
    """Write the events of these topics to `out`, flushed after every bus message.

    Returns once `count` events have been written (None: never; Gaps aren't counted). A stop signal raises
    KeyboardInterrupt meanwhile. When nothing comes at first, a line on standard error says why.
    """
    logs.to_user()
    with interrupted_by_signal(), subscribe_sync(addresses, topics=topics) as subscription:
        written = 0
        for header, events in subscription.messages():
            for line, counts in lines(header, events):
                out.write(line)
                written += counts
                if written == count:
                    out.flush()
                    return
            out.flush()


def lines(header: Header, events: Iterable[MarketData | Gap]) -> Iterator[tuple[bytes, bool]]:
    """A line for each event of a bus message, and whether it counts as an event: a Gap doesn't.

    A line is a JSON object with the topic, the kind, the publisher, its epoch and the event's sequence number, and
    then the event's own fields.
    """
    for event, sequence in zip(events, header.sequences(), strict=True):
        about = {
            "topic": topic(event),
            "kind": kind(event),
            "publisher": header.publisher,
            "epoch": header.epoch,
            "seq": sequence,
        }
        yield _encode(about | msgspec.structs.asdict(event)) + b"\n", not isinstance(event, Gap)


def topic(event: MarketData | Gap) -> str:
    """The topic of an event; of a Gap, the topic in which something was missed."""
    return event.topic if isinstance(event, Gap) else topic_of(event.WORD, event.venue, event.symbol)
