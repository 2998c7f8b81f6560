from __future__ import annotations

from feedbus.trust.market_phase import MarketPhase


def test_without_statuses_trading_is_continuous_whatever_is_said() -> None:
    phase = MarketPhase(())
    phase.said("HALT")
    assert phase.continuous is True


def test_nothing_is_known_until_the_venue_says_it_and_nothing_said_changes_nothing() -> None:
    phase = MarketPhase({"T"})
    assert phase.continuous is None
    seen: list[bool | None] = []
    for status in (None, "T", None, "S", "T"):
        phase.said(status)
        seen.append(phase.continuous)
    assert seen == [None, True, True, False, True]
