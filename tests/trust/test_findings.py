from __future__ import annotations

from feedbus.schema.events import TRUST_REASONS
from feedbus.trust.findings import Finding, LossCounts


def test_the_totals_are_all_of_them_and_begin_at_nothing() -> None:
    counts = LossCounts()
    counts.trades_lost += 3
    assert counts.totals() == {name: 3 if name == "trades_lost" else 0 for name in LossCounts.__slots__}


def test_a_finding_says_nothing_of_what_it_is_not_about() -> None:
    found = Finding("gapped", "hole", "")
    assert (found.lost, found.refuse, found.words) == (None, False, ())
    assert {"hole", "counters", "crossed", "audit"} <= TRUST_REASONS.keys()
