"""Instruments that aren't live: which states fire, what the text says, and what ends it."""

from __future__ import annotations

import pytest

from feedbus.alerts import AlertEngine, Rule
from feedbus.alerts.rules import DEFAULT_STATES, NotLiveState
from feedbus.schema.events import Alert, Gap, Quote, Status, Trade, TrustState
from feedbus.trust.readers_trust import MAX_WORDS

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
SINCE = "since 2023-11-14T22:13:20Z"


def at(seconds: float) -> int:
    return START + round(seconds * SECOND)


def said(seconds: float, state: TrustState, reason: str = "", word: str = "trade", symbol: str = "A") -> Status:
    return Status("moex", symbol, 0, at(seconds), state, reason, START, 1, word)


class Judged:
    """An engine, and (state, seconds, value, text) of its alerts."""

    def __init__(self, *rules: Rule) -> None:
        self.engine = AlertEngine(rules)
        self.told: list[tuple[str, float, float | None, str]] = []

    def add(self, event: Status | Trade | Quote, publisher: str = "p") -> None:
        self.until((event.ts_recv - START) / SECOND)
        self._take(self.engine.add(event, event.ts_recv, publisher))

    def lose(self, seconds: float, gap: Gap) -> None:
        self.until(seconds)
        self._take(self.engine.add_gap(gap, at(seconds)))

    def until(self, seconds: float) -> None:
        while (due := self.engine.next_due()) is not None and due <= at(seconds):
            self._take(self.engine.tick(due))

    def states(self) -> list[tuple[str, float]]:
        return [each[:2] for each in self.told]

    def _take(self, alerts: object) -> None:
        for alert in alerts:  # type: ignore[attr-defined]
            assert isinstance(alert, Alert)
            self.told.append((alert.state, (alert.ts_recv - START) / SECOND, alert.value, alert.text))


def gap(topic: str = "", publisher: str = "p", cause: str = "lost") -> Gap:
    return Gap(topic, publisher, 1, None, None, cause)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("states", "state", "fires"),
    [
        (DEFAULT_STATES, "unsubscribed", True),
        (DEFAULT_STATES, "resyncing", True),
        (DEFAULT_STATES, "gapped", True),
        (DEFAULT_STATES, "stale", True),
        (DEFAULT_STATES, "delayed", False),
        (DEFAULT_STATES, "closed", False),
        (DEFAULT_STATES, "quiet", False),
        (DEFAULT_STATES, "live", False),
        (("delayed", "quiet"), "quiet", True),
        (("delayed", "quiet"), "delayed", True),
        (("delayed", "quiet"), "resyncing", False),
    ],
)
def test_it_fires_in_its_states_and_ends_with_them(
    states: tuple[NotLiveState, ...], state: TrustState, fires: bool
) -> None:
    judged = Judged(Rule("not_live", states=states))
    judged.add(said(0, "live"))
    judged.add(said(5, state, "refused"))
    judged.add(said(9, state, "refused"))
    assert judged.states() == [("firing", 5)] * fires
    judged.add(said(20, "live"))
    assert judged.states()[1:] == [("resolved", 20)] * fires


def test_the_worst_comes_first_and_each_with_its_reason_and_since_when() -> None:
    judged = Judged(Rule("not_live", for_=10, cooldown=0))
    judged.add(said(0, "live"))
    judged.add(said(1, "stale", "silent"))
    judged.add(said(2, "resyncing", "login", "quote"))
    judged.add(said(3, "resyncing", "login", "book"))
    judged.add(said(4, "delayed", "late", "ticker"))
    judged.until(60)
    worst = f"book, quote: resyncing login (its connection isn't logged in yet) {SINCE}"
    text = f"{worst}; trade: stale silent (nothing has come for longer than usual) {SINCE}"
    # It has been so since the publisher says that it has, and not only since it was said.
    assert judged.told == [("firing", 10, 10.0, text)]
    for word in ("trade", "quote", "book"):
        judged.add(said(70, "live", word=word))
    assert judged.told[1:] == [("resolved", 70, 70.0, "delayed late (its data is old when it comes) after 70.0 s")]


def test_what_comes_right_in_time_does_not_fire_and_it_may_stay_away_for_a_while() -> None:
    judged = Judged(Rule("not_live", for_=10, keep_firing_for=20, cooldown=0))
    bad: dict[float, TrustState] = {0: "resyncing", 100: "gapped", 130: "gapped"}
    for begins, ends in ((0, 9), (100, 120), (130, 140)):
        judged.add(Status("moex", "A", 0, at(begins), bad[begins], "hole", at(begins), 1, "trade"))
        judged.add(said(ends, "live"))
    judged.until(1000)
    assert judged.states() == [("firing", 110), ("resolved", 160)]
    assert judged.told[1][2:] == (40.0, "live after 40.0 s")


def test_what_nobody_wants_any_more_is_nobody_s_trouble() -> None:
    judged = Judged(Rule("not_live"))
    judged.add(said(1, "unsubscribed", "unwanted"))
    assert judged.told == []
    judged.add(said(2, "resyncing", "connecting"))
    judged.add(said(3, "unsubscribed", "unwanted"))
    assert judged.told[1] == ("resolved", 3, 3.0, "unsubscribed unwanted (nobody asks for it) after 3.0 s")


def test_a_reader_s_own_findings_are_states_too_and_of_that_publisher_alone() -> None:
    judged = Judged(Rule("not_live", cooldown=0))
    judged.add(said(0, "live", word="trade"), "p")
    judged.add(said(0, "live", word="bar"), "q")
    judged.add(said(0, "live", word="bar", symbol="B"), "q")
    judged.lose(1, gap("trade.moex.A"))  # data that this reader missed says nothing of the instrument
    assert judged.told == []
    judged.lose(2, gap(cause="silent"))
    assert judged.told == [
        ("firing", 2, 0.0, "trade: resyncing publisher_silent (its publisher says nothing any more)")
    ]
    judged.add(said(3, "live", word="bar"), "q")
    assert len(judged.told) == 1, "another publisher's word mends nothing"
    judged.add(said(4, "live"), "p")
    assert judged.states()[1:] == [("resolved", 4)]
    judged.lose(5, gap("status.moex.B", "q"))
    judged.add(said(6, "live", word="bar", symbol="B"), "q")
    assert judged.states()[2:] == [("firing", 5), ("resolved", 6)]


def test_a_word_is_whoever_s_said_it_last() -> None:
    """It has moved from p to q: whatever p's end says is p's alone."""
    judged = Judged(Rule("not_live", cooldown=0))
    judged.add(said(0, "live"), "p")
    judged.add(said(1, "live"), "q")
    judged.add(said(1, "unsubscribed", "unwanted"), "p")
    judged.lose(2, gap(publisher="p", cause="silent"))
    assert judged.states() == [("firing", 2)], "p has said it last"
    judged.add(said(3, "live"), "q")
    judged.lose(4, gap(publisher="p", cause="silent"))
    assert judged.states()[1:] == [("resolved", 3)]


def test_a_publisher_that_restarts_has_to_say_it_anew() -> None:
    judged = Judged(Rule("not_live", for_=3, cooldown=0))
    judged.add(said(0, "live"))
    judged.add(said(0, "live", symbol="B"))
    judged.lose(10, gap(cause="restart"))
    judged.add(said(12, "live"))
    judged.until(30)
    assert judged.told == [("firing", 13, 3.0, "trade: resyncing lost (messages about it were lost on the bus)")]


def test_it_names_the_rules_that_only_data_can_end() -> None:
    judged = Judged(Rule("not_live"), Rule("wide_spread", 1), Rule("large_trade", 1, cooldown=1e4))
    judged.add(Quote("moex", "A", 1, at(0), 90.0, 1.0, 110.0, 1.0, None))
    judged.add(Trade("moex", "A", 1, at(0), 1.0, 5.0, None, None))
    judged.add(said(1, "resyncing", "moved"))
    assert judged.told[-1][3].endswith(f"{SINCE}; so nothing ends what fires about it: wide_spread")


def test_an_instrument_beyond_the_limit_is_counted() -> None:
    engine = AlertEngine([Rule("not_live", symbols=("A", "B"))], max_instruments=1)
    for symbol in "XABBA":
        engine.add(said(0, "stale", "silent", symbol=symbol), START, "p")
    assert (engine.watched, engine.passed_over) == (1, 2)


def test_more_words_than_an_instrument_has_are_counted() -> None:
    engine = AlertEngine([Rule("not_live")])
    for number in range(MAX_WORDS + 3):
        engine.add(said(0, "live", word=f"w{number}"), START, "p")
    assert engine.passed_over == 3
