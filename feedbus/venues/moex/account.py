"""The MOEX account: credentials, channels, and the rules for symbols and boards. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from feedbus.errors import ConfigError
from feedbus.trust.evidence import Evidence
from feedbus.trust.phases import Phase
from feedbus.venues import trading_days, trading_sessions
from feedbus.venues.boards import SHARES_AND_FUNDS
from feedbus.venues.listings import Selection
from feedbus.venues.moex.candles import PERIODS, NewestBars
from feedbus.venues.moex.channels import CHANNELS, EVIDENCE, KINDS, USUAL
from feedbus.venues.moex.listing import MoexListing, board_problem, boards_of, pattern_of_symbols_problem
from feedbus.venues.moex.session import GUEST, PUBLIC, Session, mask_of
from feedbus.venues.moex.symbols import symbol_problem
from feedbus.venues.moex.tables import VENUE
from feedbus.venues.protocol import OpenAccount, Subscription, check_credentials, chosen_channels
from feedbus.venues.trading_sessions import Calendar

TRADING_STATUSES: Mapping[str, Phase] = {
    "T": "trading",
    **dict.fromkeys("NC", "closed"),  # not available for trading, closed
    "B": "halted",  # a break, which no calendar has
    # The periods of opening and closing, the auctions of both and their parts, a discrete auction, trading at the
    # closing price, large blocks.
    **dict.fromkeys("OFSLAabpIED", "auction"),
}
"""What the values of TRADINGSTATUS mean. Source: TTradingStatus in metadata.json of https://moexalgo.github.io."""


class Account(OpenAccount):
    """Credentials, channels, and the rules for symbols, shared by all connections. The venue publishes no limits."""

    venue = VENUE
    subprotocols: Sequence[str] = ("STOMP",)
    services: Mapping[str, str] = {"rest": "https://iss.moex.com"}
    units: Mapping[str, str] = {"trades": "lots", "ticker": "securities"}
    # TRADINGSTATUS: not available for trading, closed, break.
    closed_statuses: Collection[str] = frozenset("NCB")
    phases: Mapping[str, Phase] = TRADING_STATUSES
    public: Collection[str] = PUBLIC
    continuous_statuses: Collection[str] = frozenset("T")
    kinds: Mapping[str, Sequence[str]] = KINDS
    evidence: Mapping[str, Evidence] = EVIDENCE
    bar_periods: Mapping[str, int] = PERIODS

    def __init__(
        self,
        credentials: Mapping[str, str],
        channels: Sequence[str],
        options: msgspec.Struct | None = None,  # noqa: ARG002 - there are none
    ) -> None:
        check_credentials(credentials, tuple(GUEST))
        _check_together(credentials)
        self._credentials = {**GUEST, **credentials}
        self._mask = mask_of(self._credentials)
        self.channels = chosen_channels(channels, CHANNELS, USUAL)
        self.status_words = ("ticker",) if "securities" in self.channels else ()
        self._newest_bars: dict[Subscription, NewestBars] = {}

    @staticmethod
    def trading_day(time: int) -> int:
        """The trading day of the Moscow Exchange."""
        return trading_days.moscow(time)

    def calendar(self, symbol: str) -> Calendar:
        """The hours of shares and funds, or those of everything else on the exchange."""
        is_share = symbol.partition(".")[0] in SHARES_AND_FUNDS
        return trading_sessions.moscow_shares if is_share else trading_sessions.moscow_others

    def clean(self, text: str) -> str:
        """The text without our credentials, unless they are the guest's, which everybody knows."""
        return self._mask.hide(text)

    def check_symbol(self, symbol: str) -> str | None:
        """Returns why this symbol can't be subscribed, or None when it can."""
        return symbol_problem(symbol)

    @staticmethod
    def check_board(board: str) -> str | None:
        """Why the instruments of this board can't be listed, or None."""
        return board_problem(board)

    @staticmethod
    def check_pattern(pattern: str) -> str | None:
        """Why the instruments that match this pattern can't be listed, or None."""
        return pattern_of_symbols_problem(pattern)

    @staticmethod
    def check_selection(selection: Selection) -> str | None:
        """Why this can't be listed, or None: ISS is asked by board."""
        if boards_of(selection):
            return None
        return f"on {VENUE} the boards are needed besides, as in {{boards: [TQBR], …}}"

    def listing(self, selection: Selection) -> MoexListing:
        """A new question for what the boards of a selection list."""
        return MoexListing(boards_of(selection), turnover=selection.top is not None)

    def listing_of(self, symbols: Sequence[str]) -> MoexListing:
        """A new question for what the boards of these symbols list."""
        return MoexListing((), symbols=symbols)

    def session(self, symbols: Sequence[str]) -> Session:
        """A new conversation about these symbols."""
        return Session(self._credentials, self.channels, symbols, self._newest_bars)


def _check_together(credentials: Mapping[str, str]) -> None:
    """Raises ConfigError for credentials of which a part is the guest's and another isn't: the venue would refuse the
    login. Those of the guest are DEMO, guest, guest, and those of an account of passport.moex.com are its own three.
    """
    own = {name for name, value in credentials.items() if value != GUEST[name]}
    missing = [name for name in GUEST if name not in own]
    if not own or not missing:
        return
    if missing == ["domain"]:
        raise ConfigError(
            f"credentials: the domain {GUEST['domain']} takes only the guest's login: did you mean domain: passport "
            "(where the file takes it from MOEX_DOMAIN, set that)?"
        )
    lacking = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing, or the guest's"
    own_or_none = "an account of your own has domain, login and passcode, and the guest needs none of them"
    raise ConfigError(f"credentials: {lacking}: {own_or_none}")
