from __future__ import annotations

from types import SimpleNamespace

from feedbus.schema.events import BookSnapshot, Gap, MarketData, Quote, Status, Ticker, Trade, TrustState
from feedbus.testing.truth.moex import ProbedMoex
from feedbus.testing.truth.reader import BusReader

HEADER = SimpleNamespace(publisher="moex")
VENUE = ProbedMoex(1, 2, 1.0)
SYMBOL = VENUE.symbols[0]
BOOK, TICKER = (SYMBOL, "book"), (SYMBOL, "ticker")


def take(reader: BusReader, *events: MarketData | Gap) -> list[tuple[str, str]]:
    return list(reader.take(HEADER, events))


def status(state: TrustState, word: str) -> Status:
    return Status("moex", SYMBOL, 0, 1, state, "" if state == "live" else "connecting", 1, 1, word)


def test_what_nothing_was_said_of_may_not_be_used_unless_everything_is_believed() -> None:
    assert BusReader(VENUE, lambda: 0).trusted(BOOK).state == "resyncing"
    assert BusReader(VENUE, lambda: 0, credulous=True).trusted(BOOK).state == "live"


def test_it_shows_the_newest_and_says_what_changed() -> None:
    reader = BusReader(VENUE, lambda: 0)
    assert take(reader, Ticker("moex", SYMBOL, 1, 1, bid=1.0, ask=2.0, last=1.5, trades=3)) == [TICKER]
    assert reader.picture(TICKER) == (1.0, 2.0, 1.5, 3)
    assert take(reader, status("live", "book"), status("live", "ticker")) == [BOOK, TICKER]
    assert take(reader, BookSnapshot("moex", SYMBOL, 1, 1, [(1.0, 5.0)], [(2.0, 6.0)], 1)) == [BOOK]
    assert reader.picture(BOOK) == (((1.0, 5.0),), ((2.0, 6.0),))
    assert reader.trusted(BOOK).state == "live"
    assert take(reader, BookSnapshot("moex", SYMBOL, 2, 2, [(1.5, 5.0)], [(2.0, 6.0)], 2)) == [BOOK]
    assert reader.picture(BOOK) == (((1.5, 5.0),), ((2.0, 6.0),))
    assert take(reader, status("resyncing", "")) == [BOOK, TICKER]
    assert reader.trusted(TICKER).state == "resyncing"
    assert reader.picture(BOOK) is None


def test_a_trade_that_comes_late_is_not_the_newest() -> None:
    reader, key = BusReader(VENUE, lambda: 0), (SYMBOL, "trade")

    def trade(ts: int, number: int) -> Trade:
        return Trade("moex", SYMBOL, ts, 9, float(number), 1.0, None, number)

    assert take(reader, trade(5, 2), trade(5, 1), trade(4, 3)) == [key]
    assert reader.picture(key) == (2, 2.0, 1.0)
    assert take(reader, trade(5, 3), trade(6, 1)) == [key, key]  # the next day's numbers may begin anew
    assert reader.picture(key) == (1, 1.0, 1.0)


def test_a_silent_publisher_makes_everything_unusable() -> None:
    reader = BusReader(VENUE, lambda: 0)
    take(reader, status("live", "ticker"), Ticker("moex", SYMBOL, 1, 1, bid=1.0))
    assert reader.trusted(TICKER).state == "live"
    take(reader, Gap("", "moex", 1, None, None, "silent"))
    assert reader.trusted(TICKER).state == "resyncing"


def test_what_was_never_shown_is_nothing() -> None:
    reader = BusReader(VENUE, lambda: 0)
    assert reader.picture(TICKER) is None
    assert reader.picture(BOOK) is None
    assert take(reader, Quote("moex", SYMBOL, 1, 1, 1.0, 1.0, 2.0, 1.0, None)) == [(SYMBOL, "quote")]
