"""What a venue lists: which of it a feed wants, how a venue is asked for it, and what to say when a name isn't there.
Pure.

An Account whose venue can be asked what it lists has the methods of Lists besides its own. It makes a Listing for each
question, which is a conversation over HTTP: it says what is to be fetched, and takes the answers in.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest
from typing import Annotated, Protocol, runtime_checkable

import msgspec
from msgspec import Meta

from feedbus.schema.events import Instrument
from feedbus.venues.protocol import Account, Fetch

MAX_SELECTED = 5_000_000
MAX_PATTERN = 64
LOOKED_AT = 24
"""How many names, those that share most with a missing one, are compared with it letter by letter."""
LIKENESS = 0.6
"""How like a missing name another has to be to be proposed, from 0 to 1, as difflib measures it."""

SAME_CURRENCY = {"SUR": "RUB", "RUR": "RUB"}
"""Older codes of a currency that venues still write."""

SelectionSize = Annotated[int, Meta(ge=1, le=MAX_SELECTED)]


class Selection(msgspec.Struct, frozen=True):
    """Which of the listed symbols are wanted: those that meet everything that is given here.

    boards   the boards of the venue that list them
    pattern  patterns of symbols, of which one has to match: `*` is any text, `?` any character
    quote    the currency that their prices are in
    top      so many of them, those with the largest turnover of the last day
    sample   at most so many of them, the same ones from day to day
    """

    boards: tuple[str, ...] = ()
    pattern: tuple[str, ...] = ()
    quote: str | None = None
    top: SelectionSize | None = None
    sample: SelectionSize | None = None

    @property
    def at_most(self) -> int:
        """How many symbols there can be at most; 0 when that isn't known."""
        return min((count for count in (self.top, self.sample) if count is not None), default=0)

    def __str__(self) -> str:
        parts = [f"the {self.top} with the largest turnover"] if self.top is not None else []
        parts += [f"at most {self.sample}"] if self.sample is not None else []
        parts = parts or ["all that is listed"]
        parts += [f"on {', '.join(self.boards)}"] if self.boards else []
        parts += [f"quoted in {self.quote}"] if self.quote is not None else []
        parts += [f"like {' or '.join(self.pattern)}"] if self.pattern else []
        return " ".join(parts)


class Listing(Protocol):
    """One question about what a venue lists. Its answers may come in any order."""

    def requests(self) -> Iterable[Fetch]:
        """What is to be fetched first."""

    def fetched(self, fetch: Fetch, status: int, body: bytes, ts_recv: int) -> Iterable[Fetch]:
        """The answer to one of them, whatever its HTTP status; returns what is to be fetched next. It is complete when
        every Fetch has been answered. Raises VenueError: BadData for what is no list."""

    def instruments(self) -> Sequence[Instrument]:
        """What was listed and can be subscribed, none twice, in the venue's order. It may be more than was asked for.
        Raises BadData when what was asked for lists nothing."""

    def turnovers(self) -> Mapping[str, float]:
        """The turnover of the last day by symbol, where it was asked for."""

    def unlistable(self) -> Sequence[str]:
        """The symbols of the question that the venue can't be asked for, so that nothing is known of them."""

    def problems(self) -> Sequence[str]:
        """What an operator should know about the list, one line for each thing."""


@runtime_checkable
class Lists(Account, Protocol):
    """What an Account has besides when its venue can be asked what it lists, over its service "rest"."""

    @staticmethod
    def check_board(board: str) -> str | None:
        """Why the symbols of this board can't be listed, or None."""

    @staticmethod
    def check_pattern(pattern: str) -> str | None:
        """Why the symbols that match this pattern can't be listed, or None."""

    @staticmethod
    def check_selection(selection: Selection) -> str | None:
        """Why this can't be listed, or None. Its boards and patterns are good by themselves."""

    def listing(self, selection: Selection) -> Listing:
        """A new question for everything that the selection is made from."""

    def listing_of(self, symbols: Sequence[str]) -> Listing:
        """A new question for the instruments of these symbols. Their events have these names as their symbols."""


def selected(instruments: Sequence[Instrument], turnovers: Mapping[str, float], wanted: Selection) -> list[str]:
    """The symbols of the instruments that meet the selection, in their order. A sample isn't drawn here."""
    matches = [pattern_matcher(pattern) for pattern in wanted.pattern]
    boards = frozenset(wanted.boards)
    currency = None if wanted.quote is None else _plain(wanted.quote)
    found = [
        each.symbol
        for each in instruments
        if (not boards or is_of_board(each, boards))
        and (currency is None or (each.currency is not None and _plain(each.currency) == currency))
        and (not matches or any(match(each.symbol) for match in matches))
    ]
    if wanted.top is None:
        return found
    # Of those without any turnover the first ones are taken: the order is the venue's, and stays the same.
    first = set(nlargest(wanted.top, found, key=lambda symbol: turnovers.get(symbol, 0.0)))
    return [symbol for symbol in found if symbol in first]


def is_of_board(instrument: Instrument, boards: frozenset[str]) -> bool:
    """Whether an instrument is of one of these boards, which may be written with the market before them."""
    board = instrument.board
    return board is not None and (board in boards or instrument.symbol.rpartition(".")[0] in boards)


def _plain(currency: str) -> str:
    return SAME_CURRENCY.get(currency, currency)


def pattern_problem(pattern: str) -> str | None:
    """Why a text is no pattern of symbols on any venue, or None."""
    if not pattern or len(pattern) > MAX_PATTERN:
        return f"a pattern has 1 to {MAX_PATTERN} characters"
    if not pattern.isprintable() or " " in pattern:
        return "a pattern holds no space and no control character"
    return None


def pattern_matcher(pattern: str) -> Callable[[str], bool]:
    """A function that tells whether a symbol matches: `*` is any text, none too, and `?` is one character. It takes
    time in proportion to the lengths of both multiplied, whatever they hold.
    """

    def matches(symbol: str) -> bool:
        at = here = 0  # in the symbol, and in the pattern
        star, resumed = -1, 0  # the last `*`, and how far the symbol was when the text for it ended
        while at < len(symbol):
            if here < len(pattern) and pattern[here] == "*":
                star, resumed = here, at
                here += 1
            elif here < len(pattern) and pattern[here] in ("?", symbol[at]):
                at, here = at + 1, here + 1
            elif star >= 0:
                resumed += 1
                at, here = resumed, star + 1
            else:
                return False
        return not pattern[here:].strip("*")

    return matches


class Names:
    """Names that exist, of which the nearest to one that doesn't are found in little time: some milliseconds among ten
    thousand. Boards, exchanges and markets before a code don't count for likeness, as most names share theirs."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_code: dict[str, list[str]] = {}
        for name in names:
            self._by_code.setdefault(_parts(name)[1].upper(), []).append(name)
        self._pairs = {code: _pairs(code) for code in self._by_code}

    def nearest(self, name: str, count: int = 3) -> list[str]:
        """The names that are nearest to this one, the nearest first; none when nothing is near."""
        before, code = _parts(name)
        code = code[:MAX_PATTERN].upper()
        pairs = _pairs(code)
        shared = Counter({other: len(pairs & its) for other, its in self._pairs.items()})
        alike = [other for other, common in shared.most_common(LOOKED_AT) if common]
        found = []
        for near in difflib.get_close_matches(code, alike, count, LIKENESS):
            # Of names with the same code those of the same board come first.
            found += sorted(self._by_code[near], key=lambda other: _parts(other)[0] != before)
        return [other for other in found if other != name][:count]


def _parts(name: str) -> tuple[str, str]:
    """What is before the code in a name, and the rest of it: `TQBR.` and `SBER`, `MOEX:` and `SBER:TQBR`."""
    found = _BEFORE.match(name)
    at = found.end() if found else 0
    return name[:at], name[at:]


_BEFORE = re.compile(r"(?:[A-Za-z0-9_]+\.)+|[A-Z]+:")


def _pairs(code: str) -> frozenset[str]:
    """The pairs of neighbouring letters of a code, whose ends count too."""
    text = f"^{code}$"
    return frozenset(text[at : at + 2] for at in range(len(text) - 1))
