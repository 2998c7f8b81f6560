"""What is said of the thresholds of rules about sizes; tests/commands/test_check.py has the lines themselves."""

from __future__ import annotations

import pytest

from feedbus.actors.alerting.actor import Options
from feedbus.alerts import Rule
from feedbus.commands.rule_notes import rule_notes
from feedbus.config import BusConfig, Config, FeedConfig


def said(rule: Rule, *used: str) -> list[str]:
    feeds = tuple(
        FeedConfig(name=f"{venue}{number}", venue=venue, url="", symbols=()) for number, venue in enumerate(used)
    )
    return rule_notes(Config("test", BusConfig("inproc://x"), feeds, {"alerting": Options(rules=(rule,))}))


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
        (Rule("stale"), ["rule stale: fires while the status of an instrument is stale"]),
        (
            Rule("stale", 2.5, name="old"),
            ["rule old: fires while the status of an instrument is stale, and when one has had no data for 2.5 s"],
        ),
        (
            Rule("not_live"),
            ["rule not_live: fires while an instrument is unsubscribed, resyncing, gapped or stale"],
        ),
        (Rule("not_live", states=("quiet",)), ["rule not_live: fires while an instrument is quiet"]),
    ],
)
def test_only_the_venues_that_a_rule_may_be_about_are_named(rule: Rule, expected: list[str]) -> None:
    assert said(rule, "moex", "alor", "moex") == expected


def test_a_venue_that_names_no_unit_has_its_own() -> None:
    assert said(Rule("large_trade", 5, of="notional"), "unheard-of") == [
        "rule large_trade: its threshold 5 counts price times the venue's unit of size on unheard-of"
    ]
