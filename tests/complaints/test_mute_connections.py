"""Users complain: the socket is open and pings are answered, but no data comes, for hours, and nothing is done about
it. Only a restart helps.

Here the venue falls silent on a connection and goes on answering pings. A reader of the bus is told, and the feed
connects anew, without touching any other connection.
"""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from feedbus.testing.truth.lines import SimulatedLine
from feedbus.testing.truth.process import STALE_AFTER
from feedbus.testing.truth.reader import PRESENT
from tests.complaints.scene import VENUES, Scene, carried

SWEEPS = 6.0  # seconds until what is overdue is found, connected anew and right again, besides the turns of a venue
LONGEST = 10.0  # seconds that one of these markets is silent at most


@pytest.mark.parametrize("venue", VENUES)
async def test_of_two_connections_the_mute_one_is_known_and_mended(venue: str, autojump_clock: MockClock) -> None:
    scene = Scene(venue)
    async with scene.running():
        await trio.sleep(150.0)  # what is usual is learnt
        mute, well = scene.network.open_lines()
        victims = carried(mute)
        scene.said.clear()
        mute.mute()
        known = await scene.until(lambda: scene.worse(victims), 3 * LONGEST)
        assert known <= 2 * LONGEST
        assert not scene.usable(victims)
        await scene.all_live(20.0)
        assert scene.repairs() == {"recycle": 1}
        assert scene.worse(set(scene.symbols) - victims) == set()
        assert scene.network.open_lines()[0] is well


@pytest.mark.parametrize("venue", VENUES)
async def test_a_connection_that_brings_nothing_from_its_beginning_is_never_live(
    venue: str, autojump_clock: MockClock
) -> None:
    """Every subscription is confirmed, and then nothing comes, while the other connection is well."""
    scene = Scene(venue)
    mute: list[SimulatedLine] = []

    def withholds(line: SimulatedLine, _topic: object) -> bool:
        mute.extend([line] if not mute else [])
        return line is mute[0]

    scene.network.withholds = withholds
    async with scene.running(live_within=None):
        await scene.until(lambda: len(scene.network.open_lines()) == 2, 10.0)
        await trio.sleep(20.0)
        victims = carried(mute[0])
        others = set(scene.symbols) - victims
        assert scene.usable(others)
        assert scene.states(victims).keys() == {"resyncing"}
        await scene.all_live(STALE_AFTER + 20.0)
        assert scene.repairs() == {"recycle": 1}
        assert PRESENT.isdisjoint(each.state for each in scene.said if each.symbol in victims and each.generation == 1)
        assert scene.worse(others) <= {"resyncing"}
        assert scene.feed.failures() == {"mute": 1}


@pytest.mark.parametrize("venue", VENUES)
async def test_the_only_connection_is_mended_although_there_is_nothing_to_compare_it_with(
    venue: str, autojump_clock: MockClock
) -> None:
    """It falls mute before anything could be learnt, so that all there is to go by is what was bearable so far."""
    scene = Scene(venue, connections=1)
    async with scene.running():
        await trio.sleep(30.0)
        scene.network.open_lines()[0].mute()
        await scene.until(scene.feed.failures, 900.0)
        assert not scene.usable()
        await scene.all_live(20.0)
        assert sum(scene.feed.failures().values()) == 1
