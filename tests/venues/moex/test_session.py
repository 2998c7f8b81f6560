"""The conversation with MOEX, call by call: what each call of a Session yields."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Self

import pytest

from feedbus.errors import BadData, TimedOut, VenueError
from feedbus.schema.events import Bar, BookSnapshot, Event, Ticker
from feedbus.venues.moex.account import Account
from feedbus.venues.moex.session import Session
from feedbus.venues.moex.stomp import build
from feedbus.venues.protocol import (
    Close,
    Confirmed,
    Effect,
    Fatal,
    Notice,
    Ready,
    Refused,
    Resync,
    Send,
    Skipped,
    Subscription,
    WakeAt,
)
from tests import places
from tests.venues import script

CAPTURES = places.CAPTURES / "moex"
CONNECT = Send(b"CONNECT\ndomain:DEMO\nlogin:guest\npasscode:guest\n\n\0")
CATALOGUE = b'{"structure":{"MXSE":{"streams":[{"name":"orderbooks"},{"name":"securities"}]}}}'
CONNECTED = b"CONNECTED\n\n" + CATALOGUE + b"\0"
SBER_BOOK = Subscription("orderbooks", "TQBR.SBER")
SBER_ROW = Subscription("securities", "TQBR.SBER")
BOOKS = ("orderbooks",)
TIME = 1719825533789


def subscribe(number: int, subscription: Subscription) -> Send:
    lines = [
        f"destination:MXSE.{subscription.channel}",
        f"id:{number}",
        f"receipt:{number}",
        f'selector:TICKER="MXSE.{subscription.symbol}"',
    ]
    return Send("\n".join(["SUBSCRIBE", *lines, "\n\0"]).encode())


def unsubscribe(number: int) -> Send:
    return Send(f"UNSUBSCRIBE\nid:{number}\n\n\0".encode())


def receipt(number: int) -> bytes:
    return f"RECEIPT\nreceipt-id:{number}\n\n\0".encode()


def table(columns: Iterable[str], rows: Sequence[Sequence[Any]], kind: str = "snapshot", seqnum: int = 1) -> bytes:
    properties = {"type": kind, "seqnum": seqnum, "published": TIME, "timestamp": TIME}
    return json.dumps({"properties": properties, "columns": [*columns], "data": rows}).encode()


def message(number: int | str, body: bytes, destination: str = "MXSE.orderbooks") -> bytes:
    headers = {"content-length": str(len(body)), "destination": destination, "subscription": str(number)}
    return build("MESSAGE", headers, body)


def book_body(bid: float, kind: str = "snapshot", seqnum: int = 1) -> bytes:
    return table(["BUYSELL", "PRICE", "QUANTITY", "REPOVALUE"], [["B", [bid, 2], 10, None]], kind, seqnum)


def book_of(symbol: str, bid: float, seqnum: int = 1) -> BookSnapshot:
    return BookSnapshot("moex", symbol, TIME * 1_000_000, 7, [(bid, 10.0)], [], seqnum, True, True)


class Script(script.Script[Session]):
    """Up to where a test begins."""

    def __init__(self, *symbols: str, channels: Sequence[str] = BOOKS, **credentials: str) -> None:
        super().__init__(Account(credentials, channels).session(symbols))

    def logged_in(self) -> Self:
        """Up to CONNECTED, whose effects other tests look at."""
        self.yields("opened", self.session.opened(self.now), None)
        self.yields("CONNECTED", self.session.frame(CONNECTED, 7, self.now), None)
        return self

    def live(self, *numbers: int) -> Self:
        """Logged in, every book confirmed and with its first data."""
        self.logged_in()
        for number in numbers:
            self.yields("receipt", self.session.frame(receipt(number), 7, self.now), None)
            self.yields("book", self.session.frame(message(number, book_body(1.5)), 7, self.now), None)
        return self


# Logging in


def test_login_sends_exactly_three_headers_and_waits_for_connected() -> None:
    Script("TQBR.SBER").opened(CONNECT, WakeAt(10.0))


def test_the_operator_s_credentials_replace_the_guest_s() -> None:
    script = Script("TQBR.SBER", passcode="a:b\\c", login="me@example.com", domain="passport")
    script.opened(Send(b"CONNECT\ndomain:passport\nlogin:me@example.com\npasscode:a:b\\c\n\n\0"), WakeAt(10.0))


def test_connected_opens_the_conversation_and_subscribes_every_channel() -> None:
    script = Script("TQBR.SBER", channels=()).opened(CONNECT, WakeAt(10.0)).at(2.0)
    script.received(CONNECTED, Ready(), subscribe(1, SBER_BOOK), subscribe(2, SBER_ROW), WakeAt(12.0))


def test_no_connected_within_ten_seconds_is_a_failure() -> None:
    script = Script("TQBR.SBER").opened(CONNECT, WakeAt(10.0))
    script.at(9.99).ticked(WakeAt(10.0)).at(10.0).ticked(Close(TimedOut("no CONNECTED within 10 s")))


def error(text: str = "Access denied", **headers: str) -> bytes:
    return build("ERROR", {**{name.replace("_", "-"): value for name, value in headers.items()}, "message": text})


@pytest.mark.parametrize(
    ("frame", "effect"),
    [
        (error("Access denied"), Fatal("Access denied")),
        (error("gateway.access-denied: no"), Fatal("gateway.access-denied: no")),
        (b"ERROR\nmessage:Access denied\n\n{\n}\0", Fatal("Access denied { }")),
        (b"ERROR\n\n\xff\n\n\0", Fatal("\ufffd")),
        (b"ERROR\n\n\0", Fatal("no message")),
        (error("a\x1b[2J\x07b"), Fatal("a [2J b")),
        (error("x" * 5000), Fatal("x" * 200)),
        (error("gateway.timeout"), Close(VenueError("login failed: gateway.timeout"))),
        (error("try later", code="gateway.transport"), Close(VenueError("login failed: try later gateway.transport"))),
        (b"ERROR\nmessage:late\n\ngateway.timeout\0", Close(VenueError("login failed: late gateway.timeout"))),
    ],
)
def test_an_error_at_login_is_fatal_unless_it_is_the_gateway_s_own_trouble(frame: bytes, effect: Effect) -> None:
    Script("TQBR.SBER").opened(CONNECT, WakeAt(10.0)).received(frame, effect).counted(errors=1)


def test_a_second_connected_is_only_noticed() -> None:
    Script("TQBR.SBER").logged_in().received(CONNECTED, Notice("a second CONNECTED"))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"structure":7}', b"<html>"])
def test_a_catalogue_that_can_not_be_read_is_reported_and_all_is_tried(body: bytes) -> None:
    script = Script("TQBR.SBER")
    script.opened(CONNECT, WakeAt(10.0))
    effects = script.yields("CONNECTED", script.session.frame(build("CONNECTED", {}, body), 7, 0.0), None)
    assert [type(effect) for effect in effects] == [Ready, Skipped, Send]
    assert effects[2] == subscribe(1, SBER_BOOK)
    assert str(effects[1].error).startswith("CONNECTED: ")  # type: ignore[union-attr]


def test_a_stream_that_the_catalogue_does_not_name_is_reported_once_and_tried() -> None:
    script = Script("FORTS.RFUD.SiZ6", "FORTS.RFUD.RIZ6")
    script.opened(CONNECT, WakeAt(10.0))
    effects = script.yields("CONNECTED", script.session.frame(CONNECTED, 7, 0.0), None)
    unnamed = "CONNECTED does not name the stream {}; trying it all the same"
    assert effects[:2] == [Ready(), Notice(unnamed.format("FORTS.orderbooks"))]
    assert [type(effect) for effect in effects[2:]] == [Send, Send]
    script.subscribed(["FORTS.RFUD.GZZ6"], WakeAt(0.1))
    script.subscribed(["MXCX.CETS.X"], Notice(unnamed.format("MXCX.orderbooks")))


# Subscribing


def test_subscribes_go_out_ten_every_tenth_of_a_second() -> None:
    symbols = [f"TQBR.S{number}" for number in range(25)]
    sent = [subscribe(number + 1, Subscription("orderbooks", symbol)) for number, symbol in enumerate(symbols)]
    script = Script(*symbols).opened(CONNECT, WakeAt(10.0)).at(1.0)
    script.received(CONNECTED, Ready(), *sent[:10], WakeAt(1.1)).stands(sent=10, wanted=15)
    script.at(1.05).ticked(WakeAt(1.1))
    script.at(1.1).ticked(*sent[10:20], WakeAt(1.1 + 0.1))
    script.at(1.15).subscribed(["TQBR.LATE"])
    script.at(1.3).ticked(*sent[20:], subscribe(26, Subscription("orderbooks", "TQBR.LATE")), WakeAt(11.0))
    script.stands(sent=26)


@pytest.mark.parametrize("refused", [False, True])
def test_what_the_venue_answers_before_a_tenth_of_a_second_is_over_lets_as_many_more_go(refused: bool) -> None:
    symbols = [f"TQBR.S{number}" for number in range(25)]
    sent = [subscribe(number + 1, Subscription("orderbooks", symbol)) for number, symbol in enumerate(symbols)]
    script = Script(*symbols).opened(CONNECT, WakeAt(10.0)).at(1.0)
    script.received(CONNECTED, Ready(), *sent[:10], WakeAt(1.1)).at(1.02)
    answers = [error("no", receipt_id=str(number)) if refused else receipt(number) for number in range(1, 6)]
    effects = [list(script.session.frame(answer, 7, 1.02)) for answer in answers]
    assert [effect for each in effects for effect in each if isinstance(effect, Send)] == sent[10:15]
    script.at(1.1).ticked(*sent[15:25], WakeAt(6.02 if refused else 11.02))


def test_a_receipt_confirms_and_only_once() -> None:
    script = Script("TQBR.SBER").logged_in().stands(sent=1)
    script.received(receipt(1), Confirmed(SBER_BOOK)).stands(confirmed=1).received(receipt(1)).counted(unknown_ids=0)
    script.at(10.0).ticked()


def test_no_receipt_at_all_within_ten_seconds_is_a_failure_that_names_the_subscription() -> None:
    script = Script("TQBR.SBER", "TQBR.GAZP").at(3.0).logged_in()
    script.at(12.9).ticked(WakeAt(13.0))
    script.at(13.0).ticked(Close(TimedOut("no answer to orderbooks TQBR.SBER within 10 s")))


def test_one_receipt_that_does_not_come_has_that_one_asked_for_again_under_another_id() -> None:
    script = Script("TQBR.SBER", "TQBR.GAZP").at(3.0).logged_in().at(4.0).received(receipt(1), Confirmed(SBER_BOOK))
    gazp = Subscription("orderbooks", "TQBR.GAZP")
    script.at(14.0).ticked(unsubscribe(2), subscribe(4, gazp), WakeAt(24.0))
    script.received(receipt(2)).counted(unknown_ids=1, unanswered=1).stands(confirmed=1, sent=1)
    script.at(24.0).ticked(unsubscribe(4), subscribe(6, gazp), WakeAt(34.0))
    script.at(34.0).ticked(Refused(gazp, "not answered 3 times"), unsubscribe(6), WakeAt(39.0))
    script.stands(confirmed=1, refused=1)


def test_data_before_the_receipt_confirms() -> None:
    script = Script("TQBR.SBER").logged_in()
    script.received(message(1, book_body(1.5)), Confirmed(SBER_BOOK), book_of("TQBR.SBER", 1.5)).stands(live=1)
    script.received(receipt(1)).at(10.0).ticked()


def test_bad_data_before_the_receipt_confirms_and_is_not_live() -> None:
    script = Script("TQBR.SBER").logged_in()
    skipped = Skipped(BadData("orderbooks TQBR.SBER", "column BUYSELL is missing"))
    script.received(message(1, table([], [])), Confirmed(SBER_BOOK), skipped).stands(confirmed=1)
    script.received(message(1, book_body(1.5)), book_of("TQBR.SBER", 1.5)).stands(live=1)


# Routing


def test_a_message_is_routed_by_its_subscription_id_alone() -> None:
    script = Script("TQBR.SBER", "TQBR.GAZP").live(1, 2)
    foreign = table(["TICKER", "BUYSELL", "PRICE", "QUANTITY"], [["MXSE.TQBR.SBER", "B", [2.5, 2], 10]])
    script.received(message(2, foreign, "FORTS.securities"), book_of("TQBR.GAZP", 2.5))
    script.received(message(1, book_body(3.5)), book_of("TQBR.SBER", 3.5))


@pytest.mark.parametrize("number", ["", "99", "01", "1 ", "SBER", "-1"])
def test_an_unknown_id_is_counted_and_passed_over(number: str) -> None:
    script = Script("TQBR.SBER").live(1)
    script.received(message(number, book_body(1.5))).received(build("RECEIPT", {"receipt-id": number}))
    script.received(build("CLOSED", {"subscription": number})).received(error(receipt_id=number))
    script.counted(unknown_ids=4, errors=1).stands(live=1)


def test_a_message_without_an_id_is_counted_and_passed_over() -> None:
    script = Script("TQBR.SBER").live(1).received(build("MESSAGE", {}, book_body(1.5))).received(b"RECEIPT\n\n\0")
    script.counted(unknown_ids=2)


def test_heart_beats_replies_and_unknown_commands_are_counted() -> None:
    script = Script("TQBR.SBER").live(1)
    script.received(b"\n").received(b"").received(b"REPLY\nrequest-id:4\n\n{}\0")
    script.received(b"GREETING\n\n\0", Notice("an unknown STOMP command: GREETING")).received(b"GREETING\n\n\0")
    for letter in "ABCDEFGHIJ":
        script.yields("command", script.session.frame(f"{letter * 99}\n\n".encode(), 7, 0.0), None)
    assert sum("unknown STOMP command" in line for line in script.talk) == 8, "notices are bounded"
    script.counted(heartbeats=2, replies=1, unknown_commands=12).stands(live=1)


def test_an_error_that_names_no_subscription_is_noticed() -> None:
    script = (
        Script("TQBR.SBER").live(1).received(error("gateway.exception\t:-("), Notice("ERROR: gateway.exception :-("))
    )
    script.stands(live=1).counted(errors=1)


def test_an_error_that_says_we_are_not_logged_in_ends_the_connection() -> None:
    script = Script("TQBR.SBER").live(1)
    script.received(error("gateway.not-connected"), Close(VenueError("logged out: gateway.not-connected")))


def test_several_frames_in_one_message_are_all_taken_and_a_bad_one_ends_it() -> None:
    script = Script("TQBR.SBER").logged_in()
    data = receipt(1) + message(1, book_body(1.5)) + b"\n" + message(1, book_body(2.5)) + b"garbage"
    script.received(
        data,
        Confirmed(SBER_BOOK),
        book_of("TQBR.SBER", 1.5),
        book_of("TQBR.SBER", 2.5),
        Skipped(BadData("STOMP", "no empty line after the headers in 7 bytes")),
    )


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"garbage", BadData("STOMP", "no empty line after the headers in 7 bytes")),
        (b"MESSAGE\na:\xff\n\n\0", BadData("STOMP", "headers aren't UTF-8 at byte 10")),
        (message(1, book_body(1.5))[:-9], BadData("STOMP MESSAGE", "cut short: 192 of 200 bytes")),
        (message(1, b"{"), BadData("orderbooks TQBR.SBER", "Input data was truncated")),
        (message(1, table(["X"], [])), BadData("orderbooks TQBR.SBER", "column BUYSELL is missing")),
    ],
)
def test_a_bad_frame_costs_that_frame_alone(data: bytes, error: BadData) -> None:
    script = Script("TQBR.SBER").live(1).received(data, Skipped(error)).stands(live=1)
    script.received(message(1, book_body(1.5)), book_of("TQBR.SBER", 1.5))


# Candles

SBER_M1 = Subscription("candles.M1", "TQBR.SBER")


def candle_body(kind: str, *minutes: str, seqnum: int = 1) -> bytes:
    rows = [[f"2026-01-22 {minute}:00", None, 2.0, 9.0, 1.0, 2.5, 25.5, 10] for minute in minutes]
    return table(["FROM", "TILL", "OPEN", "HIGH", "LOW", "CLOSE", "VALUE", "VOLUME"], rows, kind, seqnum)


def bars_of(effects: Iterable[Effect]) -> list[tuple[int, int, bool]]:
    """(minute after 10 o'clock, revision, final) of the bars among the effects."""
    ten = 1769065200 * 1_000_000_000
    return [
        ((each.start - ten) // 60_000_000_000, each.revision, each.final) for each in effects if isinstance(each, Bar)
    ]


def test_a_snapshot_of_candles_is_many_events_and_makes_the_subscription_live() -> None:
    script = Script("TQBR.SBER", channels=["candles.M1"]).logged_in().received(receipt(1), Confirmed(SBER_M1))
    snapshot = message(1, candle_body("snapshot", "10:00", "10:01", "10:02"))
    effects = script.yields("snapshot", script.session.frame(snapshot, 7, 1.0), None)
    assert bars_of(effects) == [(0, 0, True), (1, 0, True), (2, 0, False)]
    assert len(effects) == 3
    script.stands(live=1)
    update = message(1, candle_body("updates", "10:03", seqnum=0))
    effects = script.yields("update", script.session.frame(update, 7, 1.0), None)
    assert bars_of(effects) == [(2, 1, True), (3, 0, False)]
    script.counted(seqnum_regressions=1)
    script.received(message(1, candle_body("updates", "10:03")))


def test_the_next_session_of_an_account_publishes_only_what_it_has_not_seen() -> None:
    account = Account({}, ["candles.M1"])

    def snapshot(*minutes: str) -> list[tuple[int, int, bool]]:
        session = account.session(["TQBR.SBER"])
        list(session.opened(0.0))
        list(session.frame(CONNECTED, 7, 0.0))
        effects = list(session.frame(message(1, candle_body("snapshot", *minutes)), 7, 0.0))
        assert session.instruments() == {"live": 1}
        return bars_of(effects)

    assert snapshot("10:00", "10:01") == [(0, 0, True), (1, 0, False)]
    assert snapshot("10:00", "10:01") == [(1, 0, False)]
    assert snapshot("10:00", "10:01", "10:02") == [(1, 1, True), (2, 0, False)]


def test_what_is_kept_of_candles_goes_with_their_last_subscription() -> None:
    script = Script("TQBR.SBER", channels=["candles.M1"]).logged_in()
    for now, number in ((1.0, 1), (2.0, 3)):  # the UNSUBSCRIBE between them takes a number too
        snapshot = message(number, candle_body("snapshot", "10:00", "10:01"))
        assert bars_of(script.session.frame(snapshot, 7, now)) == [(0, 0, True), (1, 0, False)]
        script.at(now).unsubscribed(["TQBR.SBER"], unsubscribe(number))
        script.yields("subscribe", script.session.subscribe(["TQBR.SBER"], now), None)
        script.at(now + 0.1).yields("tick", script.session.tick(now + 0.1), None)


# Refusals and retries


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"ERROR\nsubscription:1\nmessage:no\n\n\0", "no"),
        (b"ERROR\nreceipt-id:1\nmessage:no\n\n\0", "no"),
        (b"CLOSED\nsubscription:1\n\n\0", "CLOSED by the venue"),
    ],
)
def test_the_ways_to_refuse_a_subscription(frame: bytes, reason: str) -> None:
    Script("TQBR.SBER").logged_in().received(frame, Refused(SBER_BOOK, reason), WakeAt(5.0)).stands(refused=1)


def test_a_refused_subscription_is_asked_for_again_and_the_others_are_left_alone() -> None:
    script = Script("TQBR.SBER", "TQBR.GAZP").at(1.0).live(2)
    script.received(error("no such ticker", receipt_id="1"), Refused(SBER_BOOK, "no such ticker"), WakeAt(6.0))
    script.stands(refused=1, live=1).received(message(1, book_body(1.5))).counted(unknown_ids=1)
    script.received(message(2, book_body(2.5)), book_of("TQBR.GAZP", 2.5))
    script.at(5.9).ticked(WakeAt(6.0)).at(6.0).ticked(subscribe(3, SBER_BOOK), WakeAt(16.0)).stands(sent=1, live=1)
    script.received(receipt(3), Confirmed(SBER_BOOK))


def test_what_is_out_of_step_is_unsubscribed_and_subscribed_again() -> None:
    script = Script("TQBR.SBER").live(1)
    reason = "type 'updates', where every book is a snapshot"
    script.received(
        message(1, book_body(1.5, "updates")),
        Skipped(BadData("orderbooks TQBR.SBER", reason)),
        Resync(SBER_BOOK, reason),
        WakeAt(0.1),
    )
    script.received(message(1, book_body(1.5))).counted(unknown_ids=1).stands(wanted=1)
    script.at(0.1).ticked(unsubscribe(1), subscribe(3, SBER_BOOK), WakeAt(10.1))
    script.received(message(3, book_body(1.5)), Confirmed(SBER_BOOK), book_of("TQBR.SBER", 1.5))


def test_a_cell_that_can_not_be_read_is_reported_and_the_rest_of_the_row_taken() -> None:
    script = Script("TQBR.SBER", channels=["securities"]).logged_in()
    first = table(["TICKER", "LAST", "BID"], [["MXSE.TQBR.SBER", "dear", 1.25]])
    ticker = Ticker("moex", "TQBR.SBER", TIME * 1_000_000, 7, last=None, bid=1.25)
    problem = Skipped(BadData("securities TQBR.SBER LAST", "not a number: 'dear'"))
    script.received(message(1, first), Confirmed(SBER_ROW), problem, ticker).stands(live=1)
    script.received(message(1, first), problem, ticker)


def test_a_new_subscription_begins_with_an_empty_row() -> None:
    script = Script("TQBR.SBER", channels=["securities"]).logged_in()
    first = table(["TICKER", "LAST", "BID"], [["MXSE.TQBR.SBER", 1.5, 1.25]])
    ticker = Ticker("moex", "TQBR.SBER", TIME * 1_000_000, 7, last=1.5, bid=1.25)
    script.received(message(1, first), Confirmed(SBER_ROW), ticker)
    script.received(b"CLOSED\nsubscription:1\n\n\0", Refused(SBER_ROW, "CLOSED by the venue"), WakeAt(5.0))
    script.at(5.0).ticked(subscribe(2, SBER_ROW), WakeAt(15.0))
    update = table(["TICKER", "LAST"], [["MXSE.TQBR.SBER", 2.5]], "updates")
    reason = "updates before a snapshot"
    script.received(
        message(2, update),
        Skipped(BadData("securities TQBR.SBER", reason)),
        Resync(SBER_ROW, reason),
        WakeAt(5.1),
    )


# Changes while live


def test_symbols_are_given_up_and_taken_while_the_others_go_on() -> None:
    script = Script("TQBR.SBER", "TQBR.GAZP").live(1, 2).at(1.0)
    script.unsubscribed(["TQBR.SBER", "TQBR.UNKNOWN"], unsubscribe(1)).stands(live=1)
    script.received(message(1, book_body(1.5))).received(receipt(1)).counted(unknown_ids=2)
    script.received(message(2, book_body(2.5)), book_of("TQBR.GAZP", 2.5))
    script.at(2.0).subscribed(["TQBR.SBER", "TQBR.GAZP"], subscribe(4, SBER_BOOK), WakeAt(12.0))
    script.received(message(4, book_body(3.5)), Confirmed(SBER_BOOK), book_of("TQBR.SBER", 3.5)).stands(live=2)


def test_goodbye_is_said_only_once_we_were_let_in() -> None:
    script = Script("TQBR.SBER").opened(CONNECT, WakeAt(10.0))
    script.yields("closing", script.session.closing(), [])
    script.received(CONNECTED, Ready(), subscribe(1, SBER_BOOK))
    script.yields("closing", script.session.closing(), [Send(b"DISCONNECT\n\n\0")])


def test_totals_never_fall() -> None:
    script = Script("TQBR.SBER", "TQBR.GAZP").live(1, 2)
    for number in (1, 2):
        script.received(
            message(number, book_body(1.5, seqnum=0)), book_of(["", "TQBR.SBER", "TQBR.GAZP"][number], 1.5, 0)
        )
    script.counted(seqnum_regressions=2)
    script.received(error(subscription="1"), Refused(SBER_BOOK, "Access denied"), WakeAt(5.0))
    script.at(5.0).ticked(subscribe(3, SBER_BOOK), WakeAt(15.0)).counted(seqnum_regressions=2)
    script.at(6.0).unsubscribed(["TQBR.GAZP"], unsubscribe(2)).counted(seqnum_regressions=2)


# Real data


@pytest.mark.parametrize(
    ("capture", "sent"),
    [
        ("client_connect_demo.frame", CONNECT),
        ("client_subscribe_orderbooks.frame", subscribe(1, SBER_BOOK)),
        ("client_unsubscribe.frame", unsubscribe(1)),
        ("client_disconnect.frame", Send(b"DISCONNECT\n\n\0")),
    ],
)
def test_we_send_what_the_official_client_sends(capture: str, sent: Send) -> None:
    if not CAPTURES.exists():
        pytest.skip("the captures aren't on this machine")
    theirs = (CAPTURES / capture).read_bytes().replace(b"11111111-2222-4333-8444-555555555555", b"1")
    assert sent.data == theirs


def test_no_credential_is_in_a_repr_or_an_error() -> None:
    account = Account({"domain": "passport", "login": "me", "passcode": "hush hush"}, [])
    session = account.session(["TQBR.SBER"])
    list(session.opened(0.0))
    echo = error("bad passcode hush hush for me")
    refused = list(session.frame(echo, 7, 0.0))
    assert refused == [Fatal("bad passcode *** for ***")]
    list(session.frame(CONNECTED, 7, 0.0))
    later = [*session.frame(echo, 7, 0.0), *session.frame(error("x" * 395 + "hush hush", receipt_id="1"), 7, 0.0)]
    assert "hush" not in repr([account, session, refused, later, session.counters()])


def test_a_row_of_another_ticker_is_counted_and_asked_for_anew() -> None:
    script = Script("TQBR.SBER", channels=["securities"]).logged_in().received(receipt(1), Confirmed(SBER_ROW))
    row = b'{"properties":{"type":"snapshot"},"columns":["TICKER","LAST"],"data":[["MXSE.TQBR.GAZP",[1.5,2]]]}'
    effects = script.yields("row", script.session.frame(message(1, row), 7, 1.0), None)
    assert [each.error.reason for each in effects if isinstance(each, Skipped)] == [
        "a row of another TICKER: 'MXSE.TQBR.GAZP'"
    ]
    assert not any(isinstance(each, Event) for each in effects)
    script.counted(other_instruments=1)


def test_one_book_is_got_anew_under_another_id_and_its_neighbour_goes_on() -> None:
    script = Script("TQBR.SBER", "TQBR.GAZP").live(1, 2).at(1.0)
    script.resubscribed(
        [SBER_BOOK], "silent", Resync(SBER_BOOK, "silent"), unsubscribe(1), subscribe(4, SBER_BOOK), WakeAt(11.0)
    )
    script.received(message(1, book_body(1.5))).counted(unknown_ids=1).stands(sent=1, live=1)
    script.received(message(2, book_body(2.5)), book_of("TQBR.GAZP", 2.5))
    script.received(message(4, book_body(3.5)), Confirmed(SBER_BOOK), book_of("TQBR.SBER", 3.5)).stands(live=2)


def test_a_receipt_of_an_id_that_was_ended_before_it_came_is_nobodys_and_nobody_waits_for_it() -> None:
    script = Script("TQBR.SBER", "TQBR.GAZP").logged_in().at(1.0)
    script.resubscribed([SBER_BOOK], "moved", Resync(SBER_BOOK, "moved"), unsubscribe(1), subscribe(4, SBER_BOOK))
    script.received(receipt(1)).counted(unknown_ids=1).stands(sent=2)
    script.received(receipt(2), Confirmed(Subscription("orderbooks", "TQBR.GAZP")))
    script.received(receipt(4), Confirmed(SBER_BOOK)).at(30.0).ticked().counted(unanswered=0)
