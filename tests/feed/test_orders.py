"""SessionOrders to a Session: it is told the difference to what it knows, once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from feedbus.feed.orders import SessionOrders
from feedbus.testing.fake_venue import FakeSession
from feedbus.venues.protocol import Effect, Send, Session, Subscription


class Told(FakeSession):
    """Keeps what it is told."""

    def subscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        yield Send(f"+{''.join(symbols)}")

    def unsubscribe(self, symbols: Sequence[str], now: float) -> Iterator[Effect]:
        yield Send(f"-{''.join(symbols)}")

    def resubscribe(self, subscriptions: Sequence[Subscription], reason: str, now: float) -> Iterator[Effect]:
        yield Send(f"~{''.join(each.symbol for each in subscriptions)} {reason}")

    def absent(self, symbols: Collection[str], now: float) -> Iterator[Effect]:
        yield Send(f"?{''.join(symbols)}")


SESSION: Session = Told("me", [])


def carried_out(orders: SessionOrders, symbols: str) -> list[bytes | str]:
    return [effect.data for effect in orders.carry_out(SESSION, symbols, 0.0) if isinstance(effect, Send)]


def subscription(symbol: str) -> Subscription:
    return Subscription("trades", symbol)


def test_what_is_given_up_comes_first_and_all_of_it_once() -> None:
    orders = SessionOrders()
    orders.begin("ABC")
    orders.make_anew([subscription("A"), subscription("C")], "silent")
    orders.tell_absent(["B", "X"])
    assert carried_out(orders, "ABX") == ["-C", "~A silent", "+X", "?BX"]
    assert (orders.waiting, carried_out(orders, "ABX")) == (False, [])


def test_what_does_not_exist_is_told_each_time_while_there_is_any_and_once_more_after() -> None:
    orders = SessionOrders()
    orders.begin("AB")
    assert orders.tell_absent([]) is False
    assert orders.waiting is False
    for absent, told in ((["A"], "?A"), (["A"], "?A"), ([], "?")):
        assert orders.tell_absent(absent) is orders.waiting is True
        assert carried_out(orders, "AB") == [told]
    assert orders.tell_absent([]) is False


def test_a_new_session_owes_nothing_of_what_was_ordered_before() -> None:
    orders = SessionOrders()
    orders.begin("AB")
    orders.make_anew([subscription("A")], "silent")
    orders.tell_absent(["A"])
    orders.begin("ABC")
    assert (orders.waiting, carried_out(orders, "ABC")) == (False, [])


@given(st.lists(st.text("ABCD", max_size=4), max_size=6))
def test_in_the_end_the_session_has_what_is_wanted(changes: list[str]) -> None:
    orders, has = SessionOrders(), set("AB")
    orders.begin("AB")
    for wanted in changes:
        for said in map(str, carried_out(orders, wanted)):
            assert has.isdisjoint(said[1:]) if said[0] == "+" else has.issuperset(said[1:])
            has ^= set(said[1:])
        assert has == set(wanted)
