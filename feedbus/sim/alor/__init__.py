"""The simulated broker ALOR, on the simulated Moscow Exchange's market."""

from __future__ import annotations

from functools import partial

from feedbus.sim.alor.rest import AlorRest
from feedbus.sim.alor.server import serve
from feedbus.sim.alor.venue import AlorSimOptions as Options
from feedbus.sim.alor.venue import AlorVenue
from feedbus.sim.seam import SimulatedVenue

__all__ = ["Options", "simulated"]


def simulated(options: Options) -> SimulatedVenue:
    """The venue, ready to be served. Both interfaces show the same market."""
    venue = AlorVenue(options)
    return SimulatedVenue(serve=partial(serve, options, venue=venue), rest=AlorRest(venue), counters=venue.counters)
