"""The options of the simulated exchange, and what all its connections share. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from feedbus.sim.limits import ClientLimits
from feedbus.sim.message_faults import ArmedFaults, parse_faults
from feedbus.sim.moex import catalogue, wire
from feedbus.sim.moex.market import MoexMarket
from feedbus.sim.moex.rest import RestFailure
from feedbus.sim.moex.spoiling import FAULTY_STREAMS
from feedbus.sim.seam import ServerCounters, SimOptions


class MoexSimOptions(SimOptions, frozen=True, kw_only=True):
    """How the venue behaves. Where the exchange's documentation leaves open what the gateway does, an option has the
    ways that it might take."""

    rate: float = 4.0
    accounts: tuple[tuple[str, str, str], ...] = (("DEMO", "guest", "guest"),)
    """(domain, login, passcode) of each account that may connect."""
    unsubscribe_reply: Literal["none", "receipt", "closed"] = "none"
    """The answer to an UNSUBSCRIBE that asks for no receipt: nothing, a RECEIPT of the subscription's id, or CLOSED."""
    late_messages: int = 0
    """How many more MESSAGEs a subscription is sent after its UNSUBSCRIBE."""
    connect_headers: Literal["accept", "refuse"] = "accept"
    """Whether a CONNECT may have headers beyond the documented four."""
    crlf: Literal["accept", "disconnect"] = "accept"
    """Whether a frame may have CRLF line ends, or the connection is cut for it."""
    rest_failure: RestFailure = "none"
    """With "html" the REST interface answers every request with HTTP 200 and a page."""
    max_frame: int = 64 * 1024
    """The largest message taken from a client, in bytes."""
    max_subscriptions: int = 4096
    """The most subscriptions of one connection."""
    faults: str | None = None
    """The faults that are armed from the start: JSON, as /sim/faults takes it."""


class MoexVenue:
    """The market, and how each of its instruments is written down, for all connections."""

    def __init__(
        self,
        options: MoexSimOptions,
        counters: ServerCounters | None = None,
        securities: Iterable[catalogue.Security] | None = None,
    ) -> None:
        self.options = options
        self.counters = counters or ServerCounters()
        self.limits = ClientLimits(options, self.counters)
        self.step_ns = round(1_000_000_000 / options.rate)
        self.market = MoexMarket(
            options.seed,
            options.start_ns,
            self.step_ns,
            securities or catalogue.securities(),
            acts_every=options.acts_every,
        )
        self.sequencer = wire.Sequencer(self.market)
        self.bodies = {
            instrument.security.ticker: wire.InstrumentBodies(instrument, self.market, self.sequencer)
            for instrument in self.market.instruments.values()
        }
        self.faults = ArmedFaults(FAULTY_STREAMS, self.market.instruments)
        for request in parse_faults(options.faults) if options.faults is not None else ():
            self.faults.arm(request)
        self._candle_bodies: dict[str, wire.CandleBodies] = {}

    def candle_bodies(self, ticker: str) -> wire.CandleBodies:
        """The candles of an instrument, which are made when a client first asks for them."""
        if ticker not in self._candle_bodies:
            instrument = self.bodies[ticker].instrument
            self._candle_bodies[ticker] = wire.CandleBodies(instrument, self.market, self.sequencer, self.options.seed)
        return self._candle_bodies[ticker]
