"""When things are due, against a plain dict."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from feedbus.venues.deadlines import Deadlines

NAMES = "abcd"
TIMES = st.sampled_from([*map(float, range(6)), inf])


@given(st.lists(st.tuples(st.sampled_from(["set", "drop", "pop"]), st.sampled_from(NAMES), TIMES), max_size=60))
def test_it_is_a_dict_whose_least_time_is_known(steps: list[tuple[str, str, float]]) -> None:
    deadlines, plain = Deadlines(), dict[str, float]()
    for do, name, when in steps:
        if do == "set":
            deadlines.set(name, when)
            plain[name] = when
        elif do == "drop":
            deadlines.drop(name)
            plain.pop(name, None)
        elif (found := deadlines.pop(when)) is None:
            assert not plain or min(plain.values()) > when
        else:
            assert plain.pop(found[1]) == found[0] <= min([when, *plain.values()])
        plain = {each: at for each, at in plain.items() if at < inf}
        assert deadlines.next == min(plain.values(), default=inf)
        assert len(deadlines) == len(plain)
        assert all((each in deadlines) == (each in plain) for each in NAMES)


def test_a_time_that_is_set_again_and_again_takes_no_more_room() -> None:
    deadlines = Deadlines()
    for number in range(10_000):
        deadlines.set("a", float(number))
    assert len(deadlines._heap) < 32
    assert (deadlines.next, deadlines.pop(inf), deadlines.next) == (9999.0, (9999.0, "a"), inf)
