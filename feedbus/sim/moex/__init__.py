"""The simulated Moscow Exchange: ISS+ over WebSocket, ISS over REST."""

from __future__ import annotations

from functools import partial

from feedbus.sim.moex.rest import MoexRest
from feedbus.sim.moex.server import serve
from feedbus.sim.moex.venue import MoexSimOptions as Options
from feedbus.sim.moex.venue import MoexVenue
from feedbus.sim.seam import SimulatedVenue

__all__ = ["Options", "simulated"]


def simulated(options: Options) -> SimulatedVenue:
    """The venue, ready to be served."""
    venue = MoexVenue(options)
    return SimulatedVenue(
        serve=partial(serve, options, venue=venue),
        rest=MoexRest(options.start_ns, options.rest_failure, venue.faults),
        counters=venue.counters,
    )
