"""What all connections to the simulated exchange share."""

from __future__ import annotations

import pytest

from feedbus.sim.moex.catalogue import securities
from feedbus.sim.moex.venue import MoexSimOptions, MoexVenue

LISTED = securities()[:2]


def test_two_clients_of_an_instruments_candles_read_the_same_ones() -> None:
    venue = MoexVenue(MoexSimOptions(start_ns=0), securities=LISTED)
    venue.market.open(0)
    first, other = (venue.candle_bodies(security.ticker) for security in LISTED)
    assert venue.candle_bodies(LISTED[0].ticker) is first
    assert (first.instrument.security, other.instrument.security) == tuple(LISTED)
    with pytest.raises(KeyError):
        venue.candle_bodies("MXSE.TQBR.NOPE")
