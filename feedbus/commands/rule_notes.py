"""What rules of alerting count and wait for, where their keys alone don't tell: for the operator to read at the start
and in `feedbus check`.

Venues count sizes in different units: on MOEX and ALOR a size is in lots, on Binance in base units. A notional value is
an amount of money on all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feedbus import venues
from feedbus.actors.alerting.actor import Options
from feedbus.alerts.rules import Pattern, Rule
from feedbus.config import Config
from feedbus.text import plain_decimal


def rule_notes(config: Config) -> list[str]:
    """Returns a line for each rule of the kind large_trade: what its threshold counts at each of the venues that it may
    be about; and one for each rule that judges statuses: when it fires."""
    used = sorted({feed.venue for feed in config.feeds})
    rules = [rule for options in config.actors.values() if isinstance(options, Options) for rule in options.rules]
    return [line for rule in rules for line in _notes(rule, used)]


def _notes(rule: Rule, used: list[str]) -> Iterator[str]:
    if rule.kind == "large_trade":
        yield from _counts(rule, used)
    elif rule.kind == "not_live":
        yield f"rule {rule.name}: fires while an instrument is {_either(rule.states)}"
    elif rule.kind == "stale":
        bound = f", and when one has had no data for {plain_decimal(rule.threshold)} s" if rule.threshold else ""
        yield f"rule {rule.name}: fires while the status of an instrument is stale{bound}"


def _counts(rule: Rule, used: list[str]) -> Iterator[str]:
    of_venues = {pattern.venue for pattern in map(Pattern, rule.symbols)}
    concerned = [venue for venue in used if not of_venues or "" in of_venues or venue in of_venues]
    by_unit: dict[str, list[str]] = {}
    for venue in concerned:
        by_unit.setdefault(venues.units(venue).get("trades", "the venue's unit of size"), []).append(venue)
    counted = [f"{_what(rule, unit)} on {' and '.join(of)}" for unit, of in by_unit.items()]
    if counted:
        yield f"rule {rule.name}: its threshold {plain_decimal(rule.threshold)} counts {', '.join(counted)}"


def _what(rule: Rule, unit: str) -> str:
    if rule.of == "size":
        return unit
    return f"price times {unit} times what a lot holds" if unit == "lots" else f"price times {unit}"


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))
