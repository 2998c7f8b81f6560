"""Which connection carries which symbol. Pure.

A plan is deterministic and moves as little as it can, because every move costs the symbol a new subscription:
symbols that come go to the least loaded connections and move none, symbols that go move none, new connections
take their even share and no more, and what a connection can't keep is all that leaves it.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

Plan = tuple[tuple[str, ...], ...]
"""The symbols of each connection, in the order in which they were given to it; some may have none."""


def plan(symbols: Sequence[str], connections: int, per_connection: int, previous: Plan | None = None) -> Plan:
    """Spread the symbols over the connections, leaving as many as possible where `previous` has them.

    Raises ValueError when they don't fit, or when a symbol is there twice: the configuration has been checked for both.
    """
    wanted = set(symbols)
    if len(wanted) < len(symbols):
        raise ValueError("a symbol is there twice")
    if len(symbols) > connections * per_connection:
        raise ValueError(f"{len(symbols)} symbols on {connections} connections of {per_connection}")
    before = previous or ()
    shards, kept = _keep(wanted, connections, per_connection, before)
    _place([symbol for symbol in symbols if symbol not in kept], shards)
    _fill(shards, min(len(before), connections), len(symbols))
    return tuple(tuple(shard) for shard in shards)


def moved(old: Plan, new: Plan) -> set[str]:
    """The symbols that are in both plans, on different connections."""
    before = {symbol: number for number, shard in enumerate(old) for symbol in shard}
    return {symbol for number, shard in enumerate(new) for symbol in shard if before.get(symbol, number) != number}


def _keep(wanted: set[str], connections: int, per_connection: int, before: Plan) -> tuple[list[list[str]], set[str]]:
    """What can stay where it is; a connection that must give some up keeps those it has had the longest."""
    shards = [[symbol for symbol in shard if symbol in wanted][:per_connection] for shard in before[:connections]]
    shards += [[] for _ in range(connections - len(shards))]
    return shards, {symbol for shard in shards for symbol in shard}


def _place(homeless: Sequence[str], shards: list[list[str]]) -> None:
    """Each goes to the least loaded connection, the first among equals. No limit can be passed: they all fit."""
    loads = [(len(shard), number) for number, shard in enumerate(shards)]
    heapq.heapify(loads)
    for symbol in homeless:
        load, number = loads[0]
        shards[number].append(symbol)
        heapq.heapreplace(loads, (load + 1, number))


def _fill(shards: list[list[str]], first_new: int, symbols: int) -> None:
    """Bring every new connection up to an even share, taking from whichever is the most loaded."""
    if first_new == 0 or first_new == len(shards):
        return
    share = symbols // len(shards)
    donors = [(-len(shard), number) for number, shard in enumerate(shards)]
    heapq.heapify(donors)
    for shard in shards[first_new:]:
        while len(shard) < share:
            # `share` is the average rounded down. While this connection is below the average, another one is above
            # it, so the most loaded connection can always give a symbol away without falling below the share itself.
            load, donor = donors[0]
            shard.append(shards[donor].pop())
            heapq.heapreplace(donors, (load + 1, donor))
