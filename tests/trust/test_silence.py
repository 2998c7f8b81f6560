"""The verdict on a silence, and what a connection as a whole shows."""

from __future__ import annotations

from math import inf

import pytest

from feedbus.trust.phases import Phase
from feedbus.trust.silence import LineEvidence, SilenceVerdict, Speakers, verdict
from feedbus.trust.tempo import SilenceBounds

KNOWN = SilenceBounds(usual=10.0, bound=30.0, learnt=True)
UNKNOWN = SilenceBounds(usual=60.0, bound=60.0, learnt=False)
LIVE: SilenceVerdict = ("live", "")
QUIET: SilenceVerdict = ("quiet", "silent")
STALE: SilenceVerdict = ("stale", "silent")
CLOSED: SilenceVerdict = ("closed", "closed")
HALTED: SilenceVerdict = ("closed", "halted")
VENUE, CALENDAR = False, True


def speakers(
    *silences: tuple[int, float], bounds: SilenceBounds = KNOWN, spoke: bool = True, phase: Phase = "trading"
) -> Speakers:
    """The counts of a connection: how many words are silent for how long."""
    found = Speakers(min((silent for _, silent in silences), default=inf))
    for count, silent in silences:
        for _ in range(count):
            found.count(silent, spoke, bounds, phase)
    return found


def evidence(own: Speakers, others: Speakers) -> LineEvidence:
    """What a connection shows, among others."""
    feed = Speakers(inf)
    for each in (own, others):
        feed.add(each)
    return LineEvidence(own, feed)


NOBODY = speakers()
OTHERS = speakers((50, 1.0))


AS_USUAL = evidence(speakers((49, 1.0), (1, 1e6)), NOBODY)
A_LULL = evidence(speakers((35, 1.0), (15, 15.0)), NOBODY)
ALONE = evidence(speakers((1, 31.0)), NOBODY)
DEAD = evidence(speakers((50, 31.0)), OTHERS)


@pytest.mark.parametrize(
    ("phase", "said_by", "silent", "bounds", "evidence", "expected"),
    [
        ("trading", VENUE, 10.0, KNOWN, AS_USUAL, LIVE),
        ("trading", VENUE, 11.0, KNOWN, AS_USUAL, QUIET),
        ("trading", VENUE, 31.0, KNOWN, AS_USUAL, STALE),
        ("trading", CALENDAR, 31.0, KNOWN, AS_USUAL, STALE),
        ("trading", VENUE, 31.0, KNOWN, A_LULL, QUIET),
        ("trading", VENUE, 121.0, KNOWN, A_LULL, STALE),
        ("trading", VENUE, 1e6, KNOWN, ALONE, QUIET),
        ("trading", VENUE, 1.0, KNOWN, DEAD, STALE),
        ("trading", VENUE, 60.0, UNKNOWN, AS_USUAL, LIVE),
        ("trading", VENUE, 61.0, UNKNOWN, AS_USUAL, STALE),
        ("trading", VENUE, 61.0, UNKNOWN, ALONE, QUIET),
        ("extra", CALENDAR, 61.0, UNKNOWN, AS_USUAL, QUIET),  # it may not take part in this session
        ("extra", CALENDAR, 31.0, KNOWN, AS_USUAL, STALE),
        ("extra", CALENDAR, 10.0, KNOWN, AS_USUAL, LIVE),
        ("extra", CALENDAR, 61.0, UNKNOWN, DEAD, STALE),
        ("auction", VENUE, 10.0, KNOWN, AS_USUAL, LIVE),
        ("auction", VENUE, 600.0, KNOWN, AS_USUAL, QUIET),
        ("auction", CALENDAR, 600.0, KNOWN, DEAD, QUIET),
        ("closed", VENUE, 1.0, KNOWN, AS_USUAL, CLOSED),
        ("closed", VENUE, 1e5, KNOWN, DEAD, CLOSED),
        ("closed", CALENDAR, 1.0, KNOWN, AS_USUAL, LIVE),  # the calendar is wrong
        ("closed", CALENDAR, 11.0, KNOWN, AS_USUAL, CLOSED),
        ("closed", CALENDAR, 1e5, KNOWN, DEAD, CLOSED),
        ("halted", VENUE, 1.0, KNOWN, AS_USUAL, HALTED),
        ("halted", VENUE, 1e5, KNOWN, AS_USUAL, HALTED),
    ],
)
def test_what_a_silence_means(
    phase: Phase,
    said_by: bool,
    silent: float,
    bounds: SilenceBounds,
    evidence: LineEvidence,
    expected: SilenceVerdict,
) -> None:
    assert verdict(silent, bounds, evidence, phase, said_by) == expected


@pytest.mark.parametrize(
    ("own", "least", "most"),
    [
        (speakers((50, 1.0)), 1.0, 1.0),
        (speakers((49, 1.0), (1, 1e6)), 1.0, 1.0),  # one is mute
        (speakers((48, 1.0), (2, 15.0)), 1.0, 1.1),  # it is chance that two are slow at once
        (speakers((40, 1.0), (10, 1e6)), 1.0, 1.1),  # ten are: that isn't a slow market
        (speakers((40, 1.0), (10, 15.0)), 2.0, 4.0),  # that is
        (speakers((25, 1.0), (25, 15.0)), 5.5, 7.0),
        (speakers((10, 1.0)), 1.0, 1.0),
        (speakers((3, 1.0)), 1.5, 2.0),
        (speakers((1, 1.0)), 6.0, 7.0),  # one neighbour that speaks is little evidence
        (speakers((10, 1.0), (40, 15.0)), 15.0, 30.0),
        (speakers((50, 15.0)), inf, inf),
        (speakers((50, 1e6)), inf, inf),
        (NOBODY, inf, inf),
    ],
)
def test_bounds_are_stretched_by_how_slow_the_neighbours_are(own: Speakers, least: float, most: float) -> None:
    assert least <= evidence(own, NOBODY).stretch(1e6, KNOWN) <= most


def test_where_all_of_few_neighbours_speak_the_rest_of_the_feed_is_asked_too() -> None:
    few = speakers((2, 1.0), (1, 1e6))
    assert evidence(few, NOBODY).stretch(1e6, KNOWN) > 2
    assert evidence(few, OTHERS).stretch(1e6, KNOWN) == 1
    slow = speakers((2, 1.0), (1, 15.0))
    assert evidence(slow, OTHERS).stretch(1e6, KNOWN) == evidence(slow, NOBODY).stretch(1e6, KNOWN) > 2


@pytest.mark.parametrize(
    ("own", "others", "dead"),
    [
        (speakers((50, 31.0)), OTHERS, True),
        (speakers((50, 29.0)), OTHERS, False),
        (speakers((49, 31.0), (1, 1.0)), OTHERS, False),
        (speakers((1, 31.0)), OTHERS, True),
        (speakers((50, 31.0)), NOBODY, False),  # a quiet market
        (speakers((50, 31.0)), speakers((20, 15.0), (30, 1.0)), False),
        (speakers((50, 31.0)), speakers((50, 31.0)), False),
        (speakers((50, 91.0)), speakers((50, 91.0)), True),  # no lull is that long
        (speakers((50, 91.0)), NOBODY, True),
        (speakers((50, 91.0), spoke=False), speakers((50, 91.0), spoke=False), False),  # a holiday
        (speakers((50, 91.0), spoke=False), OTHERS, True),
        (speakers((50, 61.0), bounds=UNKNOWN, spoke=False), OTHERS, True),  # nothing came from the beginning
        (speakers((5, 61.0), bounds=UNKNOWN, spoke=False), OTHERS, False),
        (speakers((50, 1e6), bounds=UNKNOWN), NOBODY, False),
        (speakers((50, 1e6), phase="closed"), OTHERS, False),
        (speakers((50, 1e6), phase="auction"), OTHERS, False),
        (speakers((50, 1e6), phase="extra", bounds=UNKNOWN, spoke=False), OTHERS, False),
        (NOBODY, OTHERS, False),
    ],
)
def test_a_dead_connection_is_told_from_a_quiet_market(own: Speakers, others: Speakers, dead: bool) -> None:
    assert evidence(own, others).is_dead is dead


@pytest.mark.parametrize(
    ("own", "dead"),
    [
        (speakers((50, 181.0), bounds=UNKNOWN), True),  # no lull is that long
        (speakers((50, 179.0), bounds=UNKNOWN), False),
        (speakers((1, 181.0), (49, 20.0), bounds=UNKNOWN), True),  # the others were asked for anew
        (speakers((2, 899.0), bounds=UNKNOWN), False),  # the fewer, the longer
        (speakers((2, 901.0), bounds=UNKNOWN), True),
        (speakers((1, 1801.0), bounds=UNKNOWN), True),
        (speakers((50, 1e6), bounds=UNKNOWN, spoke=False), False),  # a holiday
        (speakers((50, 1e6), bounds=UNKNOWN, phase="extra"), False),
        (speakers((50, 1e6), bounds=UNKNOWN, phase="auction"), False),
    ],
)
def test_a_connection_without_others_of_which_nothing_is_learnt_is_not_borne_for_ever(
    own: Speakers, dead: bool
) -> None:
    own.silent, own.bounds = own.waits, UNKNOWN
    assert evidence(own, NOBODY).is_dead is dead


def test_at_the_opening_the_silence_of_the_night_does_not_count() -> None:
    """Another connection speaks at once; on this one the first paper may come some seconds later."""
    own = Speakers(7 * 3600.0, KNOWN)
    for _ in range(50):
        own.count(31.0, False, KNOWN, "trading")
    assert not evidence(own, speakers((1, 1.0))).is_dead
    assert evidence(own, OTHERS).is_dead


def test_what_is_stale_does_not_become_quiet() -> None:
    assert verdict(31.0, KNOWN, A_LULL, "trading", False, STALE) == STALE
    assert verdict(31.0, KNOWN, ALONE, "extra", True, STALE) == STALE
    assert verdict(31.0, KNOWN, A_LULL, "auction", False, STALE) == QUIET
    assert verdict(9.0, KNOWN, A_LULL, "trading", False, STALE) == LIVE


def test_at_the_opening_those_that_have_not_spoken_yet_are_no_evidence() -> None:
    """On a holiday that the calendar doesn't know, fast words pass their bounds while slow ones are within theirs."""
    slow = SilenceBounds(usual=600.0, bound=2000.0, learnt=True)
    own = Speakers(100.0)
    for bounds in (KNOWN, slow):
        for _ in range(25):
            own.count(100.0, False, bounds, "trading")
    assert verdict(100.0, KNOWN, evidence(own, NOBODY), "trading", True) == QUIET


def test_those_that_have_just_been_subscribed_again_are_no_evidence() -> None:
    own = speakers((1, 31.0))
    for _ in range(49):
        own.count(1.0, False, KNOWN, "trading")
    assert verdict(31.0, KNOWN, evidence(own, NOBODY), "trading", False) == QUIET


def test_neighbours_that_have_passed_their_bounds_show_a_lull_too_until_they_may_be_mute() -> None:
    for silent, together, expected in ((40.0, 1, STALE), (40.0, 10, QUIET), (91.0, 10, STALE)):
        own = speakers((40, 1.0), (together, silent))
        for others in (NOBODY, OTHERS):
            assert verdict(silent, KNOWN, evidence(own, others), "trading", False) == expected
    rest = speakers((40, 1.0), (10, 40.0))
    assert verdict(40.0, KNOWN, evidence(speakers((2, 1.0), (1, 40.0)), rest), "trading", False) == QUIET


def test_slow_words_say_nothing_of_a_short_silence() -> None:
    """All falls silent at once: that the slow ones are within what is usual doesn't mean that they speak."""
    slow = SilenceBounds(usual=600.0, bound=2000.0, learnt=True)
    own = speakers((5, 31.0))
    for _ in range(45):
        own.count(31.0, True, slow, "trading")
    assert verdict(31.0, KNOWN, evidence(own, NOBODY), "trading", True) == QUIET
    assert verdict(31.0, KNOWN, evidence(own, OTHERS), "trading", True) == STALE
