"""Users complain: one instrument of many stops, several times a day, while all others on its connection go on; and
where that is noticed, everything is connected anew because of it.

Here one subscription of a connection falls mute. It alone is found, and it alone is subscribed again.
"""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.complaints.scene import VENUES, Scene

LONGEST = 10.0  # seconds that one of these markets is silent at most
WORD = {"moex": "book", "alor": "book", "binance": "trade"}


@pytest.mark.parametrize("venue", VENUES)
async def test_the_mute_one_is_subscribed_again_and_nothing_else_happens(venue: str, autojump_clock: MockClock) -> None:
    scene = Scene(venue, connections=1, tickers=12, tempo=0.5)
    word, victim = WORD[venue], scene.symbols[5]
    async with scene.running():
        await trio.sleep(150.0)  # what is usual is learnt
        line = scene.line_of(victim)
        topics = line.memory.topics
        (name,) = (name for name, it in topics.items() if it.symbol == victim and word in it.words)
        others = topics.keys() - {name}
        scene.said.clear()
        line.muted_names.add(name)
        assert await scene.until(lambda: scene.worse({victim}), 60.0) <= 6 * LONGEST
        await scene.all_live(20.0)
        told = scene.told({victim})[victim, word]
        assert told[told.index("stale silent") + 1] == "resyncing hole"
        assert {status.symbol for status in scene.said if status.state not in ("live", "quiet")} == {victim}
        assert scene.repairs() == {"resubscribe": 1}
        assert scene.network.open_lines() == [line]
        assert others <= topics.keys()
        assert len([it for it in topics.values() if it.symbol == victim and word in it.words]) <= 2
        (connector,) = scene.feed.connectors
        assert (connector.resyncs, connector.generation, scene.gaps) == (1, 1, [])
