"""All simulated venues for the simulation of the truth are held to the same: what they tell of their markets is what a
real Session of the venue understands of their messages."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from feedbus.schema.events import BookSnapshot, Quote, Ticker, Trade
from feedbus.sim.seam import SimRequest
from feedbus.testing.determinism import EPOCH_NS
from feedbus.testing.truth.alor import ProbedAlor
from feedbus.testing.truth.binance import ProbedBinance
from feedbus.testing.truth.moex import ProbedMoex
from feedbus.testing.truth.oracle import Picture
from feedbus.testing.truth.venue import LEVELS, LineMemory, ProbedVenue, book_picture, plain_picture, torn
from feedbus.venues import account_class

ALL = [ProbedMoex, ProbedAlor, ProbedBinance]


@pytest.mark.parametrize("make", ALL)
def test_one_seed_makes_one_market_and_its_tempo_is_the_wanted_one(
    make: Callable[[int, int, float], ProbedVenue],
) -> None:
    one, same, other = make(1, 10, 5.0), make(1, 10, 5.0), make(2, 10, 5.0)
    assert len(one.symbols) == 10
    told = [[tuple(venue.advance()) for _ in range(200)] for venue in (one, same, other)]
    assert told[0] == told[1] != told[2]
    moves = {(news.symbol, step) for step, found in enumerate(told[0]) for news in found}
    assert 10 * 100 / 5.0 * 0.7 < len(moves) < 10 * 100 / 5.0 * 1.6  # 200 steps are 100 s


@pytest.mark.parametrize("make", ALL)
def test_there_are_as_many_tickers_as_are_wanted_and_the_feed_takes_them(
    make: Callable[[int, int, float], ProbedVenue],
) -> None:
    venue = make(1, 1500, 5.0)
    assert len(set(venue.symbols)) == 1500
    settings = venue.settings()
    account = account_class(venue.name)
    made = account(settings.get("credentials", {}), settings["channels"], settings.get("options"))
    assert [symbol for symbol in venue.symbols if made.check_symbol(symbol)] == []
    assert {word for channel in settings["channels"] for word in made.kinds[channel]} == set(venue.words)


@pytest.mark.parametrize("make", ALL)
def test_all_there_is_to_say_is_of_the_words_that_it_has(make: Callable[[int, int, float], ProbedVenue]) -> None:
    venue = make(1, 5, 1.0)
    for news in (*venue.news(), *(news for _ in range(50) for news in venue.advance())):
        assert news.word in venue.words
        assert news.symbol in venue.symbols
    assert list(venue.over_budget()) == []


@pytest.mark.parametrize("make", ALL)
def test_a_path_that_the_venue_hasnt_is_refused(make: Callable[[int, int, float], ProbedVenue]) -> None:
    venue = make(1, 5, 1.0)
    assert venue.converse("/nowhere", EPOCH_NS) is None
    assert venue.rest(SimRequest("GET", "/nowhere", now_ns=EPOCH_NS)).status == 404
    memory = LineMemory()
    assert venue.topic(memory, "") is None
    assert venue.topic(memory, "pong") is None


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (Trade("v", "S", 1, 2, 3.0, 4.0, "buy", 5), (5, 3.0, 4.0)),
        (Quote("v", "S", 1, 2, 3.0, 4.0, 5.0, 6.0, 7), (3.0, 4.0, 5.0, 6.0)),
        (Ticker("v", "S", 1, 2, bid=3.0, ask=4.0, last=5.0), (3.0, 4.0, 5.0)),
        (BookSnapshot("v", "S", 1, 2, [(3.0, 1.0)], [(4.0, 1.0)], None), (((3.0, 1.0),), ((4.0, 1.0),))),
    ],
)
def test_what_an_event_shows(event: Trade | Quote | Ticker | BookSnapshot, shown: Picture) -> None:
    assert plain_picture(event) == shown


def test_of_a_book_the_best_levels_are_compared() -> None:
    levels = [(float(price), 1.0) for price in range(20)]
    assert book_picture(levels, levels) == (tuple(levels[:LEVELS]), tuple(levels[:LEVELS]))


def test_a_torn_message_is_half_of_it() -> None:
    assert torn("abcd") == "ab"
    assert torn(b"abcd") == b"ab"
