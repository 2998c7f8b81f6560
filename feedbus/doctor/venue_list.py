"""What a venue lists of a feed's symbols: asked as the feed asks it, and put into words. May touch the network.

With a selection, the first symbol of the list is the one for the trial.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec
import trio

from feedbus.config import FeedConfig
from feedbus.doctor import remedies
from feedbus.doctor.findings import CheckFinding, CheckVerdict
from feedbus.doctor.words import NAMED_SHORTLY, counted, error_words, shown_url
from feedbus.errors import VenueError
from feedbus.feed.budgets import Hold
from feedbus.feed.fetching import Fetcher
from feedbus.feed.listing import Listed, instruments_of, symbols_of
from feedbus.urls import is_loopback
from feedbus.venues.listings import Lists, Names
from feedbus.venues.protocol import Account

NEAREST = 3
"""How many names are proposed for one that the venue doesn't list."""

UNLISTED = "They will never have data. Correct them in symbols, or take them out."


class ListOutcome(msgspec.Struct, frozen=True):
    """What came of the question. `symbol` is the one for the trial, None when there is none; `nearest` are names that
    are like it, where the venue doesn't list it."""

    finding: CheckFinding
    symbol: str | None
    nearest: tuple[str, ...] = ()


def is_asked(feed: FeedConfig, account: Account) -> bool:
    """Whether the feed asks its venue for its list, as feedbus/feed/instruments.py decides it."""
    is_elsewhere = feed.rest is None and is_loopback(urlsplit(feed.url).hostname or "")
    return feed.selection is not None or (isinstance(account, Lists) and not is_elsewhere)


async def ask(
    feed: FeedConfig, account: Account, services: dict[str, str], cache_dir: str, within: float
) -> ListOutcome:
    """Ask the venue for its list, which may take so many seconds. Only for a feed of which `is_asked` is true."""
    first = feed.symbols[0] if feed.symbols else None
    began = trio.current_time()
    try:
        with trio.fail_after(within):
            listed = await _listed(feed, account, services, cache_dir)
    except (VenueError, trio.TooSlowError) as error:
        late = isinstance(error, trio.TooSlowError)
        said = f"no whole list within {within:g} s" if late else error_words(error)
        remedy = remedies.of_list(error if isinstance(error, VenueError) else None, is_needed=first is None)
        verdict: CheckVerdict = "failed" if first is None else "warning"
        took = trio.current_time() - began
        return ListOutcome(CheckFinding("list", verdict, said, shown_url(services["rest"]), remedy, took), first)
    found = judged(feed, listed)
    took, where = trio.current_time() - began, shown_url(services["rest"])
    return msgspec.structs.replace(found, finding=msgspec.structs.replace(found.finding, subject=where, seconds=took))


def judged(feed: FeedConfig, listed: Listed) -> ListOutcome:
    """What a list says of the feed's symbols."""
    if feed.selection is not None:
        said = f"{counted(len(listed.symbols), 'symbol')}: {feed.selection}"
        good = CheckFinding("list", "good", said, facts={"symbols": len(listed.symbols)})
        return ListOutcome(good, listed.symbols[0] if listed.symbols else None)
    first = feed.symbols[0]
    if listed.gap is not None:
        said, remedy = f"a part of the list is missing: {listed.gap}", "Nothing is known of the rest: try again later."
        return ListOutcome(CheckFinding("list", "warning", said, "", remedy), first)
    names = {each.symbol for each in listed.instruments}
    missing = [each for each in feed.symbols if each not in names and each not in listed.unlistable]
    if not missing:
        said = f"the venue lists all that are wanted ({counted(len(feed.symbols), 'symbol')})"
        return ListOutcome(CheckFinding("list", "good", said, facts={"symbols": len(feed.symbols)}), first)
    known = Names(names)
    near = {symbol: known.nearest(symbol, NEAREST) for symbol in missing[:NAMED_SHORTLY]}
    proposed = [f"{symbol} (did you mean {' or '.join(found)}?)" if found else symbol for symbol, found in near.items()]
    more = f" and {len(missing) - len(near)} more" if len(missing) > len(near) else ""
    of = counted(len(feed.symbols), "symbol")
    said = f"the venue doesn't list {len(missing)} of {of}: {', '.join(proposed)}{more}"
    bad = CheckFinding("list", "failed", said, "", UNLISTED, facts={"missing": missing})
    return ListOutcome(bad, first, tuple(near.get(first, ())))


async def _listed(feed: FeedConfig, account: Account, services: dict[str, str], cache_dir: str) -> Listed:
    """The venue's list. Raises VenueError."""
    if not isinstance(account, Lists):
        raise TypeError(f"the venue {feed.venue} lists nothing")
    hold = Hold()
    fetcher = Fetcher(
        services,
        hold,
        rate_limited=lambda error: hold.obey(error, trio.current_time(), 0.0),
        rank=account.rank,
        ca_file=feed.ca_file,
        proxies=feed.proxies,
    )
    # A nursery would wrap the error of the venue in a group: it is raised when the nursery is closed.
    found: list[Listed | VenueError] = []
    async with trio.open_nursery() as nursery:
        await nursery.start(fetcher.run)
        try:
            found.append(await _ask(feed, account, fetcher, services["rest"], cache_dir))
        except VenueError as error:
            found.append(error)
        nursery.cancel_scope.cancel()
    if isinstance(found[0], VenueError):
        raise found[0]
    return found[0]


async def _ask(feed: FeedConfig, account: Lists, fetcher: Fetcher, rest: str, cache_dir: str) -> Listed:
    get, name = fetcher.get, feed.name
    if feed.selection is None:
        return await instruments_of(account, feed.symbols, rest=rest, get=get, name=name)
    return await symbols_of(account, feed.selection, rest=rest, get=get, cache_dir=cache_dir, name=name, use_copy=False)
