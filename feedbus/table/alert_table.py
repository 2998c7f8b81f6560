"""The alerts that are firing. Pure.

One fires from its Alert on until it is resolved, or until its publisher begins a new life: that one knows nothing of
the alerts of the old one, and says again what is still amiss.
"""

from __future__ import annotations

import msgspec

from feedbus.schema.events import Alert

MAX_ALERTS = 1_000
CRITICAL = "critical"


class AlertView(msgspec.Struct, frozen=True):
    """One alert that is firing. The symbol is "" when it is about no instrument."""

    rule: str
    severity: str
    venue: str
    symbol: str


class AlertTable:
    """Alert events in, what is firing out."""

    def __init__(self) -> None:
        self.not_shown = 0
        """Alerts beyond MAX_ALERTS."""
        self._firing: dict[tuple[str, str, str, str], Alert] = {}
        self._any = False

    def add(self, alert: Alert, publisher: str) -> None:
        """Take in what a publisher says of one."""
        self._any = True
        key = (publisher, alert.venue, alert.symbol, alert.rule)
        if alert.state == "resolved":
            self._firing.pop(key, None)
        elif key in self._firing or len(self._firing) < MAX_ALERTS:
            self._firing[key] = alert
        else:
            self.not_shown += 1

    def restarted(self, publisher: str) -> None:
        """A publisher has begun a new life."""
        self._firing = {key: alert for key, alert in self._firing.items() if key[0] != publisher}

    def view(self) -> list[AlertView] | None:
        """What is firing: critical ones first, and the newest first among equals. None when no alert ever came."""
        if not self._any:
            return None
        firing = sorted(self._firing.values(), key=lambda alert: (alert.severity != CRITICAL, -alert.ts_recv))
        return [AlertView(alert.rule, alert.severity, alert.venue, alert.symbol) for alert in firing]
