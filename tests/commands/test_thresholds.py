"""What is said of the thresholds of rules about sizes; tests/commands/test_check.py has the lines themselves."""

from __future__ import annotations

import pytest

from feedbus.actors.alerting.actor import Options
from feedbus.alerts import Rule
from feedbus.commands.thresholds import threshold_units
from feedbus.config import BusConfig, Config, FeedConfig


def said(rule: Rule, *used: str) -> list[str]:
    feeds = tuple(
        FeedConfig(name=f"{venue}{number}", venue=venue, url="", symbols=()) for number, venue in enumerate(used)
    )
    return threshold_units(Config("test", BusConfig("inproc://x"), feeds, {"alerting": Options(rules=(rule,))}))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule("large_trade", 1e7), ["rule large_trade: its threshold 10000000 counts lots on alor and moex"]),
        (
            Rule("large_trade", 5, symbols=("alor:*", "moex:A")),
            ["rule large_trade: its threshold 5 counts lots on alor and moex"],
        ),
        (
            Rule("large_trade", 5, symbols=("moex:*", "A")),
            ["rule large_trade: its threshold 5 counts lots on alor and moex"],
        ),
        (Rule("large_trade", 5, symbols=("moex:*",)), ["rule large_trade: its threshold 5 counts lots on moex"]),
        (Rule("large_trade", 5, symbols=("binance:*",)), []),
        (Rule("volume_spike", 5), []),
    ],
)
def test_only_the_venues_that_a_rule_may_be_about_are_named(rule: Rule, expected: list[str]) -> None:
    assert said(rule, "moex", "alor", "moex") == expected


def test_a_venue_that_names_no_unit_has_its_own() -> None:
    assert said(Rule("large_trade", 5, of="notional"), "unheard-of") == [
        "rule large_trade: its threshold 5 counts price times the venue's unit of size on unheard-of"
    ]
