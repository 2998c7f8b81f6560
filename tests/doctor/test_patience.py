"""How long everything may take, from how long each check may."""

from __future__ import annotations

from feedbus.doctor.patience import AT_A_TIME, Patience

QUICK = Patience(*[1.0] * len(Patience.__struct_fields__))


def test_the_bound_is_that_of_the_feeds_one_group_after_another() -> None:
    assert QUICK.for_place == 2 + 2 + 3
    assert QUICK.for_feed == 7 + 1 + 8
    assert QUICK.at_most([]) == 4
    assert QUICK.at_most(["a"]) == QUICK.at_most(["a"] * AT_A_TIME) == 16
    assert QUICK.at_most(["a"] * (AT_A_TIME + 1)) == 32


def test_each_wait_counts() -> None:
    assert Patience(data=100).for_feed - Patience(data=10).for_feed == 2 * 90
