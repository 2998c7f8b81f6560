"""Which connection carries which symbol. Pure.

The same input always gives the same plan. A new plan moves as few symbols as possible from the previous one, because
each move costs a new subscription, with a gap in the data. New symbols go to the connections with the fewest symbols,
and move no others. When symbols are removed, no others move. A new connection gets its even share, taken from the
fullest ones. Otherwise a symbol moves only when its connection no longer exists or may carry fewer symbols than before.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

Plan = tuple[tuple[str, ...], ...]
"""The symbols of each connection, in the order in which they were assigned to it. A connection may have none."""


def plan(symbols: Sequence[str], connections: int, per_connection: int, previous: Plan | None = None) -> Plan:
    """Spread the symbols over the connections, with as many as possible where `previous` has them.

    `per_connection` is how many symbols a connection may carry. Raises ValueError when there are more symbols than the
    connections may carry, or when a symbol appears twice; a configuration is checked for both before.
    """
    wanted = set(symbols)
    if len(wanted) < len(symbols):
        raise ValueError("a symbol appears twice")
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
    """The symbols of each connection that stay on it, and the set of all of these. A connection that has to give some
    up keeps the ones that it has had for the longest time.
    """
    shards = [[symbol for symbol in shard if symbol in wanted][:per_connection] for shard in before[:connections]]
    shards += [[] for _ in range(connections - len(shards))]
    return shards, {symbol for shard in shards for symbol in shard}


def _place(homeless: Sequence[str], shards: list[list[str]]) -> None:
    """Put each symbol on the connection with the fewest symbols, the first one of several.

    No connection gets too many: all symbols fit, and the one with the fewest symbols has room as long as any has.
    """
    loads = [(len(shard), number) for number, shard in enumerate(shards)]
    heapq.heapify(loads)
    for symbol in homeless:
        load, number = loads[0]
        shards[number].append(symbol)
        heapq.heapreplace(loads, (load + 1, number))


def _fill(shards: list[list[str]], first_new: int, symbols: int) -> None:
    """Fill the new connections, from number `first_new` on, up to an even share, with symbols of the fullest ones."""
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
