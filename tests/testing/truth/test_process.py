from __future__ import annotations

import trio
from trio.testing import MockClock

from feedbus.testing.determinism import wall_ns
from feedbus.testing.memory_bus import MemoryBus
from feedbus.testing.truth.faults import Schedule
from feedbus.testing.truth.moex import ProbedMoex
from feedbus.testing.truth.network import Network
from feedbus.testing.truth.oracle import Oracle
from feedbus.testing.truth.process import ProbedProcess, config_of

SCHEDULE = Schedule(1, "moex", (), connections=2, tickers=5)


def made(bus: MemoryBus) -> tuple[ProbedProcess, Network]:
    venue = ProbedMoex(1, 5, 1.0)
    network = Network(venue, Oracle(stale_after=60.0), wall_ns, wall_ns)
    return ProbedProcess(config_of(SCHEDULE, venue), network, bus, draw=lambda: 0.5, wall_ns=wall_ns), network


def test_the_tickers_are_spread_over_the_connections() -> None:
    config = config_of(SCHEDULE, ProbedMoex(1, 5, 1.0))
    assert (config.sharding.connections, config.sharding.per_connection) == (2, 3)


async def test_a_process_that_is_stopped_says_so_and_one_that_is_killed_says_nothing(autojump_clock: MockClock) -> None:
    for kill in (False, True):
        bus = MemoryBus()
        process, network = made(bus)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(process.run)
            await trio.sleep(3.0)
            assert process.connects() == 2
            assert len(network.open_lines()) == 2
            sent = bus.sent
            (process.kill if kill else process.stop)()
        assert process.ends
        assert (bus.sent == sent) is kill
        assert network.lines == []
