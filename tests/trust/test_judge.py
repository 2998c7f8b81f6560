"""The judge: what it says, in which order, and that whoever hears it once knows the whole."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from feedbus.schema.events import Bar, BookDelta, BookSnapshot, Instrument, MarketData, Quote, Status, Ticker, Trade
from feedbus.trust.judge import SAID_AGAIN_EVERY, SAID_AGAIN_PER_S, Facts, Judge
from feedbus.trust.phases import Phase
from feedbus.trust.tempo import StaleRules
from feedbus.trust.tempos import Tempos
from feedbus.trust.words import RANKS, JudgedLine

PHASES: dict[str, Phase] = {"T": "trading", "N": "closed", "H": "halted", "A": "auction"}
FACTS = Facts(
    "v",
    {"trades": ["trade"], "books": ["book"], "day": ["quote", "ticker"], "m1": ["bar"], "m5": ["bar"]},
    {"m1": 60, "m5": 300},
    PHASES,
)
WORDS = ("trade", "book", "quote", "ticker", "bar")


def trade(symbol: str = "A", ts: int = 5) -> Trade:
    return Trade("v", symbol, 1, ts, 10.0, 1.0, None, None)


def book(symbol: str = "A", ts: int = 5) -> BookSnapshot:
    return BookSnapshot("v", symbol, 1, ts, [(1.0, 1.0)], [(2.0, 1.0)], None)


def delta(symbol: str = "A", ts: int = 5) -> BookDelta:
    return BookDelta("v", symbol, 1, ts, [(1.0, 1.0)], [], 1, 2)


def quote(symbol: str = "A", ts: int = 5) -> Quote:
    return Quote("v", symbol, 1, ts, 1.0, 1.0, 2.0, 1.0, None)


def ticker(status: str | None = None, symbol: str = "A", ts: int = 5) -> Ticker:
    return Ticker("v", symbol, 1, ts, status=status)


def bar(period_s: int, symbol: str = "A", ts: int = 5) -> Bar:
    return Bar(
        "v", symbol, 1, ts, "venue", period_s, 0, 1.0, 1.0, 1.0, 1.0, None, None, None, None, None, None, False, 0, True
    )


def instrument(status: str, symbol: str = "A") -> Instrument:
    return Instrument("v", symbol, 1, 5, None, None, None, None, None, None, None, status)


def said(events: Sequence[MarketData]) -> list[str]:
    """What is published, a line each: the kinds of data, and states with their reasons."""
    return [
        f"{it.symbol} {it.word} {it.state} {it.reason}".strip() if isinstance(it, Status) else type(it).__name__
        for it in events
    ]


def judge_of(
    symbols: Sequence[str] = ("A",), facts: Facts = FACTS, *, is_live: bool = False
) -> tuple[Judge, JudgedLine]:
    judge = Judge(facts)
    line = judge.line("v/0")
    judge.carry(line, symbols, "connecting", 0.0, 1)
    if is_live:
        judge.opened(line, 1)
        judge.ready(line, 0.0)
        for symbol in symbols:
            data: list[MarketData] = [
                trade(symbol), book(symbol), quote(symbol), ticker(None, symbol), bar(60, symbol), bar(300, symbol)
            ]  # fmt: skip
            judge.take(line, data, 0.0)
    return judge, line


ONE = Facts("v", {"books": ["book"], "trades": ["trade"]})


def test_a_word_goes_from_wanted_to_live_and_each_step_has_its_reason() -> None:
    judge = Judge(ONE)
    line = judge.line("v/0")
    assert said(judge.carry(line, ["A"], "connecting", 0.0, 1)) == [
        "A book resyncing connecting",
        "A trade resyncing connecting",
    ]
    judge.opened(line, 3)
    assert said(judge.sweep(1.0, 2)[0]) == ["A book resyncing login", "A trade resyncing login"]
    judge.ready(line, 1.0)
    judge.confirmed("books", "A", 1.0)
    assert said(judge.sweep(2.0, 3)[0]) == ["A book resyncing first_picture", "A trade resyncing unconfirmed"]
    assert said(judge.take(line, [trade("B")], 2.5)) == ["Trade"]  # nobody here asks for it
    out = judge.take(line, [book(ts=9), trade(ts=9)], 3.0)
    assert said(out) == ["BookSnapshot", "Trade", "A book live", "A trade live"]
    statuses = [each for each in out if isinstance(each, Status)]
    assert [(each.since, each.generation, each.venue) for each in statuses] == [(9, 3, "v"), (9, 3, "v")]
    again: list[MarketData] = [book(), trade(), delta()]
    assert judge.take(line, again, 4.0) is again


def test_what_is_confirmed_in_the_read_that_shows_the_login_stays_confirmed() -> None:
    judge = Judge(ONE)
    line = judge.line("v/0")
    judge.carry(line, ["A"], "moved", 0.0, 1)
    judge.opened(line, 1)
    judge.confirmed("books", "A", 1.0)
    judge.ready(line, 1.0)
    assert said(judge.sweep(2.0, 3)[0]) == ["A book resyncing first_picture", "A trade resyncing unconfirmed"]


def test_whatever_is_said_holds_the_worst_word_and_the_same_is_said_once() -> None:
    judge, line = judge_of(["A"], ONE)
    assert said(judge.take(line, [book(), book()], 1.0)) == [
        "BookSnapshot",
        "BookSnapshot",
        "A book live",
        "A trade resyncing connecting",
    ]
    gapped = Status("v", "A", 0, 5, "gapped", "audit", 5, 0, "book")
    live = Status("v", "A", 0, 5, "live", "", 5, 0, "book")
    out = judge.take(line, [trade(), gapped, book(), live, gapped], 2.0)
    assert said(out) == ["Trade", "A book gapped audit", "A trade live", "BookSnapshot"]


def test_bars_are_live_when_each_of_their_channels_has_brought_one() -> None:
    judge, line = judge_of(facts=Facts("v", {"m1": ["bar"], "m5": ["bar"]}, {"m1": 60, "m5": 300}))
    assert said(judge.take(line, [bar(60), bar(60)], 1.0)) == ["Bar", "Bar"]
    assert said(judge.take(line, [bar(300)], 1.0)) == ["Bar", "A bar live"]


def test_what_the_venue_refuses_stays_refused_over_a_new_connection_until_it_is_confirmed() -> None:
    judge, line = judge_of(["A", "B"], ONE, is_live=True)
    assert said(judge.refused("books", "A", 7)) == ["A book unsubscribed refused"]
    assert said(judge.away(line, "connecting", 8.0, 8)) == [
        "A trade resyncing connecting",
        "A book unsubscribed refused",
        "B book resyncing connecting",
        "B trade resyncing connecting",
    ]
    judge.opened(line, 2)
    judge.ready(line, 9.0)
    judge.confirmed("books", "A", 9.0)
    assert "A book resyncing first_picture" in said(judge.sweep(9.5, 9)[0])
    assert said(judge.take(line, [book()], 10.0))[:2] == ["BookSnapshot", "A book live"]


def test_a_subscription_that_is_made_anew_is_resyncing_and_its_neighbours_stay() -> None:
    judge, line = judge_of(["A", "B"], ONE, is_live=True)
    assert said(judge.resync("books", "A", 1.0, 7)) == ["A book resyncing hole"]
    assert said(judge.take(line, [trade("A"), book("B")], 1.0)) == ["Trade", "BookSnapshot"]
    assert said(judge.take(line, [book("A")], 1.0)) == ["BookSnapshot", "A book live"]


def test_a_session_that_speaks_of_its_books_itself_is_believed_and_data_alone_makes_nothing_live() -> None:
    judge, line = judge_of(facts=ONE)
    judge.ready(line, 0.0)

    def own(state: str, reason: str, since: int) -> Status:
        return Status("v", "A", 0, since, state, reason, since, 0, "book")  # type: ignore[arg-type]

    judge.take(line, [trade(), own("resyncing", "first_picture", 3)], 1.0)
    assert said(judge.take(line, [book()], 2.0)) == ["BookSnapshot"]
    out = judge.take(line, [book(), own("live", "", 6), delta()], 2.0)
    assert said(out) == ["BookSnapshot", "BookDelta", "A book live"]
    assert [each.since for each in out if isinstance(each, Status)] == [6]
    assert said(judge.take(line, [own("gapped", "audit", 8), trade()], 2.0)) == ["A book gapped audit", "Trade"]
    assert said(judge.resync("books", "A", 2.0, 9)) == []  # it has said so already
    assert said(judge.away(line, "connecting", 3.0, 9)) == [
        "A book resyncing connecting",
        "A trade resyncing connecting",
    ]
    assert said(judge.take(line, [own("live", "", 9)], 4.0))[0] == "A book live"


def test_a_closed_instrument_is_closed_before_its_event_and_live_word_by_word_when_data_comes_again() -> None:
    facts = Facts("v", {"books": ["book"], "day": ["ticker"]}, phases=PHASES)
    judge, line = judge_of(["A", "B"], facts, is_live=True)
    assert said(judge.take(line, [ticker("T")], 1.0)) == ["Ticker"]
    assert said(judge.take(line, [ticker("N")], 2.0)) == ["A book closed closed", "A ticker closed closed", "Ticker"]
    assert said(judge.take(line, [book(), book("B")], 3.0)) == ["BookSnapshot", "BookSnapshot"]
    judge.take(line, [book("B"), ticker(None, "B")], 99_999.0)
    assert judge.sweep(100_000.0, 9) == ([], [])
    assert said(judge.take(line, [ticker("T")], 100_001.0)) == ["Ticker", "A ticker live", "A book closed closed"]
    assert said(judge.take(line, [book()], 100_002.0)) == ["BookSnapshot", "A book live"]
    assert said(judge.take(line, [instrument("H")], 100_003.0)) == [
        "A book closed halted",
        "A ticker closed halted",
        "Instrument",
    ]
    assert said(judge.away(line, "connecting", 100_004.0, 5))[0] == "A book resyncing connecting"


def test_late_data_is_delayed_and_says_so_of_all_words_of_its_connection() -> None:
    judge, line = judge_of(["A"], ONE, is_live=True)
    assert said(judge.late(line, True, 5)) == ["A book delayed late", "A trade delayed late"]
    assert judge.late(line, True, 6) == []
    assert said(judge.take(line, [book()], 1.0)) == ["BookSnapshot"]
    assert judge.late(line, False, 7) == []
    assert said(judge.sweep(2.0, 8)[0]) == ["A book live", "A trade live"]


def test_what_is_stale_stays_so_until_it_speaks_however_slow_its_neighbours_become() -> None:
    symbols = [f"S{at}" for at in range(12)]
    judge, line = judge_of(symbols, Facts("v", {"trades": ["trade"]}), is_live=True)
    heard: list[str] = []
    for second in range(1, 131):
        judge.take(line, [trade(symbol) for symbol in symbols[1:]], float(second))
        heard += [each for each in said(judge.sweep(second + 0.5, 5)[0]) if not each.endswith("live")]
    assert [each for each, _ in groupby(heard)] == ["S0 trade quiet silent", "S0 trade stale silent"]
    slow = said(judge.sweep(134.0, 5)[0])  # all neighbours are silent for longer than they usually are
    assert "S1 trade quiet silent" in slow
    assert "S0 trade quiet silent" not in slow
    assert judge.states()["stale"] == 1
    assert said(judge.take(line, [trade("S0")], 135.0)) == ["Trade", "S0 trade live"]


def test_an_instrument_that_moves_is_resyncing_and_belongs_to_its_new_connection_alone() -> None:
    judge, line = judge_of(["A", "B"], ONE, is_live=True)
    other = judge.line("v/1")
    judge.opened(other, 9)
    assert said(judge.carry(other, ["A"], "moved", 1.0, 5)) == ["A book resyncing moved", "A trade resyncing moved"]
    assert judge.leave(line, ["A"], 6) == []
    assert {each.symbol for each in judge.away(line, "connecting", 2.0, 7)} == {"B"}
    out = judge.take(other, [book(), trade()], 3.0)
    assert {each.generation for each in out if isinstance(each, Status)} == {9}
    assert said(judge.leave(other, ["A"], 8)) == ["A book unsubscribed unwanted", "A trade unsubscribed unwanted"]


def test_instruments_are_counted_by_their_worst_word() -> None:
    judge, line = judge_of(["A", "B", "C"], ONE, is_live=True)
    judge.refused("books", "A", 1)
    judge.resync("trades", "B", 1.0, 1)
    assert {state: count for state, count in judge.states().items() if count} == {
        "unsubscribed": 1,
        "resyncing": 1,
        "live": 1,
    }
    judge.stopped(line, 2)
    assert judge.states()["unsubscribed"] == 3


def test_all_is_said_again_whole_instruments_together_and_never_too_much() -> None:
    symbols = [f"S{number}" for number in range(40)]
    judge, _ = judge_of(symbols, ONE, is_live=True)
    heard: dict[str, int] = {}
    for second in range(int(SAID_AGAIN_EVERY)):
        again = [each for each in judge.sweep(1.0 + second * 0.001, 9)[0] if isinstance(each, Status)]
        assert len(again) <= 10
        for each in again:
            heard[each.symbol] = heard.get(each.symbol, 0) + 1
    assert heard == dict.fromkeys(symbols, 2)
    many, _ = judge_of([f"S{number}" for number in range(4000)], ONE, is_live=True)
    counts = [len(many.sweep(1.0, 9)[0]) for _ in range(20)]
    assert max(counts) <= SAID_AGAIN_PER_S + 1
    assert sum(counts) >= 19 * SAID_AGAIN_PER_S


class Life(RuleBasedStateMachine):
    """Anything may happen in any order. Checked is what a reader knows who hears all of it, and who hears one burst."""

    def __init__(self) -> None:
        super().__init__()
        self.judge = Judge(FACTS, tempos=Tempos("v", StaleRules(5.0)))
        self.lines = [self.judge.line(name) for name in ("v/0", "v/1")]
        self.now = 0.0
        self.ts = 1
        self.states: dict[tuple[str, str], str] = {}
        self.data: set[tuple[str, str]] = set()  # words of which data came since they were last worse than closed

    def hear(self, out: Sequence[MarketData]) -> None:
        worst_said: dict[str, int] = {}
        for event in out:
            if not isinstance(event, Status):
                self.data.add((event.symbol, type(event).WORD))
                continue
            key = (event.symbol, event.word)
            assert event.state != "live" or key in self.data
            if event.state in ("unsubscribed", "resyncing"):
                self.data.discard(key)
            self.states[key] = event.state
            rank = RANKS[event.state]
            worst_said[event.symbol] = min(rank, worst_said.get(event.symbol, rank))
        for symbol, rank in worst_said.items():
            assert rank <= min(RANKS[state] for (of, _), state in self.states.items() if of == symbol)  # type: ignore[index]

    @initialize()
    def begin(self) -> None:
        for line, symbol in zip(self.lines, "AB", strict=True):
            self.hear(self.judge.carry(line, [symbol], "connecting", self.now, self.ts))

    symbols, numbers = st.sampled_from("AB"), st.sampled_from([0, 1])
    channels = st.sampled_from(list(FACTS.words))
    events = st.sampled_from(
        [make(symbol) for make in (trade, book, delta, quote) for symbol in "AB"]
        + [ticker(status, symbol) for status in (None, "T", "N") for symbol in "AB"]
        + [bar(period, symbol) for period in (60, 300) for symbol in "AB"]
        + [instrument("N", "B")]
    )

    @rule(events=st.lists(events, max_size=6), seconds=st.sampled_from([0.0, 0.5, 4.0]))
    def data_comes(self, events: list[MarketData], seconds: float) -> None:
        self.now += seconds
        for line in self.lines:
            mine = [each for each in events if self.judge.instruments[each.symbol].line is line]
            out = self.judge.take(line, mine, self.now)
            assert [each for each in out if not isinstance(each, Status)] == mine
            self.hear(out)

    @rule(seconds=st.sampled_from([1.0, 10.0, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.ts += 1
        self.hear(self.judge.sweep(self.now, self.ts)[0])

    @rule(number=numbers, what=st.sampled_from(["away", "opened", "ready", "late", "in time", "shut out", "stopped"]))
    def connection(self, number: int, what: str) -> None:
        line, judge = self.lines[number], self.judge
        match what:
            case "away":
                self.hear(judge.away(line, "connecting", self.now, self.ts))
            case "opened":
                judge.opened(line, line.generation + 1)
            case "ready":
                judge.ready(line, self.now)
            case "late" | "in time":
                self.hear(judge.late(line, what == "late", self.ts))
            case "shut out":
                judge.shut_out(line)
            case "stopped":
                self.hear(judge.stopped(line, self.ts))

    @rule(symbol=symbols, channel=channels, what=st.sampled_from(["confirmed", "refused", "resync"]))
    def subscription(self, symbol: str, channel: str, what: str) -> None:
        match what:
            case "confirmed":
                self.judge.confirmed(channel, symbol, self.now)
            case "refused":
                self.hear(self.judge.refused(channel, symbol, self.ts))
            case "resync":
                self.hear(self.judge.resync(channel, symbol, self.now, self.ts))

    @rule(symbol=symbols, number=numbers)
    def move(self, symbol: str, number: int) -> None:
        self.hear(self.judge.carry(self.lines[number], [symbol], "moved", self.now, self.ts))

    @invariant()
    def what_was_said_is_what_is_so_but_for_reasons(self) -> None:
        for symbol, found in self.judge.instruments.items():
            for word in found.words:
                assert word.said[0] == self.states[symbol, word.name]
                assert word.is_open == (word.said in (("live", ""), ("delayed", "late")) and word.is_settled())
        assert sorted(word.name for line in self.lines for word in line.words) == sorted([*WORDS, *WORDS])


TestLife = Life.TestCase
