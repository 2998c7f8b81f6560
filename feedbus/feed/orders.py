"""What a connection's Session is to do because somebody outside wants it: symbols to take and to give up, subscriptions
to make anew, names that don't exist. It holds no more than the difference to what the Session was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from feedbus.venues.protocol import Effect, Session, Subscription


class SessionOrders:
    """The orders to the Sessions of one connection, of which one is open at a time.

    `waiting` says whether the open Session is to be called, to carry out what was ordered since.
    """

    def __init__(self) -> None:
        self.waiting = False
        self._told: dict[str, None] = {}  # the symbols that the Session knows of
        self._anew: dict[Subscription, str] = {}  # what it is to make anew, and why
        self._absent: Sequence[str] = ()  # what the venue's list doesn't have
        self._absent_is_told = True

    def begin(self, symbols: Iterable[str]) -> None:
        """A new Session begins with these symbols: it asks for all of them by itself."""
        self._told = dict.fromkeys(symbols)
        self._anew.clear()
        self._absent, self._absent_is_told, self.waiting = (), True, False

    def make_anew(self, subscriptions: Iterable[Subscription], reason: str) -> None:
        """These subscriptions, of symbols that the connection carries, are to be made anew."""
        self._anew.update(dict.fromkeys(subscriptions, reason))
        self.waiting = True

    def tell_absent(self, symbols: Sequence[str]) -> bool:
        """These are the symbols of the connection that the venue's list doesn't have. Returns False when there are
        none, as before."""
        if not symbols and not self._absent:
            return False
        self._absent, self._absent_is_told, self.waiting = symbols, False, True
        return True

    def carry_out(self, session: Session, symbols: Iterable[str], now: float) -> list[Effect]:
        """Tell the Session what was ordered since the last call: it is to have these symbols. What is given up comes
        first, to make room."""
        self.waiting = False
        wanted = dict.fromkeys(symbols)
        gone = [symbol for symbol in self._told if symbol not in wanted]
        fresh = [symbol for symbol in wanted if symbol not in self._told]
        by_reason: dict[str, list[Subscription]] = {}
        for subscription, reason in self._anew.items():
            if subscription.symbol in wanted and subscription.symbol in self._told:
                by_reason.setdefault(reason, []).append(subscription)
        self._told = wanted
        self._anew.clear()
        effects: list[Effect] = []
        if gone:
            effects += session.unsubscribe(gone, now)
        for reason, subscriptions in by_reason.items():
            effects += session.resubscribe(subscriptions, reason, now)
        if fresh:
            effects += session.subscribe(fresh, now)
        if not self._absent_is_told:
            self._absent_is_told = True
            effects += session.absent([symbol for symbol in self._absent if symbol in wanted], now)
        return effects
