"""What a venue lists. It is fetched from the venue, and for a feed whose symbols are chosen from it, it is read from a
copy on disk when the venue can't be reached.

The copy, one file for each feed, holds the venue's own answers. They are read by the same code as answers from the
network, so that a damaged copy is rejected like a bad answer.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import trio

from feedbus.config.files import read_regular
from feedbus.errors import BadData, TimedOut, VenueError
from feedbus.feed.replaced_file import replace_file
from feedbus.schema.events import Instrument
from feedbus.text import time_span
from feedbus.venues.listings import Listing, Lists, Selection, selected
from feedbus.venues.protocol import Fetch, FetchResponse

LIST_WITHIN = 60.0  # seconds in which all pages of a list must have come
MAX_ANSWERS = 1000  # pages of a list
MAX_COPY = 64 * 1024 * 1024  # bytes of a copy on disk

FORMAT = 1  # the version of the copy's format


Get = Callable[[Fetch], Awaitable[FetchResponse]]
"""Asks the venue, and returns its answer. Raises VenueError. It is the Fetcher's, so every request is counted, goes
through the same proxy, and waits while the venue wants a pause."""


class Listed(msgspec.Struct, frozen=True):
    """What a venue lists. `symbols` are those that are wanted of it; `unlistable` are wanted ones that the venue can't
    be asked for. `age` is the age of the list in seconds, 0 when it has just been fetched. `gap` is why a part of it is
    missing, None when it is whole."""

    symbols: tuple[str, ...]
    from_cache: bool
    age: float
    instruments: tuple[Instrument, ...] = ()
    unlistable: frozenset[str] = frozenset()
    gap: BadData | None = None


class _KeptResponse(msgspec.Struct, frozen=True):
    path: str
    status: int
    body: str


class _Copy(msgspec.Struct, frozen=True):
    """The copy on disk. It may be used only for the same venue, address and boards."""

    format: int
    venue: str
    rest: str
    boards: list[str]
    fetched_ns: int
    answers: list[_KeptResponse]


async def symbols_of(
    account: Lists,
    selection: Selection,
    *,
    rest: str,
    get: Get,
    cache_dir: str | Path,
    name: str,
    use_copy: bool = True,
    wall_ns: Callable[[], int] = time.time_ns,
) -> Listed:
    """What the venue lists, and the symbols of it that meet the selection.

    `rest` is the base URL of the venue's REST service, and `get` asks it. The copy in `cache_dir` has the name of the
    feed, `name`. Raises VenueError when the venue gives no list, or none that anything is selected of, and there is no
    usable copy, or `use_copy` is False; the caller should try again later.
    """
    log = logging.getLogger(f"feedbus.{name}")
    path = Path(cache_dir) / f"{name}.listing.json"
    asked = _Copy(FORMAT, account.venue, rest, list(selection.boards), wall_ns(), [])
    try:
        listing, answers = await _fetch(account.listing(selection), rest, get)
        found = _chosen(listing, selection, rest, log)
    except VenueError as error:
        if not use_copy:
            raise
        kept = await trio.to_thread.run_sync(_read, path, asked, log, abandon_on_cancel=True)
        replayed = None if kept is None else _replay(account.listing(selection), kept, selection, path, log)
        if kept is None or replayed is None:
            raise
        age = max(0.0, (wall_ns() - kept.fetched_ns) / 1e9)
        log.warning(
            "no list of symbols from the venue (%s: %s); using the copy, %s old", error.cause, error, time_span(age)
        )
        return msgspec.structs.replace(replayed, from_cache=True, age=age)
    copy = msgspec.structs.replace(asked, answers=answers)
    await trio.to_thread.run_sync(_write, path, copy, log, abandon_on_cancel=True)
    return found


async def instruments_of(account: Lists, symbols: Sequence[str], *, rest: str, get: Get, name: str) -> Listed:
    """What the venue lists where these symbols are, and those of them that it lists.

    Where one answer can't be used, as that of one board among several, the others are used all the same. Raises
    VenueError when there is none.
    """
    gaps: list[BadData] = []
    listing, _ = await _fetch(account.listing_of(symbols), rest, get, gaps)
    _log_problems(listing, logging.getLogger(f"feedbus.{name}"))
    instruments = tuple(listing.instruments())
    listed = {each.symbol for each in instruments}
    found = tuple(symbol for symbol in symbols if symbol in listed)
    if gaps and not instruments:
        raise gaps[0]
    unlistable, gap = frozenset(listing.unlistable()), gaps[0] if gaps else None
    return Listed(found, from_cache=False, age=0.0, instruments=instruments, unlistable=unlistable, gap=gap)


async def _fetch(
    listing: Listing, rest: str, get: Get, gaps: list[BadData] | None = None
) -> tuple[Listing, list[_KeptResponse]]:
    """Ask the venue for all pages. Returns the list and the answers, for the copy. Raises VenueError. With `gaps` an
    answer that can't be used is put there, and the others are asked for all the same.
    """
    answers: list[_KeptResponse] = []
    with trio.move_on_after(LIST_WITHIN):
        todo = deque(listing.requests())
        while todo:
            fetch = todo.popleft()
            got = await get(fetch)
            try:
                todo.extend(listing.fetched(fetch, got.status, got.body, got.ts_recv))
            except BadData as error:
                if gaps is None:
                    raise
                gaps.append(error)
            answers.append(_KeptResponse(fetch.path, got.status, got.body.decode(errors="replace")))
            if len(answers) + len(todo) > MAX_ANSWERS:
                raise BadData(rest, f"a list of more than {MAX_ANSWERS} pages")
        listing.instruments()
        return listing, answers
    raise TimedOut(f"{rest}: no whole list within {LIST_WITHIN:g} s")


def _replay(listing: Listing, kept: _Copy, selection: Selection, path: Path, log: logging.Logger) -> Listed | None:
    """What the answers of the copy give; None when they no longer give a complete list."""
    answers = {answer.path: answer for answer in kept.answers}
    todo: deque[Fetch] = deque(listing.requests())
    try:
        while todo:
            fetch = todo.popleft()
            answer = answers.pop(fetch.path, None)
            if answer is None:
                raise BadData(str(path), f"it has no answer to {fetch.path}")
            todo.extend(listing.fetched(fetch, answer.status, answer.body.encode(), kept.fetched_ns))
        return _chosen(listing, selection, str(path), log)
    except VenueError as error:
        log.warning("the copy of the list of symbols can't be used: %s", error)
        return None


def _chosen(listing: Listing, selection: Selection, place: str, log: logging.Logger) -> Listed:
    """The listed symbols that meet the selection. What is odd about the list is logged. Raises BadData when it is none,
    or when nothing of it meets the selection."""
    instruments = tuple(listing.instruments())
    symbols = tuple(selected(instruments, listing.turnovers(), selection))
    if not symbols:
        raise BadData(place, f"{len(instruments)} symbols are listed, and none of them is {selection}")
    _log_problems(listing, log)
    for count, what in ((selection.top, "top"), (selection.sample, "sample of")):
        if count is not None and len(symbols) < count:
            log.warning("%d symbols are listed, fewer than the %s %d", len(symbols), what, count)
    if selection.sample is not None:
        symbols = sampled(symbols, selection.sample)
    return Listed(symbols, from_cache=False, age=0.0, instruments=instruments)


def _log_problems(listing: Listing, log: logging.Logger) -> None:
    for problem in listing.problems():
        log.warning("%s", problem)


def sampled(symbols: Sequence[str], count: int) -> tuple[str, ...]:
    """At most `count` of the symbols, in their order: those whose digests (BLAKE2b) are the smallest.

    So every host chooses the same ones, and when the list changes a little, the sample changes only a little.
    """
    least = set(sorted(symbols, key=lambda symbol: hashlib.blake2b(symbol.encode(), digest_size=16).digest())[:count])
    return tuple(symbol for symbol in symbols if symbol in least)


# The copy on disk


def _read(path: Path, asked: _Copy, log: logging.Logger) -> _Copy | None:
    """The copy on disk; None when there is none or it can't be used for what is asked now."""
    try:
        raw = read_regular(path, MAX_COPY + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("the copy of the list of symbols can't be read: %s: %s", path, error.strerror)
        return None
    try:
        if len(raw) > MAX_COPY:
            raise ValueError(f"over {MAX_COPY} bytes")
        kept = msgspec.json.decode(raw, type=_Copy)
    except (ValueError, RecursionError) as error:
        log.warning("the copy of the list of symbols can't be used: %s: %s", path, error)
        return None
    if _question(kept) != _question(asked):
        log.warning("the copy of the list of symbols can't be used: %s: it is for another venue or other boards", path)
        return None
    return kept


def _question(copy: _Copy) -> tuple[int, str, str, list[str]]:
    return copy.format, copy.venue, copy.rest, copy.boards


def _write(path: Path, copy: _Copy, log: logging.Logger) -> None:
    """Replace the copy in one step, so that a reader sees either the old or the new one.

    A failure is only logged: the feed has its list, and runs without a copy.
    """
    try:
        replace_file(path, msgspec.json.encode(copy))
    except OSError as error:
        log.warning("the list of symbols can't be kept: %s: %s", path, error.strerror or error)
