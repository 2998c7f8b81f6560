"""The alerts that are firing. Pure.

An alert fires until an Alert event says that it is resolved, or until its publisher is restarted: a new publisher
doesn't know which alerts the old one left firing, and announces again whatever is still wrong.
"""

from __future__ import annotations

import msgspec

from feedbus.schema.events import Alert

MAX_ALERTS = 1_000
CRITICAL = "critical"


class AlertView(msgspec.Struct, frozen=True):
    """An alert that is firing. `symbol` is "" when the alert isn't about one instrument."""

    rule: str
    severity: str
    venue: str
    symbol: str


class AlertTable:
    """Takes in Alert events, and says which alerts are firing."""

    def __init__(self) -> None:
        self.not_shown = 0
        """How many alerts were dropped because MAX_ALERTS were firing already."""
        self._firing: dict[tuple[str, str, str, str], Alert] = {}
        self._any = False

    def add(self, alert: Alert, publisher: str) -> None:
        """Take in an Alert event of this publisher."""
        self._any = True
        key = (publisher, alert.venue, alert.symbol, alert.rule)
        if alert.state == "resolved":
            self._firing.pop(key, None)
        elif key in self._firing or len(self._firing) < MAX_ALERTS:
            self._firing[key] = alert
        else:
            self.not_shown += 1

    def restarted(self, publisher: str) -> None:
        """Forget the alerts of a publisher that was restarted."""
        self._firing = {key: alert for key, alert in self._firing.items() if key[0] != publisher}

    def view(self) -> list[AlertView] | None:
        """The alerts that are firing, critical ones first, then the newest first; None when no alert has ever come."""
        if not self._any:
            return None
        firing = sorted(self._firing.values(), key=lambda alert: (alert.severity != CRITICAL, -alert.ts_recv))
        return [AlertView(alert.rule, alert.severity, alert.venue, alert.symbol) for alert in firing]
