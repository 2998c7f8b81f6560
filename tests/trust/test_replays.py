from __future__ import annotations

from feedbus.trust.replays import MOST_REFUSED, REFUSED_FOR, ReplayRow


def test_a_row_is_bounded_in_number() -> None:
    row = ReplayRow()
    assert [row.too_long(7, 0.0) for _ in range(2 * MOST_REFUSED + 2)] == 2 * ([False] * MOST_REFUSED + [True])


def test_a_row_is_bounded_in_time() -> None:
    row = ReplayRow()
    assert not row.too_long(7, 10.0)
    assert not row.too_long(7, 10.0 + REFUSED_FOR)
    assert row.too_long(7, 10.0 + REFUSED_FOR + 0.001)
    assert not row.too_long(7, 10.0 + REFUSED_FOR + 0.001)


def test_whatever_is_published_between_begins_a_new_row() -> None:
    row = ReplayRow()
    for mark in range(3 * MOST_REFUSED):
        assert not row.too_long(mark // 2, mark * REFUSED_FOR)
