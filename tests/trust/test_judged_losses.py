"""What a judge makes of what the checkers find: in which order it is said, what isn't published, when it is over."""

from __future__ import annotations

from collections.abc import Sequence

from feedbus.schema.events import BookSnapshot, MarketData, Quote, Status, Trade
from feedbus.trust.checkers import checkers_for
from feedbus.trust.crossed_books import CROSSED_FOR
from feedbus.trust.evidence import Evidence
from feedbus.trust.judge import Facts, Judge
from feedbus.trust.words import JudgedLine

KINDS = {"trades": ("trade",), "books": ("book",), "best": ("quote",)}


class LosingAccount:
    """Trades are numbered by one, books are full pictures, and of best prices nothing is known."""

    def __init__(self) -> None:
        self.kinds = KINDS
        self.evidence = {"trades": Evidence(trade_ids="by_one"), "books": Evidence(full_pictures=True)}
        self.continuous_statuses = ()

    @staticmethod
    def trading_day(time: int) -> int:
        return 0


def trade(number: int, symbol: str = "A") -> Trade:
    return Trade("v", symbol, 1, 5, 10.0, 1.0, None, number)


def book(bid: float) -> BookSnapshot:
    return BookSnapshot("v", "A", 1, 5, [(bid, 1.0)], [(11.0, 1.0)], None)


def quote(symbol: str = "A") -> Quote:
    return Quote("v", symbol, 1, 5, 1.0, 1.0, 2.0, 1.0, None)


def live() -> tuple[Judge, JudgedLine]:
    """A judge of two instruments that are live; the last trade of each was number 5."""
    judge = Judge(Facts("v", KINDS), checkers=checkers_for(LosingAccount(), list(KINDS)))
    line = judge.line("v/0")
    judge.carry(line, ["A", "B"], "connecting", 0.0, 1)
    judge.opened(line, 1)
    judge.ready(line, 0.0)
    judge.take(line, [trade(5), trade(5, "B"), book(10.0), quote(), quote("B")], 0.0)
    assert not judge.found
    return judge, line


def said(events: Sequence[MarketData]) -> list[str]:
    """The kinds of data, and of what isn't right the states with their reasons."""
    return [
        f"{it.symbol} {it.word} {it.state} {it.reason}".strip() if isinstance(it, Status) else type(it).__name__
        for it in events
    ]


def test_a_loss_is_said_before_the_event_that_shows_it() -> None:
    judge, line = live()
    assert said(judge.take(line, [trade(6), trade(9), trade(10)], 1.0)) == [
        "Trade", "A trade gapped hole", "Trade", "Trade",
    ]  # fmt: skip
    [(symbol, word, finding)] = judge.found
    assert (symbol, word, finding.lost) == ("A", "trade", 2)
    judge.resync("trades", "A", 2.0, 3)
    assert said(judge.take(line, [trade(11)], 3.0)) == ["Trade", "A trade live"]


def test_a_replay_is_not_published_and_changes_nothing() -> None:
    judge, line = live()
    assert said(judge.take(line, [trade(5), trade(6)], 1.0)) == ["Trade"]


def test_what_is_found_of_one_event_is_not_said_of_the_next() -> None:
    judge, line = live()
    out = judge.take(line, [trade(9), quote(), trade(6, "B"), quote("B")], 1.0)
    assert said(out) == ["A trade gapped hole", "Trade", "Quote", "Trade", "Quote"]
    assert [(symbol, word) for symbol, word, _ in judge.found] == [("A", "trade")]
    assert said(judge.take(line, [trade(8), quote("B"), quote()], 1.0)) == ["Trade", "Quote", "Quote"]  # 8 came late
    assert said(judge.take(line, [trade(8), quote("B"), quote()], 1.0)) == ["Quote", "Quote"]


def test_a_book_that_is_got_anew_and_still_crossed_is_not_live() -> None:
    judge, line = live()
    judge.take(line, [book(11.0)], 10.0)
    assert said(judge.take(line, [book(11.0)], 10.0 + CROSSED_FOR)) == ["A book gapped crossed", "BookSnapshot"]
    judge.resync("books", "A", 20.0, 5)
    assert said(judge.take(line, [book(11.0)], 21.0)) == ["A book gapped crossed", "BookSnapshot"]
    judge.resync("books", "A", 30.0, 6)
    assert said(judge.take(line, [book(10.0)], 31.0)) == ["BookSnapshot", "A book live"]


def test_trades_that_were_missed_while_the_connection_was_away_do_not_keep_it_from_being_live() -> None:
    judge, line = live()
    judge.away(line, "connecting", 1.0, 2)
    judge.opened(line, 2)
    judge.ready(line, 2.0)
    out = judge.take(line, [trade(9), trade(6, "B")], 3.0)
    assert [each for each in said(out) if "trade" in each] == ["A trade live", "B trade live"]
    assert [(symbol, finding.lost, finding.state) for symbol, _, finding in judge.found] == [("A", 3, "resyncing")]
