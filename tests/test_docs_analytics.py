"""docs/analytics.md names the options, fields and counters that there are, with their defaults."""

from __future__ import annotations

import re

import msgspec

from feedbus import venues
from feedbus.analytics.aggregates import Aggregates
from feedbus.analytics.options import IndicatorOptions, Options
from feedbus.schema.events import Bar, BookMetrics, MarketEvent
from tests.places import DOCS

TEXT = (DOCS / "analytics.md").read_text()


def section(title: str) -> str:
    """The text under a heading, up to the next one."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


def rows(text: str) -> list[list[str]]:
    """The cells of the tables' rows, heads among them."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def names(text: str) -> set[str]:
    """The names in backquotes in the first cells."""
    return {name for row in rows(text) for name in re.findall(r"`(\w+)`", row[0])}


def test_the_options_are_named_with_their_usual_values() -> None:
    found = {row[0].strip("`"): row[1].strip("`") for row in rows(section("Options"))[2:]}
    usual = msgspec.to_builtins(Options())
    assert set(found) == set(usual)
    for name, written in found.items():
        if name == "indicators":
            pairs = re.findall(r"name: (\w+), window: (\d+)", written)
            assert tuple(IndicatorOptions(of, int(window)) for of, window in pairs) == Options().indicators
        else:
            assert msgspec.json.decode(written) == msgspec.json.decode(msgspec.json.encode(usual[name])), name


def test_every_field_of_what_is_published_is_said() -> None:
    common = set(MarketEvent.__struct_fields__)
    bars = set(Bar.__struct_fields__) - common - {"source", "period_s", "start"}
    assert names(section("Bars")) == bars
    assert names(section("Book metrics")) == set(BookMetrics.__struct_fields__) - common
    assert names(section("Indicators")) == {"sma", "ema"}


def test_every_counter_is_named() -> None:
    counts = Aggregates(Options(), venues.trading_day).counts()
    assert set(re.findall(r"`(\w+)`", section("What it counts"))) == set(counts)
