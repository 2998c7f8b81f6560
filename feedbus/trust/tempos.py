"""The tempos of all words of a feed, and how they are written down for the next life of the process. Pure.

The file is msgpack, an array: the format's version, the venue, the moment of the last fading, and for each instrument
its symbol and, by word, the hours of a Tempo as `Tempo.rows` gives them. It is read back only by the same version, for
the same venue.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from feedbus.trust.tempo import HourRow, StaleRules, Tempo

FORMAT = 1
MAX_WORDS = 50_000
"""So many tempos are kept, of what is subscribed and of what was. A feed carries fewer words."""

FADE_EVERY = 28 * 86_400 * 1_000_000_000
"""Nanoseconds. What was learnt is halved so often."""

MAX_FADES = 17
"""After so many nothing is left of any count."""

KeptWords = dict[str, list[HourRow]]


class KeptTempos(msgspec.Struct, frozen=True, array_like=True):
    """What a file holds."""

    format: int
    venue: str
    faded: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    instruments: list[tuple[str, KeptWords]]


_KEPT = msgspec.msgpack.Decoder(KeptTempos)


class UnreadableTempos(ValueError):
    """What was kept can't be used; the text says why."""


class Tempos:
    """The tempos of a feed, by symbol and word.

    passed_over  how many words got a tempo that isn't kept, because there were too many
    """

    def __init__(self, venue: str, rules: StaleRules) -> None:
        self.venue = venue
        self.rules = rules
        self.passed_over = 0
        self._tempos: dict[str, dict[str, Tempo]] = {}
        self._count = 0
        self._faded = 0  # ns since the epoch; 0 until the first time is known

    def __len__(self) -> int:
        return self._count

    def of(self, symbol: str, word: str) -> Tempo:
        """The tempo of a word of an instrument. It is unlearnt where nothing is known of it."""
        words = self._tempos.get(symbol) or {}
        tempo = words.get(word)
        if tempo is not None:
            return tempo
        tempo = Tempo(self.rules)
        self.passed_over += self._count >= MAX_WORDS
        self._put(symbol, word, tempo)
        return tempo

    def fade(self, ts: int) -> None:
        """Let fade what was learnt long ago, if it is time to (`ts`: ns since the epoch). To be called once an hour or
        so; it does nothing most times."""
        if not self._faded:
            self._faded = ts
        due = (ts - self._faded) // FADE_EVERY  # below 0 after the clock was set back
        self._faded += due * FADE_EVERY
        for words in self._tempos.values():
            for tempo in words.values():
                for _ in range(min(due, MAX_FADES)):
                    tempo.fade()

    def pages(self) -> Iterator[tuple[str, KeptWords]]:
        """Yields each instrument of which anything is known, as it is kept. What is encoded of them is `whole`."""
        for symbol, words in list(self._tempos.items()):
            kept = {word: rows for word, tempo in words.items() if (rows := tempo.rows())}
            if kept:
                yield symbol, kept

    def whole(self, pages: list[tuple[str, KeptWords]]) -> bytes:
        """The file of these pages."""
        return msgspec.msgpack.encode(KeptTempos(FORMAT, self.venue, self._faded, pages))

    def read(self, data: bytes) -> None:
        """Take in what was kept, in place of what is known of the same words. Raises UnreadableTempos, and then has
        taken in nothing."""
        try:
            kept = _KEPT.decode(data)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            raise UnreadableTempos(str(error)) from None
        if kept.format != FORMAT:
            raise UnreadableTempos(f"it is of format {kept.format}, and this is {FORMAT}")
        if kept.venue != self.venue:
            raise UnreadableTempos("it is of another venue")
        if sum(len(words) for _, words in kept.instruments) > MAX_WORDS:
            raise UnreadableTempos(f"it has more than {MAX_WORDS} words")
        for symbol, words in kept.instruments:
            for word, rows in words.items():
                self._put(symbol, word, Tempo.of_rows(self.rules, rows))
        self._faded = kept.faded

    def _put(self, symbol: str, word: str, tempo: Tempo) -> None:
        words = self._tempos.get(symbol) or {}
        if word in words or self._count < MAX_WORDS:
            self._count += word not in words
            self._tempos.setdefault(symbol, words)[word] = tempo
