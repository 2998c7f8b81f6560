"""`feedbus tail`: events off the bus as JSON lines, to the stream that it is given. Takes SIGTERM like SIGINT."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import msgspec

from feedbus.bus.subscriber import Header, subscribe_sync
from feedbus.schema.events import Gap, MarketData, kind
from feedbus.schema.topics import topic_of

_encode = msgspec.json.Encoder().encode


def run(addresses: Iterable[str], topics: Iterable[str], count: int | None, out: BinaryIO) -> None:
    """Write until `count` events have been written (Gaps aren't counted) or a signal comes."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with subscribe_sync(addresses, topics=topics) as subscription:
            written = 0
            for header, events in subscription.messages():
                for line, counts in lines(header, events):
                    out.write(line)
                    written += counts
                    if written == count:
                        out.flush()
                        return
                out.flush()
    finally:
        signal.signal(signal.SIGTERM, before)


def lines(header: Header, events: Iterable[MarketData | Gap]) -> Iterator[tuple[bytes, bool]]:
    """One line an event, and whether it counts as one: what is known of the message, then the event's own fields."""
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
    """The topic that an event came on."""
    return event.topic if isinstance(event, Gap) else topic_of(event.WORD, event.venue, event.symbol)
