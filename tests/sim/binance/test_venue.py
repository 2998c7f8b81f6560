"""What all connections to the simulated Binance share."""

from __future__ import annotations

import gc

import pytest

from feedbus.sim.binance.catalogue import pairs
from feedbus.sim.binance.venue import BinanceSimOptions, BinanceVenue

START_NS = 1_719_825_533_789_000_000


@pytest.mark.parametrize(
    "wrong",
    [{"max_messages": 0}, {"max_streams": 0}, {"weight_limit": 0}, {"levels": 0}, {"levels": 5001}, {"ban_s": 0}],
)
def test_options_have_their_bounds(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BinanceSimOptions(**wrong)  # type: ignore[arg-type]


def test_a_stream_is_shared_as_long_as_somebody_has_it() -> None:
    venue = BinanceVenue(BinanceSimOptions(start_ns=START_NS), listed=pairs()[:2])
    name = f"{pairs()[0].symbol.lower()}@trade"
    mine = venue.stream(name, 1)
    assert mine is not None
    assert venue.stream(name, 1) is mine
    assert venue.stream(name, 1000) is not mine
    assert venue.stream("nope@trade", 1) is None
    del mine
    gc.collect()
    assert len(venue._streams) == 0


@pytest.mark.parametrize(("start", "before"), [(None, 7), (START_NS, START_NS)])
def test_the_markets_time_is_the_wall_clocks_until_it_has_its_own(start: int | None, before: int) -> None:
    venue = BinanceVenue(BinanceSimOptions(start_ns=start), listed=pairs()[:1])
    assert venue.now_ns(7) == before
    venue.market.open(7)
    venue.advance()
    assert venue.now_ns(8) == before + venue.step_ns
