"""Which alerts are firing."""

import pytest

from feedbus.schema.events import Alert
from feedbus.table import alert_table
from feedbus.table.alert_table import AlertTable, AlertView


def alert(state: str, symbol: str = "A", at: int = 1, rule: str = "stale", severity: str = "warning") -> Alert:
    return Alert("moex", symbol, 0, at, rule, severity, state, None, "")  # type: ignore[arg-type]


def firing(made: AlertTable) -> str | None:
    view = made.view()
    return None if view is None else " ".join(f"{each.rule}:{each.symbol}" for each in view)


def table(*alerts: Alert) -> AlertTable:
    made = AlertTable()
    for each in alerts:
        made.add(each, "alerting")
    return made


@pytest.mark.parametrize(
    ("alerts", "shown"),
    [
        ([], None),
        ([alert("firing")], "stale:A"),
        ([alert("firing"), alert("resolved")], ""),
        ([alert("resolved")], ""),
        ([alert("firing"), alert("firing")], "stale:A"),
        ([alert("firing"), alert("firing", rule="jump", at=2), alert("resolved")], "jump:A"),
        ([alert("firing"), alert("firing", "B", at=2)], "stale:B stale:A"),
        ([alert("firing", severity="critical"), alert("firing", "B", at=2)], "stale:A stale:B"),
    ],
)
def test_an_alert_fires_until_it_is_resolved(alerts: list[Alert], shown: str | None) -> None:
    assert firing(table(*alerts)) == shown


def test_what_it_is_about_is_said() -> None:
    assert table(alert("firing", "")).view() == [AlertView("stale", "warning", "moex", "")]


def test_a_new_life_of_a_publisher_ends_its_alerts_alone() -> None:
    made = table(alert("firing"), alert("firing", "B"))
    made.add(alert("firing", "C"), "mine")
    made.restarted("moex")
    assert len(made.view() or []) == 3
    made.restarted("alerting")
    assert firing(made) == "stale:C"


def test_alerts_beyond_the_limit_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_table, "MAX_ALERTS", 1)
    made = table(alert("firing"), alert("firing", "B"), alert("firing"), alert("resolved", "B"))
    assert (firing(made), made.not_shown) == ("stale:A", 1)
