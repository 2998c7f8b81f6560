"""The options of the simulated ALOR, and what all its connections and its REST interface share. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from feedbus.sim.alor import wire
from feedbus.sim.alor.market import EXCHANGE, FILLS, AlorListing, futures
from feedbus.sim.alor.spoiling import FAULTY_STREAMS
from feedbus.sim.alor.tokens import TokenIssuer
from feedbus.sim.limits import ClientLimits
from feedbus.sim.message_faults import ArmedFaults, parse_faults
from feedbus.sim.moex import catalogue
from feedbus.sim.moex.catalogue import Security
from feedbus.sim.moex.market import MoexMarket
from feedbus.sim.seam import ServerCounters, SimOptions


class AlorSimOptions(SimOptions, frozen=True, kw_only=True):
    """How the venue behaves. Where ALOR's specification and captured frames differ, or leave open what ALOR does, an
    option has both ways. Access tokens expire by feedbus.sim.clock."""

    rate: float = 20.0
    refresh_tokens: tuple[str, ...] = ()
    """The valid refresh tokens. When there are none, every token but an empty one is valid."""
    token_s: int = 1800
    """How many seconds an access token is valid."""
    refresh_failure: Literal["none", "500"] = "none"
    """With "500" each request for an access token is answered with HTTP 500."""
    ack: Literal["seed", "first", "last"] = "seed"
    """Whether a subscription is acknowledged before or after its first data. With "seed" the seed and the guid
    decide, as both happen at ALOR."""
    spacing: wire.Spacing = "wide"
    """Whether envelopes have blanks, as captured, or none."""
    time_suffix: Literal["Z", ""] = "Z"
    """The end of a trade's time: "Z" as specified, or nothing as captured."""
    trade_board: bool = True
    """Whether trades have the key of their board."""
    order_numbers: Literal["number", "text"] = "number"
    """Whether a trade's `orderno` is a number, as captured, or a string, as specified."""
    share_open_interest: Literal["zero", "null"] = "zero"
    """The open interest in trades of what is no future."""
    repeated_trades: int = 0
    """How many of the newest trades before a subscription are sent again as live ones."""
    book_sides: Literal["both", "bids", "asks", "none"] = "both"
    """The sides that books have. With "none" books are as after the evening session: empty, with the time at which they
    were cleared, and not sent again."""
    late_frames: int = 0
    """The most frames that a subscription is still sent after its unsubscribe."""
    unknown_unsubscribe: Literal[200, 400] = 200
    """The code that answers an unsubscribe without a subscription."""
    max_connections: int = 10
    connection_refusal: int | None = None
    """The HTTP status for a connection beyond `max_connections`; None: it is accepted, and closed with code 1008."""
    max_subscriptions: int = 5000
    """The most subscriptions of one connection."""
    max_unsent: int = 5000
    """When this many messages wait for a client that takes none, its connection is cut without a closing frame. A slow
    client that takes some misses books and quotes, but no trades."""
    max_frame: int = 64 * 1024
    """The largest message taken from a client, in bytes."""
    faults: str | None = None
    """The faults that are armed from the start: JSON, as /sim/faults takes it. Symbols are codes."""


class AlorCounters(ServerCounters):
    """Plain totals over all connections, and of access tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens_issued = 0
        self.tokens_refused = 0
        self.connections_refused = 0


class AlorVenue:
    """The market, its listings and the access tokens, for all connections and the REST interface."""

    def __init__(
        self,
        options: AlorSimOptions,
        counters: AlorCounters | None = None,
        securities: Iterable[Security] | None = None,
    ) -> None:
        self.options = options
        self.counters = counters or AlorCounters()
        self.limits = ClientLimits(options, self.counters)
        self.tokens = TokenIssuer(f"alor/{options.seed}", options.token_s)
        listed = [*catalogue.securities(), *futures()] if securities is None else securities
        step_ns = round(1_000_000_000 / options.rate)
        self.market = MoexMarket(
            options.seed, options.start_ns, step_ns, listed, fills=FILLS, acts_every=options.acts_every
        )
        self.listings: dict[str, list[AlorListing]] = {}
        for instrument in self.market.instruments.values():
            listing = AlorListing(instrument, self.market, options)
            self.listings.setdefault(instrument.security.secid, []).append(listing)
        self.faults = ArmedFaults(FAULTY_STREAMS, self.listings)
        for request in parse_faults(options.faults) if options.faults is not None else ():
            self.faults.arm(request)

    def find(self, exchange: object, code: object, board: object = None) -> AlorListing | None:
        """The listing of this code on this board; None when there is none. Without a board it is the listing on the
        primary board, which comes first."""
        if exchange != EXCHANGE or not isinstance(code, str):
            return None
        listings = self.listings.get(code, ())
        return next((each for each in listings if board in (None, "", each.security.board)), None)
