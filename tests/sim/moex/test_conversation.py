"""What the venue answers, without a socket."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus.sim.moex import conversation as module
from feedbus.sim.moex.catalogue import securities
from feedbus.sim.moex.conversation import MoexConversation, MoexRefusal, selector
from feedbus.sim.moex.venue import MoexSimOptions, MoexVenue
from feedbus.venues.moex import stomp

LISTED = [*securities()[:20], securities()[-1]]
START_NS = 1_719_825_533_789_000_000
CONNECT = b"CONNECT\ndomain:DEMO\nlogin:guest\npasscode:guest\n\n\0"
SUBSCRIBE = b'SUBSCRIBE\ndestination:MXSE.orderbooks\nid:%b\nreceipt:%b\nselector:TICKER="MXSE.TQBR.SBER"\n\n\0'


class Client:
    """Talks to one conversation, and reads its frames."""

    def __init__(self, venue: MoexVenue | None = None, *, connect: bool = True, **options: Any) -> None:
        self.venue = venue or MoexVenue(MoexSimOptions(start_ns=START_NS, **options), securities=LISTED)
        self.conversation = MoexConversation(self.venue)
        if connect:
            assert [frame.command for frame in self.raw(CONNECT)] == ["CONNECTED"]

    def raw(self, data: bytes | str) -> list[stomp.StompFrame]:
        replies = self.conversation.receive(data, now_ns=0)
        return [frame for reply in replies for frame in stomp.parse(reply)]

    def send(self, command: str, **headers: str) -> list[stomp.StompFrame]:
        return self.raw(stomp.build(command, headers))

    def subscribe(self, key: str, ticker: str, stream: str = "orderbooks", **headers: str) -> list[stomp.StompFrame]:
        selector = f'TICKER="MXSE.{ticker}"'
        return self.send("SUBSCRIBE", **{"id": key, "destination": f"MXSE.{stream}", "selector": selector, **headers})

    def steps(self, count: int) -> list[stomp.StompFrame]:
        frames: list[stomp.StompFrame] = []
        for _ in range(count):
            self.venue.market.advance()
            frames += [frame for reply in self.conversation.due() for frame in stomp.parse(reply)]
        return frames


def error_of(frames: list[stomp.StompFrame]) -> dict[str, str]:
    (frame,) = frames
    assert frame.command == "ERROR"
    return frame.headers


def keys(frames: list[stomp.StompFrame]) -> list[str]:
    return [frame.headers["subscription"] for frame in frames]


def test_guest_is_connected_and_given_the_catalogue() -> None:
    (frame,) = Client(connect=False).raw(CONNECT)
    assert frame.command == "CONNECTED"
    assert int(frame.headers["content-length"]) == len(frame.body)
    assert "MXSE" in msgspec.json.decode(frame.body)["structure"]


@pytest.mark.parametrize("command", ["SUBSCRIBE", "REQUEST", "UNSUBSCRIBE"])
def test_nothing_is_given_before_connect(command: str) -> None:
    client = Client(connect=False)
    assert error_of(client.send(command, id="1"))["message"].startswith("gateway.not-connected")
    assert client.venue.counters.errors_sent == 1


@pytest.mark.parametrize("headers", [{"domain": "DEMO", "login": "guest", "passcode": "x"}, {"login": "guest"}, {}])
def test_bad_credentials_are_denied_and_may_be_tried_again(headers: dict[str, str]) -> None:
    client = Client(connect=False)
    assert error_of(client.send("CONNECT", **headers)) == {"message": "Access denied"}
    assert client.venue.counters.logins_refused == 1
    assert client.raw(CONNECT)[0].command == "CONNECTED"


def test_every_account_of_the_options_is_let_in() -> None:
    client = Client(connect=False, accounts=(("DEMO", "guest", "guest"), ("passport", "me@example.org", "s")))
    assert client.send("CONNECT", domain="passport", login="me@example.org", passcode="s")[0].command == "CONNECTED"


@pytest.mark.parametrize(("extra", "command"), [({"language": "ru"}, "CONNECTED"), ({"host": "moex"}, "ERROR")])
def test_extra_connect_headers_can_be_refused(extra: dict[str, str], command: str) -> None:
    client = Client(connect=False, connect_headers="refuse")
    (frame,) = client.send("CONNECT", domain="DEMO", login="guest", passcode="guest", **extra)
    assert frame.command == command
    if command == "ERROR":
        assert frame.headers["message"].startswith("gateway.exception")
    accepting = Client(connect=False)
    assert accepting.send("CONNECT", domain="DEMO", login="guest", passcode="guest", **extra)[0].command == "CONNECTED"


def test_a_second_connect_is_an_error() -> None:
    assert error_of(Client().raw(CONNECT))["message"].startswith("gateway.invalidrequest")


def test_a_subscription_is_confirmed_then_answered_with_a_snapshot_at_once() -> None:
    receipt, snapshot = Client().subscribe("a", "TQBR.SBER", receipt="r")
    assert (receipt.command, receipt.headers, receipt.body) == ("RECEIPT", {"receipt-id": "r"}, b"")
    assert list(snapshot.headers) == ["content-length", "destination", "subscription", "X-gateway-stamp"]
    assert snapshot.headers["subscription"] == "a"
    assert snapshot.headers["X-gateway-stamp"] == "1719825533790"
    assert msgspec.json.decode(snapshot.body)["properties"]["timestamp"] == 1719825533789


def test_without_a_receipt_header_there_is_no_receipt() -> None:
    (snapshot,) = Client().subscribe("a", "TQBR.SBER")
    assert snapshot.command == "MESSAGE"


def test_order_books_are_always_snapshots_and_securities_become_updates() -> None:
    client = Client()
    client.subscribe("book", "TQBR.SBER")
    client.subscribe("day", "TQBR.SBER", "securities")
    frames = client.steps(40)
    kinds = {key: set[str]() for key in ("book", "day")}
    for frame in frames:
        kinds[frame.headers["subscription"]].add(msgspec.json.decode(frame.body)["properties"]["type"])
    assert kinds == {"book": {"snapshot"}, "day": {"updates"}}
    assert keys(frames).count("book") > 30
    assert 4 <= keys(frames).count("day") <= 10


def test_a_quiet_paper_gets_a_book_every_second_and_securities_every_three() -> None:
    client = Client()
    symbol = list(client.venue.market.instruments)[-1]
    client.subscribe("book", symbol)
    client.subscribe("day", symbol, "securities")
    for _ in range(20):
        assert "book" in keys(client.steps(4))
    for _ in range(10):
        assert "day" in keys(client.steps(12))


def test_frames_of_one_step_are_the_same_on_every_connection_but_for_the_id() -> None:
    first = Client()
    second = Client(first.venue)
    first.subscribe("a", "TQBR.SBER", "securities")
    second.subscribe("b", "TQBR.SBER", "securities")
    for _ in range(20):
        first.venue.market.advance()
        one, two = first.conversation.due(), second.conversation.due()
        assert [frame.replace(b"subscription:a", b"subscription:b") for frame in one] == two


def test_a_conversation_that_missed_steps_gets_the_newest_state_once() -> None:
    client = Client()
    client.subscribe("book", "TQBR.SBER")
    client.subscribe("day", "TQBR.SBER", "securities")
    for _ in range(100):
        client.venue.market.advance()
    frames = [frame for reply in client.conversation.due() for frame in stomp.parse(reply)]
    assert keys(frames) == ["book", "day"]
    step_ms = START_NS // 1_000_000 + 100 * 250
    assert {msgspec.json.decode(frame.body)["properties"]["timestamp"] for frame in frames} == {step_ms}
    assert client.conversation.due() == []


def test_a_russian_caption_can_be_asked_for() -> None:
    client = Client()
    asked = 'ticker="MXSE.TQBR.SBER" AND language="ru"'
    (snapshot,) = client.send("SUBSCRIBE", id="1", destination="MXSE.securities", selector=asked)
    assert '"Сбербанк"'.encode() in snapshot.body
    (book,) = client.send("SUBSCRIBE", id="2", destination="MXSE.orderbooks", selector=asked)
    assert book.command == "MESSAGE"


@pytest.mark.parametrize(
    ("destination", "selector"),
    [
        ("MXSE.orderbooks", 'TICKER="MXSE.TQBR.NOPE"'),
        ("MXSE.orderbooks", 'TICKER="TQBR.SBER"'),
        ("MXSE.orderbooks", "TICKER='MXSE.TQBR.SBER'"),
        ("MXSE.orderbooks", 'SECID="SBER"'),
        ("MXSE.orderbooks", 'LANGUAGE="en"'),
        ("MXSE.orderbooks", 'TICKER="MXSE.TQBR.SBER" LANGUAGE="en"'),
        ("MXSE.securities", 'TICKER="MXSE.TQBR.SBER" and LANGUAGE="fr"'),
        ("MXSE.lasttrades", 'TICKER="MXSE.TQBR.SBER"'),
        ("MXSE.candles", 'TICKER="MXSE.TQBR.SBER"'),
        ("MXSE.candles", 'TICKER="MXSE.TQBR.NOPE" and interval="M1"'),
        ("MXSE.candles", 'TICKER="MXSE.TQBR.SBER" and interval="W1"'),
        ("MXSE.candles", 'TICKER="MXSE.TQBR.SBER" and LANGUAGE="en"'),
        ("MXSE.orderbooks", 'TICKER="MXSE.TQBR.SBER" and interval="M1"'),
        ("FORTS.candles", 'TICKER="FORTS.RFUD.SiZ6" and interval="M1"'),
        ("FORTS.securities", 'TICKER="FORTS.RFUD.SiZ6"'),
        ("nonsense", 'TICKER="MXSE.TQBR.SBER"'),
    ],
)
def test_a_bad_subscription_is_refused_by_name_and_the_rest_goes_on(destination: str, selector: str) -> None:
    client = Client()
    client.subscribe("good", "TQBR.GAZP")
    headers = error_of(client.send("SUBSCRIBE", id="bad", receipt="bad", destination=destination, selector=selector))
    assert (headers["receipt-id"], headers["subscription"]) == ("bad", "bad")
    assert headers["message"].startswith("gateway.invalidrequest: ")
    headers = error_of(client.send("SUBSCRIBE", id="bad", destination=destination, selector=selector))
    assert "receipt-id" not in headers
    assert set(keys(client.steps(8))) == {"good"}
    assert client.conversation.ending == ""


@pytest.mark.parametrize("parameter", ['quantity="10"', 'till="2026-01-22 00:00:00"'])
def test_what_is_documented_of_candles_and_not_simulated_is_said_to_be_so(parameter: str) -> None:
    asked = f'TICKER="MXSE.TQBR.SBER" and interval="M1" and {parameter}'
    headers = error_of(Client().send("SUBSCRIBE", id="1", destination="MXSE.candles", selector=asked))
    assert headers["message"].startswith("gateway.notimplemented: ")


def test_candles_of_an_interval_are_a_snapshot_of_256_and_an_update_every_five_seconds() -> None:
    client = Client()
    asked = 'TICKER="MXSE.TQBR.SBER" and interval="M1"'
    receipt, snapshot = client.send("SUBSCRIBE", id="1", receipt="1", destination="MXSE.candles", selector=asked)
    assert receipt.command == "RECEIPT"
    assert snapshot.headers["destination"] == "MXSE.candles"
    assert len(msgspec.json.decode(snapshot.body)["data"]) == 256
    updates = client.steps(4 * 30)
    assert len(updates) == 6
    assert {msgspec.json.decode(update.body)["properties"]["type"] for update in updates} == {"updates"}
    assert client.send("UNSUBSCRIBE", id="1") == []
    assert client.steps(4 * 10) == []


def test_a_refused_subscription_does_not_set_the_market_going() -> None:
    client = Client(MoexVenue(MoexSimOptions(), securities=LISTED))
    client.subscribe("a", "TQBR.NOPE")
    assert not client.venue.market.opened
    client.subscribe("a", "TQBR.SBER")
    assert client.venue.market.opened


@pytest.mark.parametrize("missing", ["id", "destination", "selector"])
def test_a_subscription_needs_its_three_headers(missing: str) -> None:
    headers = {"id": "1", "destination": "MXSE.orderbooks", "selector": 'TICKER="MXSE.TQBR.SBER"'}
    del headers[missing]
    assert missing in error_of(Client().send("SUBSCRIBE", **headers))["message"]


def test_an_id_is_used_once_while_it_is_subscribed() -> None:
    client = Client()
    client.subscribe("a", "TQBR.SBER")
    assert error_of(client.subscribe("a", "TQBR.GAZP"))["subscription"] == "a"
    client.send("UNSUBSCRIBE", id="a")
    assert client.subscribe("a", "TQBR.GAZP")[0].command == "MESSAGE"


def test_subscriptions_of_a_connection_are_bounded() -> None:
    client = Client(max_subscriptions=1)
    client.subscribe("a", "TQBR.SBER")
    assert error_of(client.subscribe("b", "TQBR.GAZP"))["message"].startswith("gateway.exception")


def test_after_unsubscribe_nothing_comes() -> None:
    client = Client()
    client.subscribe("a", "TQBR.SBER")
    client.subscribe("b", "TQBR.GAZP")
    assert client.send("UNSUBSCRIBE", id="a") == []
    assert set(keys(client.steps(20))) == {"b"}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [("none", []), ("receipt", [("RECEIPT", "receipt-id")]), ("closed", [("CLOSED", "subscription")])],
)
def test_unsubscribe_is_confirmed_as_the_options_say(reply: str, expected: list[tuple[str, str]]) -> None:
    client = Client(unsubscribe_reply=reply)
    client.subscribe("a", "TQBR.SBER")
    frames = client.send("UNSUBSCRIBE", id="a")
    assert [(frame.command, *frame.headers.items()) for frame in frames] == [
        (command, (header, "a")) for command, header in expected
    ]


def test_a_receipt_for_unsubscribe_is_given_when_asked_for() -> None:
    client = Client()
    client.subscribe("a", "TQBR.SBER")
    (receipt,) = client.send("UNSUBSCRIBE", id="a", receipt="r")
    assert (receipt.command, receipt.headers) == ("RECEIPT", {"receipt-id": "r"})


def test_late_messages_come_after_unsubscribe_when_told_to() -> None:
    client = Client(late_messages=2)
    client.subscribe("a", "TQBR.SBER")
    client.send("UNSUBSCRIBE", id="a")
    assert error_of(client.send("UNSUBSCRIBE", id="a"))["receipt-id"] == "a"
    assert keys(client.steps(20)) == ["a", "a"]
    assert client.subscribe("a", "TQBR.SBER")[0].command == "MESSAGE"


def test_unsubscribing_from_nothing_is_an_error_with_a_receipt_id() -> None:
    headers = error_of(Client().send("UNSUBSCRIBE", id="x"))
    assert headers["receipt-id"] == "x"
    assert headers["message"].startswith("gateway.invalidrequest")


@pytest.mark.parametrize("asked", ['pattern="SBER"', 'TICKER="MXSE.TQBR.SBER"', 'pattern="sber" and preset="all"'])
def test_a_search_is_answered_under_the_requests_id(asked: str) -> None:
    (reply,) = Client().send("REQUEST", id="q", destination="SEARCH.ticker", selector=asked)
    assert reply.command == "REPLY"
    assert reply.headers["request-id"] == "q"
    assert int(reply.headers["content-length"]) == len(reply.body)
    assert msgspec.json.decode(reply.body)["data"][0][0] == "MXSE.TQBR.SBER"


def test_a_search_is_bounded() -> None:
    (reply,) = Client().send("REQUEST", id="q", destination="SEARCH.ticker", selector='pattern="TQCB"')
    assert len(msgspec.json.decode(reply.body)["data"]) == module.MAX_FOUND


@pytest.mark.parametrize(
    ("destination", "asked"),
    [
        ("SEARCH.ticker", 'preset="all"'),
        ("SEARCH.ticker", "SBER"),
        ("COMMON.boards", 'language="en"'),
        ("X.y", 'a="b"'),
    ],
)
def test_a_bad_request_is_refused_under_its_id(destination: str, asked: str) -> None:
    headers = error_of(Client().send("REQUEST", id="q", destination=destination, selector=asked))
    assert headers["request-id"] == "q"
    assert headers["message"].startswith("gateway.invalidrequest")


def test_disconnect_ends_the_conversation_with_a_receipt_if_asked() -> None:
    client = Client()
    client.subscribe("a", "TQBR.SBER")
    (receipt,) = client.raw(b"DISCONNECT\nreceipt:bye\n\n\0")
    assert receipt.headers == {"receipt-id": "bye"}
    assert client.conversation.ending == "close"
    assert client.steps(8) == []
    silent = Client(connect=False)
    assert silent.raw(b"DISCONNECT\n\n\0") == []
    assert silent.conversation.ending == "close"


def test_text_messages_and_binary_ones_are_understood_alike() -> None:
    client = Client(connect=False)
    assert client.raw(CONNECT.decode())[0].command == "CONNECTED"


@pytest.mark.parametrize("beat", ["\n", b"\n", b"\n\n"])
def test_heart_beats_are_not_answered(beat: bytes | str) -> None:
    client = Client()
    assert client.raw(beat) == []
    assert client.venue.counters.errors_sent == 0


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"SEND\ndestination:x\n\nhello\0", "gateway.notimplemented"),
        (b"HELLO\n\n\0", "gateway.notimplemented"),
        (b"\0\0\0", "gateway.invalidrequest"),
        (b"{}", "gateway.invalidrequest"),
        (b"SUBSCRIBE\nno colon\n\n\0", "gateway.invalidrequest"),
        (SUBSCRIBE % (b"a\\nb", b"r"), "gateway.invalidrequest"),
        (SUBSCRIBE % (b"a", b"r\\r"), "gateway.invalidrequest"),
        (b"SUBSCRIBE\nid:" + b"x" * 300 + b"\n\n\0", "gateway.invalidrequest"),
        (b"UNSUBSCRIBE\nid:\xff\n\n\0", "gateway.invalidrequest"),
        ("\ud800", "gateway.invalidrequest"),
    ],
)
def test_what_is_not_understood_is_an_error_and_no_crash(data: bytes | str, code: str) -> None:
    client = Client()
    assert error_of(client.raw(data))["message"].startswith(code)
    assert client.conversation.ending == ""


def test_line_ends_of_another_system_end_the_connection_when_told_to() -> None:
    crlf = CONNECT.replace(b"\n", b"\r\n")
    assert Client(connect=False).raw(crlf)[0].command == "CONNECTED"
    strict = Client(connect=False, crlf="disconnect")
    assert strict.raw(crlf) == []
    assert strict.conversation.ending == "abort"


@settings(max_examples=150, deadline=None)
@given(
    start=st.sampled_from([b"", b"SUBSCRIBE\nid:a\n", b"REQUEST\nid:a\ndestination:SEARCH.ticker\nselector:", CONNECT]),
    tail=st.binary(max_size=80),
)
def test_no_bytes_make_the_venue_raise(start: bytes, tail: bytes) -> None:
    client = Client(VENUE)
    for frame in client.raw(start + tail):
        assert frame.command in ("ERROR", "RECEIPT", "REPLY", "MESSAGE", "CONNECTED")


VENUE = MoexVenue(MoexSimOptions(start_ns=START_NS), securities=LISTED)


def test_selectors_are_parsed_or_refused_whole() -> None:
    assert selector('a="1" and B="x y"', {"A", "B"}) == {"A": "1", "B": "x y"}
    for bad in ("", 'a="1" and', 'a="1" b="2"', 'a="1" and a="2"', 'c="1"', 'a="1"; b="2"', 'a="1'):
        with pytest.raises(MoexRefusal):
            selector(bad, {"A", "B"})


@pytest.mark.parametrize("rate", [0.5, 0.0, 5000.0, float("nan")])
def test_a_rate_that_breaks_the_markets_promises_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        MoexSimOptions(rate=rate)
