"""The simulated Binance spot market."""

from __future__ import annotations

from functools import partial

from feedbus.sim.binance.rest import BinanceRest
from feedbus.sim.binance.server import serve
from feedbus.sim.binance.venue import BinanceSimOptions as Options
from feedbus.sim.binance.venue import BinanceVenue
from feedbus.sim.seam import SimulatedVenue

__all__ = ["Options", "simulated"]


def simulated(options: Options) -> SimulatedVenue:
    """The venue, ready to be served. Both interfaces show the same market."""
    venue = BinanceVenue(options)
    return SimulatedVenue(serve=partial(serve, options, venue=venue), rest=BinanceRest(venue), counters=venue.counters)
