"""The request weight of the simulated Binance: what a minute allows, and who is banned."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from feedbus.sim.binance.weights import MILLISECOND_NS, MINUTE_NS, REFUSED_BEFORE_BAN, SECOND_NS, UsedWeight

NOW = 3 * MINUTE_NS + 14_500_000_000


def budget(limit: int = 10, ban_s: float = 90.0) -> tuple[UsedWeight, list[str]]:
    bans: list[str] = []
    return UsedWeight(limit, ban_s, lambda: bans.append("ban")), bans


@given(weights=st.lists(st.integers(1, 300), max_size=40), limit=st.integers(1, 1000))
def test_a_minute_is_counted_and_the_first_request_beyond_the_limit_is_refused(weights: list[int], limit: int) -> None:
    it, _ = budget(limit)
    used = 0
    for weight in weights:
        refused = it.spend(weight, NOW)
        if refused is not None and refused.status == 418:
            break
        used += weight
        assert (refused is None) == (used <= limit)
        assert it.used == it.heaviest == used


def test_the_next_minute_begins_at_nothing_and_the_heaviest_is_remembered() -> None:
    it, _ = budget()
    refused = [it.spend(8, NOW), it.spend(8, NOW)][1]
    assert refused is not None
    assert (refused.status, refused.retry_after_s) == (429, 46)
    assert it.spend(8, NOW + refused.retry_after_s * SECOND_NS) is None
    assert (it.used, it.heaviest) == (8, 16)


def test_who_goes_on_asking_is_banned_for_a_time() -> None:
    it, bans = budget()
    it.spend(10, NOW)
    answers = [it.spend(1, NOW) for _ in range(REFUSED_BEFORE_BAN + 2)]
    assert [each.status for each in answers if each] == [429] * REFUSED_BEFORE_BAN + [418] * 2
    assert (bans, it.bans) == (["ban"], 1)
    banned = it.spend(1, NOW + MINUTE_NS)
    assert banned is not None
    assert (banned.status, banned.retry_after_s) == (418, 30)
    assert str((NOW + 90 * SECOND_NS) // 1_000_000) in banned.text
    assert it.banned(NOW + 90 * SECOND_NS - 1) is not None
    assert it.spend(1, NOW + 90 * SECOND_NS) is None


@given(ban_ns=st.integers(1, 5 * SECOND_NS), asked_ns=st.integers(0, 5 * SECOND_NS))
def test_who_comes_back_when_it_was_told_to_is_let_in(ban_ns: int, asked_ns: int) -> None:
    it, _ = budget()
    it.ban(ban_ns / SECOND_NS, NOW)
    if (banned := it.banned(NOW + asked_ns)) is None:
        return
    told = re.search(r"IP banned until (\d+)\.", banned.text)
    assert told
    for back in (NOW + asked_ns + banned.retry_after_s * SECOND_NS, int(told[1]) * MILLISECOND_NS):
        assert it.spend(1, back) is None
        assert it.banned(back - SECOND_NS) is not None or back - SECOND_NS < NOW


def test_patience_in_each_minute_is_no_ban() -> None:
    it, bans = budget()
    for minute in range(5):
        for _ in range(10 + REFUSED_BEFORE_BAN):
            it.spend(1, NOW + minute * MINUTE_NS)
    assert (bans, it.heaviest) == ([], 10 + REFUSED_BEFORE_BAN)


def test_what_somebody_else_uses_counts_in_each_minute_until_it_is_taken_back() -> None:
    it, _ = budget(100)
    it.spend(5, NOW)
    it.use_elsewhere(60, NOW)
    assert it.used == 65
    it.spend(5, NOW + MINUTE_NS)
    assert it.used == 65
    it.use_elsewhere(0, NOW + MINUTE_NS)
    assert (it.used, it.foreign) == (5, 0)
    it.spend(5, NOW + 2 * MINUTE_NS)
    assert it.used == 5
