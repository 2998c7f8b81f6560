"""A market of fifty words that come at their own paces, on one connection, judged once a second as a feed judges them.

Paces are from three messages a second to one in a minute and a half. The gaps are drawn from an exponential
distribution (messages by chance), from two lognormal ones, from a mixture in which nine of ten gaps are of
milliseconds, in bursts with pauses between them, or nearly regular. At night all gaps are ten times as long, in the
evening three times. `lull` makes them longer still, for all words at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from math import log
from random import Random

from feedbus.trust.silence import LIVE_VERDICT, STALE_VERDICT, LineEvidence, Speakers, verdict
from feedbus.trust.tempo import FLOOR, SilenceBounds, StaleRules, Tempo

Gaps = Callable[[float, Random], Iterator[float]]
NS = 1_000_000_000
HOUR = 3600
WEEK = 7 * 24 * HOUR


def by_chance(mean: float, chance: Random) -> Iterator[float]:
    """Exponential."""
    while True:
        yield chance.expovariate(1 / mean)


def lognormal(sigma: float) -> Gaps:
    """The larger sigma is, the heavier is the tail."""

    def gaps(mean: float, chance: Random) -> Iterator[float]:
        while True:
            yield chance.lognormvariate(log(mean) - sigma * sigma / 2, sigma)

    return gaps


def mixed(mean: float, chance: Random) -> Iterator[float]:
    """Nine of ten gaps are of 50 ms."""
    while True:
        yield chance.expovariate(20) if chance.random() < 0.9 else chance.expovariate(0.1 / mean)


def bursts(mean: float, chance: Random) -> Iterator[float]:
    """Some forty messages, and then a pause of ten times the mean."""
    while True:
        for _ in range(int(chance.expovariate(1 / 40)) + 1):
            yield chance.expovariate(8 / mean)
        yield chance.expovariate(1 / (10 * mean))


def regular(mean: float, chance: Random) -> Iterator[float]:
    """As a venue that conflates."""
    while True:
        yield mean * chance.uniform(0.9, 1.1)


KINDS: list[tuple[Gaps, int, float]] = [  # how many words, and how much slower than the fastest the slowest may be
    (by_chance, 15, 300),
    (lognormal(0.5), 8, 300),
    (lognormal(1.0), 7, 100),
    (mixed, 7, 30),
    (bursts, 6, 30),
    (regular, 7, 300),
]


class QuietWord:
    """One word. `next` is when its next message comes, `heard` when the last one came, in seconds."""

    def __init__(self, gaps: Gaps, mean: float, chance: Random, begin: float) -> None:
        self.gaps = gaps(mean, chance)
        self.by_chance = gaps is by_chance
        self.mean = mean
        self.tempo = Tempo(StaleRules())
        self.heard = self.next = begin
        self.is_mute = False
        self.said = LIVE_VERDICT


class QuietMarket:
    """The market. It begins at `begin`, in seconds since the epoch; `fastest` is the least mean gap."""

    def __init__(self, seed: int, begin: int = 0, fastest: float = 0.3) -> None:
        chance = Random(seed)
        self.now = begin
        self.lull = 1.0
        self.words = [
            QuietWord(gaps, fastest * (slower ** chance.random()), chance, begin)
            for gaps, count, slower in KINDS
            for _ in range(count)
        ]

    def seconds(self, count: int) -> Iterator[list[int]]:
        """Goes on for so many seconds. Yields, after each, which words are called stale."""
        for _ in range(count):
            self.now += 1
            looked: list[tuple[QuietWord, float, SilenceBounds]] = []
            hour = self.now // HOUR % 24
            times = self.lull * (10.0 if hour < 8 else 3.0 if hour > 20 else 1.0)
            for word in self.words:
                if word.next <= self.now and not word.is_mute:
                    self._hear(word, times)
            speakers = Speakers(self.now - max(word.heard for word in self.words))
            for word in self.words:
                silent = self.now - word.heard
                bounds = word.tempo.look(silent, hour)
                speakers.count(silent, True, bounds, "trading")
                if silent > bounds.usual:
                    looked.append((word, silent, bounds))
            evidence = LineEvidence(speakers, speakers)
            for word, silent, bounds in looked:
                word.said = verdict(silent, bounds, evidence, "trading", True, word.said)
            yield [at for at, word in enumerate(self.words) if word.said == STALE_VERDICT]

    def subscribe_again(self, at: int) -> None:
        """A word that was mute speaks again, and its silence is counted from now on."""
        word = self.words[at]
        word.is_mute = False
        word.said = LIVE_VERDICT
        word.next = word.heard = self.now

    def _hear(self, word: QuietWord, times: float) -> None:
        while word.next <= self.now:
            if word.next - word.heard > FLOOR:
                word.tempo.gap(word.next - word.heard, int(word.next * NS))
            word.heard = word.next
            word.said = LIVE_VERDICT
            word.next += next(word.gaps) * times

    def alarms(self, seconds: int) -> Counter[int]:
        """Goes on for so many seconds. Returns how often a word was called stale that hadn't been a second before."""
        found: Counter[int] = Counter()
        before: list[int] = []
        for stale in self.seconds(seconds):
            found.update(set(stale).difference(before))
            before = stale
        return found

    def skip_to(self, begin: int) -> None:
        """What happens until then isn't learnt, and is looked at in the hour before."""
        self.now = begin
        for word in self.words:
            word.next += begin - word.heard
            word.heard = begin
            word.tempo.look(0.0, (begin // HOUR - 1) % 24)
