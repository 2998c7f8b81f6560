"""The fake venue: its Session line by line, and a conversation with it over the fake transport."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio

from feedbus.errors import BadData, ClosedByPeer, ConfigError, TimedOut
from feedbus.schema.events import Trade
from feedbus.testing.fake_transport import FakeDial
from feedbus.testing.fake_venue import FakeAccount, FakeVenue
from feedbus.transport import Dial, DialOptions
from feedbus.venues.protocol import (
    Account,
    Close,
    Confirmed,
    Effect,
    Fatal,
    Ready,
    Refused,
    Send,
    Session,
    Skipped,
    Subscription,
    WakeAt,
)

A, B = Subscription("trades", "A"), Subscription("trades", "B")


def account(user: str = "me", channels: Sequence[str] = ()) -> Account:
    return FakeAccount({"user": user}, channels)


def hears(session: Session, line: str, now: float = 0.0) -> list[Effect]:
    return list(session.frame(line.encode(), 7, now))


def begun(*symbols: str) -> Session:
    session = account().session(symbols)
    list(session.opened(0.0))
    hears(session, "welcome")
    return session


def test_it_logs_in_and_then_subscribes_to_all() -> None:
    session = account().session(["A", "B"])
    assert list(session.opened(1.0)) == [Send("login me"), WakeAt(6.0)]
    assert session.instruments() == {"wanted": 2}
    asked = [Send("subscribe trades A"), Send("subscribe trades B")]
    assert hears(session, "welcome", now=2.0) == [Ready(), *asked, WakeAt(7.0)]
    assert session.instruments() == {"sent": 2}


def test_confirmations_refusals_and_trades() -> None:
    session = begun("A", "B")
    assert hears(session, "ok trades A") == [Confirmed(A)]
    assert hears(session, "no trades B not listed") == [Refused(B, "not listed")]
    assert session.instruments() == {"confirmed": 1, "refused": 1}
    assert hears(session, "trade A 1.5 10 42") == [Trade("fake", "A", 42, 7, 1.5, 10.0, None, None)]
    assert session.instruments() == {"live": 1, "refused": 1}


def test_a_refused_login_is_fatal() -> None:
    assert hears(account().session(["A"]), "denied no such user") == [Fatal("no such user")]


@pytest.mark.parametrize(
    "line",
    ["", "what", "welcome", "ok trades C", "trade C 1 1 1", "trade A x 1 1", "trade A 1 1", "quote A 1 1 1", "\xff"],
)
def test_what_is_not_understood_is_skipped_and_counted(line: str) -> None:
    session = begun("A")
    (effect,) = session.frame(line.encode("latin-1"), 7, 0.0)
    assert isinstance(effect, Skipped)
    assert isinstance(effect.error, BadData)
    assert session.counters() == {"skipped": 1}


def test_missing_answers_close_the_connection() -> None:
    def closes(session: Session) -> str:
        (effect,) = session.tick(5.0)
        assert isinstance(effect, Close)
        assert isinstance(effect.error, TimedOut)
        return str(effect.error)

    fresh = account().session(["A"])
    list(fresh.opened(0.0))
    assert closes(fresh) == "no answer to the login"
    session = begun("A")
    assert closes(session) == "no answer to a subscription"
    hears(session, "ok trades A")
    assert list(session.tick(5.0)) == []


def test_symbols_come_and_go() -> None:
    session = account().session(["A"])
    assert list(session.subscribe(["B"], 0.0)) == []
    assert list(session.unsubscribe(["B"], 0.0)) == []
    hears(session, "welcome")
    assert list(session.subscribe(["B"], 1.0)) == [Send("subscribe trades B"), WakeAt(6.0)]
    assert list(session.unsubscribe(["A"], 1.0)) == [Send("unsubscribe trades A")]
    assert session.instruments() == {"sent": 1}
    assert list(session.closing()) == [Send("bye")]


def test_another_channel_and_a_symbol_of_two_words_are_refused() -> None:
    with pytest.raises(ConfigError):
        account(channels=["books"])
    assert account(channels=["trades"]).check_symbol("A") is None
    assert account().check_symbol("A B") == "'A B' is not one word"


def venue() -> FakeVenue:
    return FakeVenue(clock_ns=lambda: 42)


async def test_the_venue_answers_and_tells_trades_to_who_subscribed() -> None:
    exchange = venue()
    dial: Dial = exchange
    async with dial("ws://fake/", DialOptions()) as first, dial("ws://fake/", DialOptions()) as second:
        await first.send(["login me", "subscribe trades A"])
        assert await first.receive() == ([b"welcome", b"ok trades A"], 42)
        await second.send(["login you", "subscribe trades A", "subscribe trades B"])
        await second.receive()
        assert [line.user for line in exchange.lines] == ["me", "you"]
        assert exchange.trade("A", 1.5) == 2
        assert exchange.trade("B", 2.0, 3.0) == 1
        assert await first.receive() == ([b"trade A 1.5 1.0 42"], 42)
        assert await second.receive() == ([b"trade A 1.5 1.0 42"], 42)
        assert await second.receive() == ([b"trade B 2.0 3.0 42"], 42)
        assert (second.messages_received, second.bytes_received) == (5, 7 + 11 + 11 + 18 + 18)
        await second.send(["unsubscribe trades A"])
        assert exchange.trade("A", 1.5) == 1
    assert exchange.lines == []
    assert exchange.trade("A", 1.5) == 0
    assert exchange.dial.connections[0].sent == ["login me", "subscribe trades A"]


async def test_the_venue_refuses_whom_the_test_says() -> None:
    exchange = venue()
    exchange.refuse_symbols["B"] = "not listed"
    async with exchange("ws://fake/", DialOptions()) as line:
        await line.send(["subscribe trades B"])
        assert await line.receive() == ([b"no trades B not listed"], 42)
        exchange.refuse_login = "go away"
        await line.send(["login me"])
        assert await line.receive() == ([b"denied go away"], 42)


async def test_a_silent_venue_answers_nothing() -> None:
    exchange = venue()
    exchange.silent = True
    async with exchange("ws://fake/", DialOptions()) as line:
        await line.send(["login me"])
        with trio.move_on_after(0) as scope:
            await line.receive()
    assert scope.cancelled_caught


async def test_a_line_breaks_after_what_was_said() -> None:
    exchange = FakeVenue(FakeDial(), clock_ns=lambda: 42)
    async with exchange("ws://fake/", DialOptions()) as line:
        line.say("a", "b")
        line.fail()
        assert await line.receive() == ([b"a", b"b"], 42)
        with pytest.raises(ClosedByPeer, match="1001 going away"):
            await line.receive()
