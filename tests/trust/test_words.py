"""The verdict of a word: the worst of all that speaks against it."""

from __future__ import annotations

from itertools import product

from feedbus.trust.tempo import StaleRules, Tempo
from feedbus.trust.words import LIVE, RANKS, JudgedInstrument, JudgedLine, JudgedWord, Verdict

AGAINST: dict[str, Verdict] = {
    "base": ("gapped", "hole"),
    "stale": ("stale", "silent"),
    "late": ("delayed", "late"),
    "phase": ("closed", "halted"),
    "dormant": ("closed", "closed"),
    "quiet": ("quiet", "silent"),
}


def word_with(speaks: set[str]) -> JudgedWord:
    instrument = JudgedInstrument("S", JudgedLine("v/0", Tempo(StaleRules())), "trading")
    word = JudgedWord("book", ["books"], instrument, Tempo(StaleRules()), 0.0)
    word.base = AGAINST["base"] if "base" in speaks else LIVE
    silences = [AGAINST[name] for name in ("stale", "phase", "quiet") if name in speaks]
    word.silence = silences[0] if silences else LIVE
    instrument.line.is_late = "late" in speaks
    word.is_dormant = "dormant" in speaks
    return word


def test_it_is_as_bad_as_the_worst_that_speaks_against_it() -> None:
    for chosen in product([False, True], repeat=len(AGAINST)):
        speaks = {name for name, is_in in zip(AGAINST, chosen, strict=True) if is_in}
        verdict = word_with(speaks).verdict()
        worst = min((RANKS[AGAINST[name][0]] for name in speaks), default=RANKS["live"])
        assert RANKS[verdict[0]] == worst
        assert (verdict == LIVE) is not bool(speaks)


def test_what_nobody_has_asked_for_is_unsubscribed() -> None:
    instrument = JudgedInstrument("S", JudgedLine("v/0", Tempo(StaleRules())), "trading")
    assert JudgedWord("book", ["books"], instrument, Tempo(StaleRules()), 0.0).verdict() == (
        "unsubscribed",
        "unwanted",
    )
