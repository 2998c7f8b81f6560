"""What a simulated venue takes from one address: exact counts, refusals and bans."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.sim.limits import (
    BAN_WITHIN_NS,
    CLOSED_BEFORE_BAN,
    REFUSED_BEFORE_BAN,
    SECOND_NS,
    ClientLimits,
    LimitedConversation,
    SlidingCount,
)
from feedbus.sim.seam import ServerCounters, SimOptions


class Talk(LimitedConversation):
    """Says nothing."""

    def says(self, now_ns: int) -> str:
        """The client says something. Returns how the connection ends."""
        self._is_over(now_ns)
        return self.ending

    def subscribes(self, now_ns: int) -> str:
        self._may_subscribe(now_ns)
        return self.ending

    def step(self) -> str:
        self._is_banned()
        return self.ending


def limits(**options: float) -> tuple[ClientLimits, ServerCounters]:
    counters = ServerCounters()
    return ClientLimits(SimOptions(**options), counters), counters  # type: ignore[arg-type]


@given(gaps=st.lists(st.sampled_from([0, 1, 10, 99, 100, 101, 500]), max_size=60), limit=st.integers(1, 5))
def test_it_counts_what_lies_within_the_time_that_ends_now(gaps: list[int], limit: int) -> None:
    count = SlidingCount(limit, 100 / SECOND_NS)
    times: list[int] = []
    most = 0
    for gap in gaps:
        times.append((times[-1] if times else 0) + gap)
        within = sum(at > times[-1] - 100 for at in times)
        most = max(most, within)
        assert count.add(times[-1]) == (within > limit)
    assert count.most == most


def test_a_connection_that_says_too_much_is_closed_and_pings_count() -> None:
    shared, counters = limits(max_messages=3)
    one, other = Talk(shared), Talk(shared)
    one.control(0)
    assert [one.says(at) for at in (1, 2)] == ["", ""]
    assert other.says(3) == ""
    one.control(4)
    assert (one.ending, other.ending) == ("refuse", "")
    assert (counters.clients_over_limit, counters.most_messages, counters.clients_banned) == (1, 4, 0)
    assert [other.says(SECOND_NS * at) for at in range(1, 9)] == [""] * 8


def test_all_connections_together_subscribe_no_more_often_than_allowed() -> None:
    shared, counters = limits(max_subscribes=2, subscribes_s=10.0)
    talks = [Talk(shared) for _ in range(5)]
    endings = [talk.subscribes(at * SECOND_NS) for at, talk in zip((0, 9, 9, 18, 19), talks, strict=True)]
    assert endings == ["", "", "refuse", "refuse", ""]
    assert (counters.most_subscribes, counters.clients_over_limit) == (3, 2)


def test_who_is_closed_again_and_again_is_banned_and_so_are_its_other_connections() -> None:
    shared, counters = limits(max_messages=1, ban_s=60)
    quiet = Talk(shared)
    for number in range(CLOSED_BEFORE_BAN + 1):
        talk = Talk(shared)
        talk.says(number)
        assert quiet.step() == ""
        talk.says(number)
    assert (quiet.step(), quiet.says(5)) == ("refuse", "refuse")
    assert counters.clients_banned == 1
    assert [shared.connect(at * SECOND_NS) for at in (1, 59, 61)] == [429, 429, None]
    assert counters.handshakes_refused == 2
    assert Talk(shared).step() == ""


def test_one_that_is_closed_now_and_then_is_not_banned() -> None:
    shared, counters = limits(max_messages=1)
    for number in range(10):
        talk = Talk(shared)
        talk.says(number * BAN_WITHIN_NS)
        talk.says(number * BAN_WITHIN_NS)
    assert (counters.clients_over_limit, counters.clients_banned) == (10, 0)


def test_who_goes_on_connecting_after_refusals_is_banned() -> None:
    shared, counters = limits(max_connects=2, connects_s=10.0, ban_s=100)
    found = [shared.connect(0) for _ in range(2 + REFUSED_BEFORE_BAN)]
    assert found == [None, None, *[429] * REFUSED_BEFORE_BAN]
    assert counters.clients_banned == 0
    assert shared.connect(0) == 429
    assert counters.clients_banned == 1
    assert (shared.connect(99 * SECOND_NS), shared.connect(101 * SECOND_NS)) == (429, None)
    assert counters.most_connects == 3 + REFUSED_BEFORE_BAN


def test_a_venue_may_ban_in_its_own_way() -> None:
    banned: list[int] = []
    counters = ServerCounters()
    shared = ClientLimits(SimOptions(max_connects=1), counters, banned.append)
    for _ in range(2 + REFUSED_BEFORE_BAN):
        shared.connect(7)
    assert (banned, shared.cuts, counters.clients_banned) == ([7], 0, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_messages": 0}, "max_messages"),
        ({"max_subscribes": 100_000}, "max_subscribes"),
        ({"connects_s": 0.0}, "connects_s"),
        ({"ban_s": -1.0}, "ban_s"),
    ],
)
def test_limits_that_could_not_be_counted_are_refused(options: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        limits(**options)
