"""The checks of one feed: its limits, the ways to its addresses, what its venue lists, and one connection on trial. May
touch the network.

They are made in this order, and each that depends on one that failed is skipped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from feedbus.config import FeedConfig
from feedbus.doctor import network, venue_list
from feedbus.doctor.findings import Section, skipped
from feedbus.doctor.limits import of_limits
from feedbus.doctor.network import Way
from feedbus.doctor.patience import Patience
from feedbus.doctor.trial import on_trial
from feedbus.doctor.trial_checks import TrialChecks
from feedbus.doctor.venue_list import ListOutcome
from feedbus.doctor.words import shown_url
from feedbus.transport import Dial, DialOptions
from feedbus.venues import account_class
from feedbus.venues.protocol import Account

MakeDial = Callable[[FeedConfig], tuple[Dial, DialOptions]]
"""Makes the transport of a feed, as the service does."""

AFTER_LOGIN = ("subscription", "data")
"""What is checked of each channel."""


class FeedChecks:
    """The checks of one feed, whose findings are added to a section."""

    def __init__(
        self, feed: FeedConfig, section: Section, patience: Patience, make_dial: MakeDial, *, cache_dir: str
    ) -> None:
        self._feed = feed
        self._section = section
        self._patience = patience
        self._make_dial = make_dial
        self._cache_dir = cache_dir
        self._account: Account = account_class(feed.venue)(feed.credentials, feed.channels, feed.options)
        self._services = {**self._account.services, **feed.services()}

    async def run(self) -> None:
        """Make all checks."""
        self._section.add(of_limits(self._feed, self._account))
        ways = await self._ways()
        listed = await self._list(ways)
        broken = {url: way.broken for url, way in ways.items() if way.broken}
        # An account asks its token service before it connects; its REST service isn't needed for that.
        needed = [self._feed.url, *(url for name, url in self._services.items() if name != "rest")]
        if listed is not None and listed.finding.verdict == "failed" and listed.symbol is None:
            self._skip("the symbols are chosen from the venue's list, which didn't come")
        elif (first := next((url for url in needed if url in broken), None)) is not None:
            self._skip(f"{broken[first]} {shown_url(first)} failed")
        else:
            await self._trial(listed)

    async def _ways(self) -> dict[str, Way]:
        """The ways to all addresses that the feed uses."""
        is_asked = venue_list.is_asked(self._feed, self._account)
        urls = dict.fromkeys([self._feed.url])
        urls |= dict.fromkeys(url for name, url in self._services.items() if name != "rest" or is_asked)
        ways: dict[str, Way] = {}
        async with trio.open_nursery() as nursery:
            for url in urls:
                nursery.start_soon(self._way, url, ways)
        for url in urls:
            self._section.add(*ways[url].findings)
        return ways

    async def _way(self, url: str, ways: dict[str, Way]) -> None:
        ways[url] = await network.way_to(url, self._feed.proxies, self._feed.ca_file, self._patience)

    async def _list(self, ways: dict[str, Way]) -> ListOutcome | None:
        """Ask the venue what it lists. Returns None where it isn't asked."""
        rest = self._services.get("rest", "")
        if not venue_list.is_asked(self._feed, self._account):
            self._section.add(skipped("list", "this server isn't the venue's own, or the venue lists nothing"))
            return None
        if ways[rest].broken:
            finding = skipped("list", f"{ways[rest].broken} {shown_url(rest)} failed")
            found = ListOutcome(finding, self._feed.symbols[0] if self._feed.symbols else None)
        else:
            args = (self._services, self._cache_dir, self._patience.listing)
            found = await venue_list.ask(self._feed, self._account, *args)
        self._section.add(found.finding)
        return found

    async def _trial(self, listed: ListOutcome | None) -> None:
        symbol = self._feed.symbols[0] if listed is None else listed.symbol
        if symbol is None:
            self._skip("there is no symbol to try")
            return
        dial, options = self._make_dial(self._feed)
        async with on_trial(self._feed, symbol, dial, options) as (watch, feed):
            self._section.clean = feed.clean
            nearest = () if listed is None else listed.nearest
            await TrialChecks(self._feed, self._account, watch, self._section, self._patience, nearest).run()
        for text in watch.texts:
            self._section.note(text)

    def _skip(self, because: str) -> None:
        """The trial isn't made, for this reason."""
        has_account = any(name != "rest" for name in self._services)
        checks: Sequence[str] = ("account", "handshake", "login") if has_account else ("handshake", "login")
        self._section.add(*(skipped(check, because) for check in checks))
        for check in AFTER_LOGIN:
            self._section.add(*(skipped(check, because, channel) for channel in self._account.channels))
        self._section.add(skipped("delay", because))
