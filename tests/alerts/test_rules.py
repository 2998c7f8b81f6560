"""Rules: which are refused, which instruments they apply to, and which topics they need."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.alerts.rules import MAX_RULES, WORDS, Pattern, Rule, RuleKind, check_rules, topics
from feedbus.errors import ConfigError
from feedbus.schema.topics import TopicFilter


def test_the_file_says_for_and_a_rule_is_called_as_its_kind() -> None:
    rule = msgspec.convert({"kind": "wide_spread", "threshold": 0.5, "for": 10}, Rule)
    assert (rule.name, rule.for_, rule.severity) == ("wide_spread", 10, "warning")


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ([Rule("price_jump")], "rule price_jump: threshold must be more than 0"),
        ([Rule("not_live", 5)], "rule not_live: not_live has no threshold; `states` says which states it is about"),
        ([Rule("not_live", states=("stale", "gapped", "stale"))], "rule not_live: states: one is there twice"),
        ([Rule("stale", states=("stale",))], "rule stale: states is for not_live, not for stale"),
        ([Rule("connection_down", 5)], "rule connection_down: connection_down has no threshold"),
        ([Rule("crossed_book", 5)], "rule crossed_book: crossed_book has no threshold; a book is crossed or it isn't"),
        ([Rule("crossed_book", resolve_at=1)], "rule crossed_book: resolve_at"),
        ([Rule("stale", 1), Rule("stale", 2)], "rule stale: is here twice"),
        ([Rule("stale", 1, name="a b")], "rule 1: a name has at most 64"),
        ([Rule("stale", 1, name="-")], "rule 1: a name has at most 64"),
        ([Rule("stale", 1, window=5)], "rule stale: window is for price_jump, not for stale"),
        ([Rule("large_trade", 1, for_=5)], "rule large_trade: for is for stale, not_live, connection_down, wide"),
        ([Rule("wide_spread", 1, of="notional")], "rule wide_spread: of is for large_trade"),
        ([Rule("price_jump", 1, bars=5)], "rule price_jump: bars is for volume_spike"),
        ([Rule("price_jump", 1, source="venue")], "rule price_jump: source is for volume_spike"),
        ([Rule("price_jump", 1, period_s=5)], "rule price_jump: period_s is for volume_spike"),
        ([Rule("stale", 1, symbols=("A*B",))], "rule stale: symbols: 'A\\*B' is neither SYMBOL nor PREFIX\\*"),
        ([Rule("stale", 1, symbols=("",))], "rule stale: symbols: '' is neither"),
        ([Rule("stale", 1, symbols=("moex:",))], "rule stale: symbols: 'moex:' is neither"),
        ([Rule("stale", 1, symbols=("moex:" + "A" * 300,))], "rule stale: not a topic"),
        ([Rule("stale", 1, name=f"r{n}") for n in range(MAX_RULES + 1)], "rules: at most 64"),
    ],
)
def test_rules_that_cannot_be_meant_so_are_refused_by_name(rules: list[Rule], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        check_rules(rules)


def test_rules_of_every_kind_are_taken() -> None:
    check_rules(
        [
            Rule("stale", 60, symbols=("TQBR.*", "moex:TQBR.SBER", "*")),
            Rule("stale", name="status"),
            Rule("not_live", for_=1, states=("quiet", "delayed")),
            Rule("connection_down", for_=10),
            Rule("wide_spread", 0.5, for_=1),
            Rule("crossed_book", for_=1),
            Rule("large_trade", 1e6, of="notional"),
            Rule("large_trade", 1e3, name="large_lot"),
            Rule("price_jump", 3, window=30, for_=1),
            Rule("volume_spike", 5, bars=10, period_s=300, source="venue"),
        ]
    )


@pytest.mark.parametrize(
    ("pattern", "venue", "symbol", "expected"),
    [
        ("BTCUSDT", "binance", "BTCUSDT", True),
        ("BTCUSDT", "other", "BTCUSDT", True),
        ("BTCUSDT", "binance", "BTCUSDTX", False),
        ("TQBR.*", "moex", "TQBR.SBER", True),
        ("TQBR.*", "moex", "TQTF.SBER", False),
        ("moex:TQBR.*", "moex", "TQBR.SBER", True),
        ("moex:TQBR.*", "alor", "TQBR.SBER", False),
        ("moex:TQBR.SBER", "moex", "TQBR.SBER", True),
        ("moex:TQBR.SBER", "moex", "TQBR.SBERP", False),
        ("moex:*", "moex", "", True),
        ("moex/*", "moex", "moex/3", True),
        ("MOEX:SBER", "alor", "MOEX:SBER", True),
        ("MOEX:SBER", "MOEX", "SBER", False),
    ],
)
def test_a_pattern_means_a_symbol_or_all_that_begin_alike(
    pattern: str, venue: str, symbol: str, expected: bool
) -> None:
    assert Pattern(pattern).matches(venue, symbol) is expected


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([Rule("connection_down")], ["feed"]),
        ([Rule("large_trade", 1)], ["status", "trade"]),
        ([Rule("large_trade", 1, of="notional")], ["instrument", "status", "trade"]),
        (
            [Rule("large_trade", 1, of="notional", symbols=("moex:A.B",))],
            ["instrument.moex.A.B", "status.moex.A.B", "trade.moex.A.B"],
        ),
        ([Rule("volume_spike", 2)], ["bar", "status"]),
        ([Rule("price_jump", 2)], ["feed", "status", "ticker", "trade"]),
        (
            [Rule("price_jump", 2, symbols=("moex:A.B",))],
            ["feed.moex.", "status.moex.A.B", "ticker.moex.A.B", "trade.moex.A.B"],
        ),
        ([Rule("price_jump", 2, symbols=("A.B",))], ["feed", "status", "ticker", "trade"]),
        ([Rule("wide_spread", 2)], ["book", "quote", "status", "ticker"]),
        ([Rule("crossed_book", symbols=("moex:A.B",))], ["book.moex.A.B", "status.moex.A.B"]),
        ([Rule("stale")], ["status"]),
        ([Rule("stale", 2)], ["book", "quote", "status", "ticker", "trade"]),
        ([Rule("not_live", symbols=("moex:A.B", "moex:A.*"))], ["status.moex.A.", "status.moex.A.B"]),
        ([Rule("not_live", symbols=("A",))], ["status"]),
        ([Rule("not_live", symbols=("moex:A.B*",))], ["status.moex.A."]),
        ([Rule("not_live", symbols=("moex:A*",))], ["status.moex."]),
        ([Rule("large_trade", 1, symbols=("moex:A",)), Rule("price_jump", 1)], ["feed", "status", "ticker", "trade"]),
    ],
)
def test_what_is_subscribed_to_is_what_the_rules_need(rules: list[Rule], expected: list[str]) -> None:
    assert topics(rules) == expected


KINDS: list[Any] = sorted(WORDS)
symbols = st.text("AB.", min_size=1, max_size=4)
patterns = st.builds(
    lambda venue, symbol, star: f"{venue}{symbol}{star}",
    st.sampled_from(["", "x:"]),
    symbols,
    st.sampled_from(["", "*"]),
)


@given(st.sampled_from(KINDS), st.lists(patterns, max_size=3), st.sampled_from(["x", "y"]), symbols)
def test_all_that_a_rule_is_about_is_subscribed_to(kind: RuleKind, listed: list[str], venue: str, symbol: str) -> None:
    rule = Rule(kind, 1, symbols=tuple(listed))
    about = not listed or any(Pattern(text).matches(venue, symbol) for text in listed)
    subscribed = TopicFilter(topics([rule]))
    for word in (*WORDS[kind], *["status"] * (kind != "connection_down")):
        assert subscribed.matches(word, venue, symbol) or not about
