"""A subscriber of the soak, in a process of its own: counts what comes, and keeps its own books beside the library's.

`python -m tests.soak.reader ADDRESS` writes one JSON line a second, and a last one at SIGTERM.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from typing import Any

import msgspec
import trio

import feedbus
from feedbus.bus.receiver import Header
from feedbus.bus.subscriber import BusSubscription
from feedbus.schema.events import FeedStatus, Gap, MarketData
from feedbus.schema.topics import topic_of


class Books:
    """What came, by topic word."""

    def __init__(self) -> None:
        self.delivered: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.before: Counter[str] = Counter()  # published before the first message of each topic that came
        self.gaps = 0
        self.open_gaps = 0  # whose begin isn't known
        self.out_of_order = 0
        self.next: dict[str, int] = {}
        self.feed: FeedStatus | None = None
        self.instruments: dict[str, dict[str, int]] = {}  # by connection

    def add(self, header: Header, events: list[MarketData | Gap]) -> None:
        for number, event in zip(header.sequences(), events, strict=True):
            if isinstance(event, Gap):
                self._gap(event)
            elif number is not None:
                self._event(topic_of(event.WORD, event.venue, event.symbol), event.WORD, number)
            if isinstance(event, FeedStatus):
                self.feed = event
                self.instruments[event.symbol] = event.instruments

    def _gap(self, gap: Gap) -> None:
        self.gaps += 1
        if gap.cause != "lost" or gap.first is None or gap.last is None:
            self.open_gaps += 1
            return
        self._event(gap.topic, "", gap.first)
        self.lost[gap.topic.partition(".")[0]] += gap.last - gap.first + 1
        self.next[gap.topic] = gap.last + 1

    def _event(self, topic: str, word: str, number: int) -> None:
        expected = self.next.get(topic)
        if expected is None:
            self.before[topic.partition(".")[0]] += number - 1
        elif expected != number:
            self.out_of_order += 1
        if word:
            self.delivered[word] += 1
            self.next[topic] = number + 1

    def report(self, subscription: BusSubscription) -> dict[str, Any]:
        up, wanted = (None, None) if self.feed is None else (self.feed.connections_up, self.feed.connections_wanted)
        return {
            "stats": msgspec.to_builtins(subscription.stats()),
            "delivered": dict(self.delivered),
            "lost": dict(self.lost),
            "before": dict(self.before),
            "gaps": self.gaps,
            "open_gaps": self.open_gaps,
            "out_of_order": self.out_of_order,
            "connections_up": up,
            "connections_wanted": wanted,
            "live": sum(counts.get("live", 0) for counts in self.instruments.values()),
        }


async def main(address: str) -> None:
    books = Books()
    async with feedbus.subscribe(address) as subscription, trio.open_nursery() as nursery:

        def say() -> None:
            sys.stdout.write(json.dumps(books.report(subscription)) + "\n")
            sys.stdout.flush()

        async def read() -> None:
            async for header, events in subscription.messages():
                books.add(header, events)

        async def tell() -> None:
            while True:
                say()
                await trio.sleep(1)

        nursery.start_soon(read)
        nursery.start_soon(tell)
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                break
        nursery.cancel_scope.cancel()
        say()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
