"""The conversation with ALOR, call by call: what each call of a Session yields."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Self

import pytest

from feedbus.errors import BadData, TimedOut
from feedbus.schema.events import BookSnapshot, Event, Quote, Ticker, Trade
from feedbus.venues.alor.requests import USUAL, Options
from feedbus.venues.alor.session import MAX_ENDING, Session
from feedbus.venues.alor.tokens import AccessTokens
from feedbus.venues.protocol import (
    AccountDue,
    Close,
    Confirmed,
    Fatal,
    Fetch,
    FetchResponse,
    Notice,
    Ready,
    Refused,
    Resync,
    Send,
    Skipped,
    Subscription,
    WakeAt,
)
from feedbus.venues.turns import RateBucket, TurnLine, Turns
from tests import places
from tests.venues import script

CAPTURES = places.CAPTURES / "alor"
SECRET = "the-refresh-token"
BOOKS = ("orderbook",)
SBER = Subscription("orderbook", "SBER")
GAZP = Subscription("orderbook", "GAZP")
OPCODES = {
    "orderbook": "OrderBookGetAndSubscribe",
    "alltrades": "AllTradesGetAndSubscribe",
    "quotes": "QuotesSubscribe",
}
MS = 1_702_631_123_780
UNAUTHORIZED = "Invalid JWT token!"


def asks(guid: str, subscription: Subscription, token: str = "tok1") -> Send:
    request: dict[str, Any] = {"opcode": OPCODES[subscription.channel], "exchange": "MOEX"}
    request["code"] = subscription.symbol
    match subscription.channel:
        case "orderbook":
            request |= {"depth": 20, "frequency": 100}
        case "alltrades":
            request["includeVirtualTrades"] = False
        case _:
            request["frequency"] = 100
    return sent({**request, "format": "Slim", "guid": guid, "token": token})


def ends(guid: str, token: str = "tok1") -> Send:
    return sent({"opcode": "unsubscribe", "guid": guid, "token": token})


def pings(guid: str, token: str = "tok1") -> Send:
    return sent({"opcode": "ping", "guid": guid, "confirm": True, "token": token})


def sent(request: dict[str, Any]) -> Send:
    return Send(json.dumps(request, separators=(",", ":")))


def ack(guid: str, code: int = 200, message: str = "Handled successfully") -> bytes:
    return json.dumps({"requestGuid": guid, "httpCode": code, "message": message}).encode()


def data(guid: str, body: str) -> bytes:
    return f'{{ "data": {body}, "guid":"{guid}" }}'.encode()


def book(guid: str, bid: float) -> bytes:
    return data(guid, f'{{"b":[{{"p":{bid},"v":10}}],"a":[],"t":{MS},"h":false}}')


def book_of(symbol: str, bid: float) -> BookSnapshot:
    return BookSnapshot("alor", symbol, MS * 1_000_000, 7, [(bid, 10.0)], [], None, True, True)


class Script(script.Script[Session]):
    """Up to where a test begins."""

    def __init__(self, *symbols: str, channels: Sequence[str] = BOOKS, token: bool = True, **options: Any) -> None:
        self.tokens = AccessTokens(SECRET)
        super().__init__(Session(self.tokens, Options(**options), channels, symbols))
        if token:
            self.has_token("tok1")

    def has_token(self, text: str) -> Self:
        """The Account gets a token, which lives for 30 minutes; what was granted before is not forgotten."""
        granted = self.tokens.granted
        (fetch,) = self.tokens.start(self.now)
        assert isinstance(fetch, Fetch)
        self.tokens.fetched(fetch, FetchResponse(200, json.dumps({"AccessToken": text}).encode(), 1), self.now)
        self.tokens.granted = granted
        return self

    def live(self, *guids: str) -> Self:
        """Open, with the first book of each of these."""
        self.asked()
        for guid in guids:
            self.yields("ack", self.session.frame(ack(guid), 7, self.now), None)
            self.yields("book", self.session.frame(book(guid, 1.5), 7, self.now), None)
        return self


# Opening


def test_what_is_wanted_is_asked_for_as_soon_as_the_connection_is_open() -> None:
    script = Script("SBER", channels=USUAL).stands(wanted=1)
    asked = [asks(f"{channel[0]}{number}", Subscription(channel, "SBER")) for number, channel in enumerate(USUAL, 1)]
    script.opened(*asked, WakeAt(10.0)).stands(sent=1)


def test_without_a_token_nothing_is_asked_until_the_account_has_one() -> None:
    script = Script("SBER", token=False).opened().at(3.0).ticked().stands(wanted=1)
    script.subscribed(["GAZP"]).unsubscribed(["GAZP"]).stands(wanted=1)
    script.at(50.0).has_token("tok1").ticked(asks("o1", SBER), WakeAt(60.0)).stands(sent=1)


def test_nothing_is_sent_before_the_connection_is_open() -> None:
    script = Script("SBER").ticked().subscribed(["GAZP"]).unsubscribed(["SBER"]).stands(wanted=1)
    script.opened(asks("o1", GAZP), WakeAt(10.0))


def test_a_token_that_ended_is_not_sent() -> None:
    script = Script("SBER").live("o1").at(1800.0).subscribed(["GAZP"]).ticked(WakeAt(1815.0)).stands(live=1, wanted=1)
    script.has_token("tok2").ticked(asks("o2", GAZP, "tok2"), WakeAt(1810.0))


def test_without_a_token_it_holds_up_nobody_who_waits_for_a_turn() -> None:
    line = TurnLine(RateBucket(1, 100.0))
    session = Script("SBER", "GAZP").session
    session.turns = Turns(line=line)
    assert list(session.opened(0.0)) == [asks("o1", SBER), WakeAt(10.0)]
    session.frame(ack("o1"), 7, 1.0)
    assert len(line) == 1
    assert not [effect for effect in session.tick(1801.0) if isinstance(effect, Send)]
    assert len(line) == 0


def test_every_message_carries_the_token_of_its_moment() -> None:
    script = Script("SBER").live("o1").at(1200.0).has_token("tok2")
    script.subscribed(["GAZP"], asks("o2", GAZP, "tok2"))
    script.at(1202.0).unsubscribed(["SBER"], ends("o1", "tok2")).stands(sent=1)


# Asking, and the answers


def test_requests_go_out_ten_every_quarter_of_a_second() -> None:
    symbols = [f"S{number}" for number in range(25)]
    all_ = [asks(f"o{number + 1}", Subscription("orderbook", symbol)) for number, symbol in enumerate(symbols)]
    script = Script(*symbols).opened(*all_[:10], WakeAt(0.25)).stands(sent=10, wanted=15)
    script.at(0.2).ticked(WakeAt(0.25)).at(0.25).ticked(*all_[10:20], WakeAt(0.5))
    script.at(0.3).subscribed(["LATE"])
    late = asks("o26", Subscription("orderbook", "LATE"))
    script.at(0.5).ticked(*all_[20:], late, WakeAt(10.0)).stands(sent=26)


@pytest.mark.parametrize("code", [200, 404])
def test_what_the_venue_answers_sooner_lets_as_many_more_go(code: int) -> None:
    symbols = [f"S{number}" for number in range(25)]
    all_ = [asks(f"o{number + 1}", Subscription("orderbook", symbol)) for number, symbol in enumerate(symbols)]
    script = Script(*symbols).opened(*all_[:10], WakeAt(0.25)).at(0.02)
    effects = [list(script.session.frame(ack(f"o{number}", code), 7, 0.02)) for number in range(1, 6)]
    assert [effect for each in effects for effect in each if isinstance(effect, Send)] == all_[10:15]


def test_the_first_answer_opens_the_conversation_and_confirms() -> None:
    script = Script("SBER", "GAZP").asked().at(1.0)
    script.received(ack("o1"), Ready(), WakeAt(11.0), Confirmed(SBER)).stands(confirmed=1, sent=1)
    script.received(ack("o2"), Confirmed(GAZP)).received(ack("o2")).counted(unknown_guids=0, late_frames=0)
    script.at(10.0).ticked(WakeAt(16.0)).stands(confirmed=2)


def test_data_before_the_answer_opens_the_conversation_and_confirms() -> None:
    script = Script("SBER").asked().at(1.0)
    script.received(book("o1", 1.5), Ready(), WakeAt(16.0), Confirmed(SBER), book_of("SBER", 1.5)).stands(live=1)
    script.received(ack("o1")).received(book("o1", 2.5), book_of("SBER", 2.5)).stands(live=1)


def test_bad_data_before_the_answer_confirms_and_is_not_live() -> None:
    script = Script("SBER").asked()
    skipped = Skipped(BadData("orderbook SBER", "Object missing required field `a` - at `$.data`"))
    script.received(data("o1", '{"b":[]}'), Ready(), WakeAt(15.0), Confirmed(SBER), skipped).stands(confirmed=1)
    script.received(book("o1", 1.5), book_of("SBER", 1.5)).stands(live=1)


@pytest.mark.parametrize("code", [400, 404])
def test_an_answer_about_the_instrument_opens_the_conversation_too(code: int) -> None:
    script = Script("SBER", "GAZP").asked()
    refused = Refused(SBER, f"{code} no such instrument")
    script.received(ack("o1", code, "no such instrument"), Ready(), refused, WakeAt(5.0)).stands(refused=1, sent=1)


@pytest.mark.parametrize("code", [403, 429, 500, 503, 0, 201])
def test_another_answer_refuses_and_says_nothing_of_the_token(code: int) -> None:
    script = Script("SBER").asked().received(ack("o1", code, "no"), Ready(), Refused(SBER, f"{code} no"), WakeAt(5.0))
    assert not script.tokens.granted


def test_a_live_subscription_may_be_ended_by_the_venue() -> None:
    script = Script("SBER").live("o1").received(ack("o1", 503, "restart"), Refused(SBER, "503 restart"), WakeAt(5.0))
    script.received(book("o1", 1.5)).stands(refused=1).counted(late_frames=1)
    script.at(5.0).ticked(asks("o2", SBER), WakeAt(15.0))


# 401


def test_a_refused_token_is_told_to_the_account_once_and_all_is_asked_again_with_the_next() -> None:
    script = Script("SBER", "GAZP").asked().at(1.0)
    script.received(ack("o1", 401, UNAUTHORIZED), AccountDue(), WakeAt(11.0)).stands(wanted=1, sent=1)
    script.received(ack("o2", 401, UNAUTHORIZED)).stands(wanted=2).counted(unauthorized=2)
    script.at(2.0).ticked().at(12.0).ticked().stands(wanted=2)
    script.has_token("tok2").ticked(asks("o3", SBER, "tok2"), asks("o4", GAZP, "tok2"), WakeAt(22.0))
    script.received(ack("o3"), Ready(), Confirmed(SBER)).stands(confirmed=1, sent=1)


def test_a_401_for_an_old_token_does_not_concern_the_new_one() -> None:
    script = Script("SBER").asked().at(1.0).has_token("tok2")
    script.received(ack("o1", 401, UNAUTHORIZED), asks("o2", SBER, "tok2"), WakeAt(11.0)).stands(sent=1)
    assert script.tokens.current(1.0) is not None


def test_a_second_401_with_another_token_refuses_the_subscription_where_others_were_granted() -> None:
    script = Script("SBER", "GAZP").asked().received(ack("o2"), Ready(), Confirmed(GAZP))
    script.received(ack("o1", 401, UNAUTHORIZED), AccountDue(), WakeAt(15.0)).at(5.0).has_token("tok2")
    script.ticked(asks("o3", SBER, "tok2"), WakeAt(15.0))
    script.received(ack("o3", 401, UNAUTHORIZED), Refused(SBER, f"401 {UNAUTHORIZED}"), WakeAt(10.0))
    script.counted(unauthorized=2).stands(refused=1, confirmed=1)
    assert script.tokens.current(5.0) is not None, "the others go on with the token"
    script.at(10.0).ticked(asks("o4", SBER, "tok2"), WakeAt(15.0))
    script.received(ack("o4", 401, UNAUTHORIZED), AccountDue()).stands(wanted=1, confirmed=1)


def test_a_second_401_is_fatal_where_no_token_was_ever_taken() -> None:
    script = Script("SBER").asked().received(ack("o1", 401, UNAUTHORIZED), AccountDue()).has_token("tok2")
    script.at(1.0).ticked(asks("o2", SBER, "tok2"), WakeAt(11.0))
    script.received(
        ack("o2", 401, UNAUTHORIZED), Fatal(f"the venue takes no access token of this account: 401 {UNAUTHORIZED}")
    )


def test_another_session_s_grant_is_one_of_the_account() -> None:
    script = Script("SBER").asked()
    other = Session(script.tokens, Options(), BOOKS, ["GAZP"])
    list(other.opened(0.0))
    list(other.frame(ack("o1"), 7, 0.0))
    script.received(ack("o1", 401, UNAUTHORIZED), AccountDue()).has_token("tok2").at(1.0)
    script.ticked(asks("o2", SBER, "tok2"), WakeAt(11.0))
    script.received(ack("o2", 401, UNAUTHORIZED), Refused(SBER, f"401 {UNAUTHORIZED}"), WakeAt(6.0))


def test_a_confirmation_between_two_401s_is_a_new_start() -> None:
    script = Script("SBER").live("o1")
    script.received(ack("o1", 401, UNAUTHORIZED), AccountDue()).stands(wanted=1).at(5.0).has_token("tok2")
    script.ticked(asks("o2", SBER, "tok2"), WakeAt(15.0)).received(ack("o2"), Confirmed(SBER))
    script.received(ack("o2", 401, UNAUTHORIZED), AccountDue()).stands(wanted=1)


# Routing


def test_data_is_routed_by_its_guid_alone() -> None:
    script = Script("SBER", "GAZP").live("o1", "o2")
    script.received(book("o2", 2.5), book_of("GAZP", 2.5)).received(book("o1", 3.5), book_of("SBER", 3.5))
    inside = f'{{"b":[],"a":[],"t":{MS},"x":{{"guid":"o1"}}}}'
    script.received(data("o2", inside), BookSnapshot("alor", "GAZP", MS * 1_000_000, 7, [], [], None, True, True))
    swapped = f'{{"guid":"o2","data":{{"b":[],"a":[],"t":{MS},"guid":"o1"}}}}'.encode()
    script.received(swapped, BookSnapshot("alor", "GAZP", MS * 1_000_000, 7, [], [], None, True, True))
    script.counted(unknown_guids=0, late_frames=0)


@pytest.mark.parametrize("spaced", ["{ %s }", "{%s}", "\n{\t%s\r\n}\n"])
@pytest.mark.parametrize("order", [0, 1])
def test_neither_spaces_nor_the_order_of_keys_matter(spaced: str, order: int) -> None:
    script = Script("SBER").live("o1")
    parts = [f'"data" : {{"b":[{{"p":2.5,"v":10}}],"a":[],"t":{MS}}}', '"guid" : "o1"']
    frame = (spaced % ", ".join(parts[::-1] if order else parts)).encode()
    script.received(frame, book_of("SBER", 2.5)).received(frame, book_of("SBER", 2.5))


@pytest.mark.parametrize(
    ("guid", "counter"),
    [
        ("", "unknown_guids"),
        ("o", "unknown_guids"),
        ("o0", "unknown_guids"),
        ("o9", "unknown_guids"),
        ("01GMM8RJ59N9AY05F8FGQEF3JC", "unknown_guids"),
        ("o" + "1" * 5000, "unknown_guids"),
        ("o\u0661", "unknown_guids"),
        ("o-1", "unknown_guids"),
        ("p9", "unknown_guids"),
        ("o2", "late_frames"),
    ],
)
def test_a_guid_that_is_not_subscribed_is_counted_and_passed_over(guid: str, counter: str) -> None:
    script = Script("SBER", "GAZP").live("o1", "o2").at(1.0).unsubscribed(["GAZP"], ends("o2"), WakeAt(15.0))
    script.received(ack("o2")).received(book(guid, 1.5)).received(ack(guid)).received(ack(guid, 500, "x"))
    script.counted(**{counter: 3}).stands(live=1)


def test_a_guid_that_is_a_number_is_nobody_s() -> None:
    script = Script("SBER").live("o1").received(b'{"data":{},"guid":1}').received(b'{"requestGuid":1,"httpCode":200}')
    script.counted(unknown_guids=2)


_NO_NUMBER = "orderbook SBER: Expected `float`, got `str` - at `$.data.a[0].p`"


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "frame: Input data was truncated"),
        (b"{}", "frame: neither data with a guid nor an answer with a code"),
        (b'{"data":{}}', "frame: neither data with a guid nor an answer with a code"),
        (b'{"requestGuid":"o1"}', "frame: neither data with a guid nor an answer with a code"),
        (b'{"requestGuid":"o1","httpCode":"200"}', "frame: Expected `int | null`, got `str` - at `$.httpCode`"),
        (b'{"requestGuid":"o1","httpCode":10000}', "frame: Expected `int` <= 9999 - at `$.httpCode`"),
        (b'{"data":null,"guid":"o1"}', "orderbook SBER: Expected `object`, got `null` - at `$.data`"),
        (book("o1", 1.5)[:-3], "frame: Input data was truncated"),
        (book("o1", 1.5) + b"x", "frame: JSON is malformed: trailing characters (byte 85)"),
        (data("o1", '{"b":[],"a":[{"p":"1","v":1}]}'), _NO_NUMBER),
        (b'{"data":' * 3000, "frame: maximum recursion depth exceeded while deserializing an object"),
    ],
)
def test_a_frame_that_can_not_be_used_is_skipped_and_the_next_one_is_not(frame: bytes, reason: str) -> None:
    place, _, text = reason.partition(": ")
    script = Script("SBER").live("o1").received(frame, Skipped(BadData(place, text)))
    script.received(book("o1", 2.5), book_of("SBER", 2.5)).stands(live=1)


def test_a_pong_that_is_no_json_is_tolerated() -> None:
    Script("SBER").live("o1").received(b"pong").received(b" pong\r\n").counted(pongs=2).stands(live=1)


def test_answers_to_no_request_are_noticed_each_once_and_not_very_many() -> None:
    script = Script("SBER").live("o1")
    said = b'{"httpCode":400,"message":"Bad\x07 JSON"}'.replace(b"\x07", b"\\u0007")
    script.received(said, Notice("an answer to no request: 400 Bad JSON")).received(said)
    script.received(b'{"httpCode":500,"message":{"a":1}}', Notice("an answer to no request: 500 no message"))
    for number in range(20):
        frame = f'{{"httpCode":{number},"message":"x"}}'.encode()
        script.yields("answer", script.session.frame(frame, 7, 0.0), None)
    assert sum("an answer to no request" in line for line in script.talk) == 8
    script.counted(unnamed_answers=23)


# Channels


def test_trades_of_the_past_are_counted_and_confirm_but_are_not_published() -> None:
    script = Script("SBER", channels=("alltrades",)).asked()
    past = data("a1", '{"id":1,"sym":"SBER","q":1,"px":1,"t":1,"h":true,"s":"buy"}')
    script.received(past, Ready(), WakeAt(15.0), Confirmed(Subscription("alltrades", "SBER"))).stands(confirmed=1)
    script.received(past).counted(existing_trades=2)
    now_ = data("a1", '{"id":2,"sym":"SBER","q":1,"px":1,"t":1,"h":false,"s":"buy"}')
    live = Trade("alor", "SBER", 1_000_000, 7, 1.0, 1.0, "buy", 2)
    script.received(now_, live).stands(live=1).received(past).received(now_, live).counted(existing_trades=3)


def test_an_empty_book_is_data() -> None:
    script = Script("SBER").asked()
    empty = BookSnapshot("alor", "SBER", 1_671_223_802_393_000_000, 7, [], [], None, True, True)
    frame = data("o1", '{"b":[],"a":[],"t":1671223802393,"h":true}')
    script.received(frame, Ready(), WakeAt(15.0), Confirmed(SBER), empty).stands(live=1)


def test_the_captured_conversation_is_had_in_its_order() -> None:
    if not CAPTURES.exists():
        pytest.skip("the captures are not here")
    script = Script("SBER", format="Simple").asked()
    book_, answer = (
        line.replace(b"01GMM8RJ59N9AY05F8FGQEF3JC", b"o1")
        for line in (CAPTURES / "captured_alor4go_orderbook_20221216.jsonl").read_bytes().splitlines()
    )
    empty = BookSnapshot("alor", "SBER", 1_671_223_802_393_000_000, 7, [], [], None, True, True)
    script.received(book_, Ready(), WakeAt(15.0), Confirmed(SBER), empty).received(answer).stands(live=1)


# Giving up


def test_what_is_given_up_is_ended_by_its_guid_and_what_comes_late_is_counted() -> None:
    script = Script("SBER", "GAZP").live("o1", "o2").at(1.0).unsubscribed(["SBER"], ends("o1"), WakeAt(15.0))
    script.stands(live=1).received(book("o1", 1.5)).received(ack("o1")).received(book("o1", 1.5))
    script.counted(late_frames=2, unknown_guids=0, refused_requests=0).received(ack("o1")).counted(late_frames=3)


def test_what_is_taken_up_again_has_a_new_guid() -> None:
    script = Script("SBER").live("o1").at(1.0)
    script.unsubscribed(["SBER"], ends("o1")).at(2.0).subscribed(["SBER"], asks("o3", SBER), WakeAt(12.0))
    script.received(book("o1", 1.5)).counted(late_frames=1).stands(sent=1)
    script.received(ack("o1")).received(ack("o3"), Confirmed(SBER)).stands(confirmed=1)


def test_the_answers_of_a_request_and_of_its_end_are_told_apart_by_their_order() -> None:
    script = Script("SBER", "GAZP").asked().at(1.0).unsubscribed(["SBER"], ends("o1")).stands(sent=1)
    script.received(ack("o1")).received(ack("o1", 400, "no such subscription"))
    script.counted(refused_requests=1, late_frames=0).received(ack("o1")).counted(late_frames=1)
    script.at(10.0).ticked(Close(TimedOut("no answer to orderbook GAZP within 10 s")))


def test_what_is_not_answered_is_ended_and_asked_for_again_and_counts_as_refused_in_the_end() -> None:
    script = Script("SBER", "GAZP").asked().received(ack("o1"), Ready(), Confirmed(SBER)).at(10.0)
    script.ticked(ends("o2"), asks("o4", GAZP), WakeAt(15.0)).received(ack("o2")).received(ack("o2"))
    script.counted(unanswered=1, unknown_guids=0, late_frames=0).stands(confirmed=1, sent=1)
    script.session._pings.begin(1000.0)
    script.at(20.0).ticked(ends("o4"), asks("o6", GAZP), WakeAt(30.0))
    script.at(30.0).ticked(Refused(GAZP, "not answered 3 times"), ends("o6"), WakeAt(35.0))


def test_an_answer_to_an_earlier_request_is_not_one_to_the_last() -> None:
    script = Script("SBER").live("o1").received(ack("o1", 503, "no"), Refused(SBER, "503 no"), WakeAt(5.0))
    script.at(5.0).ticked(asks("o2", SBER), WakeAt(15.0)).at(6.0).unsubscribed(["SBER"], ends("o2"))
    script.received(ack("o2", 503, "no")).received(ack("o2")).counted(refused_requests=0, late_frames=0)


def test_an_end_that_is_refused_for_its_token_is_asked_for_once_more() -> None:
    script = Script("SBER").live("o1").at(1.0).unsubscribed(["SBER"], ends("o1"))
    script.received(ack("o1", 401, UNAUTHORIZED), AccountDue()).at(9.0).has_token("tok2")
    script.ticked(ends("o1", "tok2"), WakeAt(15.0)).received(ack("o1", 401, UNAUTHORIZED), AccountDue())
    script.counted(refused_requests=1, unauthorized=2).has_token("tok3").at(14.0).ticked(WakeAt(15.0))


def test_an_end_whose_token_was_renewed_meanwhile_is_asked_for_at_once() -> None:
    script = Script("SBER").live("o1").at(1.0).unsubscribed(["SBER"], ends("o1")).at(2.0).has_token("tok2")
    script.received(ack("o1", 401, UNAUTHORIZED), ends("o1", "tok2")).received(ack("o1")).counted(refused_requests=0)


def test_a_401_of_a_request_that_is_given_up_already_is_the_token_s() -> None:
    script = Script("SBER").asked().at(1.0).unsubscribed(["SBER"], ends("o1"))
    script.received(ack("o1", 401, UNAUTHORIZED), AccountDue()).received(ack("o1")).counted(unauthorized=1)


def test_ends_wait_for_a_token_and_go_first() -> None:
    script = Script("SBER").live("o1").at(1800.0).unsubscribed(["SBER"]).subscribed(["GAZP"]).stands(wanted=1)
    script.received(book("o1", 1.5)).counted(late_frames=1).has_token("tok2")
    script.ticked(pings("p2", "tok2"), ends("o1", "tok2"), asks("o4", GAZP, "tok2"), WakeAt(1810.0))


def test_ends_that_are_never_answered_are_forgotten_at_last() -> None:
    symbols = [f"S{number}" for number in range(MAX_ENDING + 10)]
    script = Script(*symbols)
    effects = list(script.session.opened(0.0))
    for effect in effects:  # each answer adds what it lets go
        if isinstance(effect, Send) and "OrderBook" in str(effect.data):
            effects += script.session.frame(ack(json.loads(effect.data)["guid"]), 7, script.now)
    script.stands(confirmed=len(symbols))
    list(script.session.unsubscribe(symbols, script.now))
    script.counted(forgotten=10).stands()


# Pings


def test_a_ping_is_sent_every_fifteen_seconds_from_the_first_answer_on() -> None:
    script = Script("SBER").asked().at(2.0)
    script.received(ack("o1"), Ready(), WakeAt(17.0), Confirmed(SBER))
    script.at(17.0).ticked(pings("p2"), WakeAt(32.0)).at(18.0).received(ack("p2")).counted(pings=1, pings_unanswered=0)
    script.at(32.0).ticked(pings("p3"), WakeAt(47.0)).at(47.0).ticked(pings("p4"), WakeAt(62.0))
    script.counted(pings=3, pings_unanswered=1, unknown_guids=0)


def test_where_pings_were_answered_a_minute_of_silence_is_the_end() -> None:
    script = Script("SBER").live("o1").at(15.0).ticked(pings("p2"), WakeAt(30.0)).received(ack("p2"))
    for guid, now in (("p3", 30.0), ("p4", 45.0), ("p5", 60.0)):
        script.at(now).ticked(pings(guid), WakeAt(now + 15))
    script.at(75.0).ticked(Close(TimedOut("nothing came for 60 s, not even answers to pings")))


def test_a_ping_tells_that_the_token_is_refused() -> None:
    script = Script("SBER").live("o1").at(15.0).ticked(pings("p2"), WakeAt(30.0))
    script.received(ack("p2", 401, UNAUTHORIZED), AccountDue()).at(30.0).ticked(WakeAt(45.0)).counted(pings=1)
    script.has_token("tok2").at(45.0).ticked(pings("p3", "tok2"), WakeAt(60.0)).stands(live=1)


def test_pings_that_are_not_understood_are_sent_no_more() -> None:
    script = Script("SBER").live("o1").at(15.0).ticked(pings("p2"), WakeAt(30.0))
    script.received(ack("p2", 400, "Bad opcode"), Notice("pings are refused, and not sent any more: 400 Bad opcode"))
    script.at(30.0).ticked().at(1000.0).ticked().counted(pings=1).stands(live=1)


# Secrets


@pytest.mark.parametrize("secret", [SECRET, "tok1", "eyJhbGciOi.eyJpYXQiOj.sig"])
def test_no_text_shows_a_secret_that_the_venue_speaks_of(secret: str) -> None:
    script = Script("SBER", channels=("alltrades",)).asked()
    trades = Subscription("alltrades", "SBER")
    script.received(ack("a1", 503, f"no: {secret}"), Ready(), Refused(trades, "503 no: ***"), WakeAt(5.0))
    said = f'{{"httpCode":400,"message":"of {secret}!"}}'.encode()
    script.received(said, Notice("an answer to no request: 400 of ***!"))
    script.at(5.0).ticked(asks("a2", trades), WakeAt(15.0))
    script.received(ack("a2"), WakeAt(20.0), Confirmed(trades))
    frame = data("a2", f'{{"id":1,"sym":"SBER","q":1,"px":1,"t":1,"s":"{secret}"}}')
    script.received(frame, Skipped(BadData("alltrades SBER", "Invalid enum value '***' - at `$.data.s`")))
    script.at(20.0).ticked(pings("p3"), WakeAt(35.0))
    script.received(ack("p3", 400, secret), Notice("pings are refused, and not sent any more: 400 ***"))


def test_fatal_shows_no_secret_either() -> None:
    script = Script("SBER").asked().received(ack("o1", 401, "tok1"), AccountDue()).has_token("tok2").at(1.0)
    script.ticked(asks("o2", SBER, "tok2"), WakeAt(11.0))
    script.received(
        ack("o2", 401, f"tok1 tok2 {SECRET}"), Fatal("the venue takes no access token of this account: 401 *** *** ***")
    )


def test_data_that_names_another_symbol_is_counted_and_not_published() -> None:
    script = Script("SBER", "GAZP", channels=["alltrades"]).asked()
    trade = f'{{"id":1,"sym":"%s","q":2,"px":3.5,"t":{MS},"s":"buy"}}'
    reason = "names another instrument than the one subscribed: 'GAZP'"
    skipped = Skipped(BadData("alltrades SBER", reason), Subscription("alltrades", "SBER"))
    for named, published in (("GAZP", False), ("SBER", True), ("GAZP", False), ("[N/A]", True)):
        effects = script.session.frame(data("a1", trade % named), 7, script.now)
        expected = Trade("alor", "SBER", MS * 1_000_000, 7, 3.5, 2.0, "buy", 1) if published else skipped
        assert repr([each for each in effects if isinstance(each, Event | Skipped)]) == repr([expected])
    script.counted(other_instruments=2)


# What is out of bounds

ODD = [("0", False), ("-0.0", False), ("-1e100", True), ("1e100", True), ("1e308", True)]


def test_a_price_below_zero_is_one_and_a_size_below_zero_is_none() -> None:
    script = Script("SBER", channels=["orderbook", "alltrades", "quotes"]).live("o1")
    [book, *_] = events_of(script, data("o1", '{"b":[{"p":-1.5,"v":10},{"p":-2,"v":-3}],"a":[{"p":-1.25,"v":4}]}'))
    assert isinstance(book, BookSnapshot)
    assert (book.bids, book.asks) == ([(-1.5, 10.0)], [(-1.25, 4.0)])
    assert (book.bids_whole, book.asks_whole) == (False, True)  # of the bids one was left out
    [trade] = events_of(script, data("a2", f'{{"id":1,"sym":"SBER","q":2,"px":-3.5,"t":{MS},"s":"buy"}}'))
    assert trade == Trade("alor", "SBER", MS * 1_000_000, 7, -3.5, 2.0, "buy", 1)
    quotes = events_of(script, data("q3", '{"sym":"SBER","bid":-1.5,"bv":5,"ask":-1.25,"av":6,"c":-1.5,"v":7}'))
    assert quotes[0] == Quote("alor", "SBER", 0, 7, -1.5, 5.0, -1.25, 6.0, None)


def events_of(script: Script, frame: bytes) -> list[Event]:
    return [effect for effect in script.session.frame(frame, 7, script.now) if isinstance(effect, Event)]


@pytest.mark.parametrize(("number", "told"), ODD)
@pytest.mark.parametrize("side", ["b", "a"])
@pytest.mark.parametrize("key", ["p", "v"])
def test_a_level_out_of_bounds_is_left_out_alone_and_counted(side: str, key: str, number: str, told: bool) -> None:
    script = Script("SBER").live("o1")
    good, bad = '{"p":1.5,"v":10}', '{"p":1.5,"v":10}'.replace({"p": "1.5", "v": "10"}[key], number)
    found = script.session.frame(data("o1", f'{{"{side}":[{good},{bad}],"{"ab".strip(side)}":[]}}'), 7, script.now)
    [book] = [effect for effect in found if isinstance(effect, BookSnapshot)]
    assert book.bids + book.asks == [(1.5, 10.0)]
    assert (book.bids_whole, book.asks_whole) == (side != "b", side != "a")
    assert sum(isinstance(effect, Skipped) for effect in found) == told
    assert script.session.counters()["levels_left_out"] == 1


@pytest.mark.parametrize(("number", "told"), ODD)
def test_a_price_out_of_bounds_is_none_and_so_is_the_size_of_that_side(number: str, told: bool) -> None:
    script = Script("SBER", channels=["quotes"]).live("q1")
    body = f'{{"sym":"SBER","bid":{number},"bv":5,"ask":2.5,"av":6,"c":{number},"v":7}}'
    found = script.session.frame(data("q1", body), 7, script.now)
    assert [effect for effect in found if not isinstance(effect, Skipped)] == [
        Quote("alor", "SBER", 0, 7, None, None, 2.5, 6.0, None),
        Ticker("alor", "SBER", 0, 7, ask=2.5, volume=7.0),
    ]
    assert sum(isinstance(effect, Skipped) for effect in found) == 2 * told
    assert script.session.counters()["values_left_out"] == 2


def test_one_book_is_got_anew_under_another_guid_and_its_neighbour_goes_on() -> None:
    script = Script("SBER", "GAZP").live("o1", "o2").at(1.0)
    script.resubscribed([SBER], "silent", Resync(SBER, "silent"), ends("o1"), asks("o4", SBER), WakeAt(11.0))
    script.received(book("o1", 1.5)).received(ack("o1")).counted(late_frames=1).stands(sent=1, live=1)
    script.received(book("o2", 2.5), book_of("GAZP", 2.5))
    script.received(book("o4", 3.5), Confirmed(SBER), book_of("SBER", 3.5)).stands(live=2)
