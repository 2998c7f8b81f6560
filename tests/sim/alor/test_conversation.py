"""What the simulated ALOR answers, without a socket."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus.sim.alor.conversation import AlorConversation, AlorRefusal, seconds_of
from feedbus.sim.alor.market import futures
from feedbus.sim.alor.venue import AlorSimOptions, AlorVenue
from feedbus.sim.moex.catalogue import securities

START_NS = 1_719_825_533_789_000_000
NOW = 1_800_000_000_000_000_000
LISTED = [*securities()[:3], *futures()[:1]]
HANDLED = {"requestGuid": "a", "httpCode": 200, "message": "Handled successfully"}
FEEDS = (
    "OrderBookGetAndSubscribe", "AllTradesGetAndSubscribe", "AllTradesSubscribe", "QuotesSubscribe",
    "BarsGetAndSubscribe", "InstrumentsGetAndSubscribeV2",
)  # fmt: skip


class Client:
    """Talks to one conversation."""

    def __init__(self, **options: Any) -> None:
        self.venue = AlorVenue(AlorSimOptions(**{"start_ns": START_NS, "ack": "first", **options}), securities=LISTED)
        self.conversation = AlorConversation(self.venue)
        self.token = self.venue.tokens.issue(NOW)

    def raw(self, data: bytes | str, now_ns: int = NOW) -> list[Any]:
        return [msgspec.json.decode(each) for each in self.conversation.receive(data, now_ns)]

    def send(self, opcode: str, guid: object = "a", now_ns: int = NOW, **keys: Any) -> list[Any]:
        request = {"opcode": opcode, "exchange": "MOEX", "code": "SBER", "guid": guid, "token": self.token, **keys}
        return self.raw(msgspec.json.encode(request), now_ns)

    def subscribe(self, opcode: str, guid: str = "a", **keys: Any) -> list[Any]:
        if opcode == "BarsGetAndSubscribe":
            keys = {"tf": 60, "from": START_NS // 10**9 - 300, **keys}
        return self.send(opcode, guid, **keys)

    def steps(self, count: int) -> list[Any]:
        frames: list[Any] = []
        for _ in range(count):
            self.venue.market.advance()
            frames += [msgspec.json.decode(each) for each in self.conversation.due()]
        return frames


def answer(code: int, message: str, guid: str = "a") -> list[Any]:
    return [{"requestGuid": guid, "httpCode": code, "message": message}]


@pytest.mark.parametrize("opcode", FEEDS)
@pytest.mark.parametrize("form", ["Simple", "slim", "HEAVY"])
def test_every_feed_is_acknowledged_begins_and_goes_on_in_every_format(opcode: str, form: str) -> None:
    client = Client()
    acknowledged, *first = client.subscribe(opcode, format=form, depth=2)
    assert acknowledged == HANDLED
    later = client.steps(250)
    assert first
    assert later
    assert {each["guid"] for each in (*first, *later)} == {"a"}
    assert client.venue.counters.subscriptions == 1


def test_a_frame_is_spaced_as_captured_unless_it_shall_be_compact() -> None:
    for spacing, start, end in (("wide", '{ "data": {', '}, "guid":"a" }'), ("compact", '{"data":{', '},"guid":"a"}')):
        client = Client(spacing=spacing)
        client.subscribe("OrderBookGetAndSubscribe")
        client.venue.market.advance()
        for _ in range(10):
            client.venue.market.advance()
        (frame,) = client.conversation.due()
        assert isinstance(frame, str)
        assert frame.startswith(start)
        assert frame.endswith(end)


def test_without_a_format_and_a_depth_it_is_simple_and_twenty_deep() -> None:
    _, book = Client().subscribe("OrderBookGetAndSubscribe")
    assert list(book["data"]) == ["snapshot", "bids", "asks", "timestamp", "ms_timestamp", "existing"]
    assert len(book["data"]["bids"]) == 10
    assert len(Client().subscribe("AllTradesGetAndSubscribe")) == 1


@pytest.mark.parametrize(
    ("keys", "levels"),
    [({"depth": 1}, 1), ({"depth": 7}, 7), ({"depth": 0}, 1), ({"depth": -5}, 1), ({"depth": 999}, 10)],
)
def test_a_depth_out_of_range_is_the_nearest(keys: dict[str, Any], levels: int) -> None:
    _, book = Client().subscribe("OrderBookGetAndSubscribe", **keys)
    assert len(book["data"]["asks"]) == levels


@pytest.mark.parametrize(
    ("keys", "apart_ms"),
    [
        ({}, 200),
        ({"frequency": 0}, 50),
        ({"frequency": 1000}, 1000),
        ({"format": "Heavy"}, 500),
        ({"format": "Heavy", "frequency": 10}, 500),
        ({"format": "Slim", "frequency": 10}, 50),
    ],
)
def test_books_come_at_most_once_in_the_frequency_or_the_least_of_the_format(
    keys: dict[str, Any], apart_ms: int
) -> None:
    client = Client(rate=20.0)
    client.subscribe("OrderBookGetAndSubscribe", **keys)
    books = client.steps(200)
    assert 0.8 * 10_000 / apart_ms <= len(books) <= 10_000 / apart_ms


def test_the_acknowledgement_comes_before_or_after_the_data_and_both_happen() -> None:
    firsts = set()
    for guid in map(str, range(20)):
        order = ["httpCode" in frame for frame in Client(ack="seed").subscribe("QuotesSubscribe", guid)]
        assert sorted(order) == [False, True]
        assert order == ["httpCode" in frame for frame in Client(ack="seed").subscribe("QuotesSubscribe", guid)]
        firsts.add(order[0])
    assert firsts == {True, False}
    assert "httpCode" in Client(ack="last").subscribe("QuotesSubscribe")[-1]


@pytest.mark.parametrize("opcode", [*FEEDS, "unsubscribe", "ping"])
@pytest.mark.parametrize("token", [None, "", "x", "a.b.c", 5, ["x"]])
def test_every_request_needs_a_good_token(opcode: str, token: object) -> None:
    client = Client()
    assert client.send(opcode, token=token) == answer(401, "Invalid JWT token!")
    assert (client.venue.counters.tokens_refused, client.venue.counters.errors_sent) == (1, 1)


def test_a_subscription_outlives_its_token() -> None:
    client = Client(token_s=10)
    client.subscribe("OrderBookGetAndSubscribe")
    late = NOW + 11 * 10**9
    assert client.send("ping", "p", late, confirm=True) == answer(401, "Invalid JWT token!", "p")
    assert client.send("unsubscribe", "a", late) == answer(401, "Invalid JWT token!")
    assert len(client.steps(50)) > 5
    client.token = client.venue.tokens.issue(late)
    assert client.send("unsubscribe", "a", late) == [HANDLED]
    assert client.steps(50) == []


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"code": "NOPE"}, "no such instrument"),
        ({"exchange": "SPBX"}, "no such instrument"),
        ({"instrumentGroup": "TQTF"}, "no such instrument"),
        ({"code": None}, "no such instrument"),
        ({"opcode": "Nonsense"}, "no such opcode as Nonsense"),
        ({"opcode": "PositionsGetAndSubscribeV2"}, "no such opcode as PositionsGetAndSubscribeV2"),
        ({"opcode": None}, "no such opcode as None"),
        ({"opcode": ["QuotesSubscribe"]}, "no such opcode as ['QuotesSubscribe']"),
        ({"format": "Fat"}, "no such format"),
        ({"format": 5}, "no such format"),
        ({"depth": "ten"}, "depth is not a number"),
        ({"frequency": True}, "frequency is not a number"),
        ({"opcode": "BarsGetAndSubscribe", "tf": "7"}, "no such time frame"),
    ],
)
def test_what_can_not_be_done_is_refused_and_the_connection_stays(keys: dict[str, Any], message: str) -> None:
    client = Client()
    request = {"opcode": "OrderBookGetAndSubscribe", **keys}
    assert client.send(**request) == answer(400, f"Bad request: {message}")
    assert client.steps(20) == []
    assert client.conversation.ending == ""
    assert client.subscribe("OrderBookGetAndSubscribe")[0] == HANDLED


@pytest.mark.parametrize("data", [b"", b"\xff", "nonsense", "[]", "5", "null", '{"a":', b"[" * 5000])
def test_what_is_no_request_is_answered_without_a_guid(data: bytes | str) -> None:
    assert Client().raw(data) == answer(400, "Bad request: not a JSON object", "")


@pytest.mark.parametrize("guid", [None, "", ["a"], True, 1.5, "x" * 257])
def test_a_request_needs_a_guid(guid: object) -> None:
    assert Client().send("QuotesSubscribe", guid) == answer(400, "Bad request: no guid", "")


@pytest.mark.parametrize(("guid", "echoed"), [("b0_3", "b0_3"), ('q"x', 'q"x'), (17, "17"), ("ü", "ü")])
def test_a_guid_is_echoed(guid: object, echoed: str) -> None:
    acknowledged, data = Client().send("QuotesSubscribe", guid)
    assert (acknowledged["requestGuid"], data["guid"]) == (echoed, echoed)


def test_keys_that_are_not_known_are_passed_over() -> None:
    client = Client()
    keys: dict[str, Any] = {
        "repeatCount": 3,
        "delayed": False,
        "confirm": True,
        "prev": {"data": {"time": 1}},
        "includeVirtualTrades": True,
    }
    assert client.subscribe("BarsGetAndSubscribe", **keys)[0] == HANDLED


@pytest.mark.parametrize(("keys", "answered"), [({"confirm": True}, [HANDLED]), ({"confirm": False}, []), ({}, [])])
def test_a_ping_is_answered_when_it_asks_for_it(keys: dict[str, Any], answered: list[Any]) -> None:
    assert Client().send("ping", **keys) == answered


@pytest.mark.parametrize("late", [0, 1, 3])
def test_after_an_unsubscribe_come_only_so_many_late_messages(late: int) -> None:
    client = Client(late_frames=late)
    client.subscribe("AllTradesGetAndSubscribe")
    client.subscribe("OrderBookGetAndSubscribe", "b")
    client.steps(3)
    assert client.send("unsubscribe") == [HANDLED]
    frames = client.steps(200)
    assert sum(frame["guid"] == "a" for frame in frames) == late
    assert sum(frame["guid"] == "b" for frame in frames) > 20


@pytest.mark.parametrize(
    ("code", "message"), [(200, "Handled successfully"), (400, "Bad request: no such subscription")]
)
def test_an_unsubscribe_of_what_is_not_subscribed_is_answered_as_the_options_say(code: int, message: str) -> None:
    client = Client(unknown_unsubscribe=code, late_frames=5)
    assert client.send("unsubscribe") == answer(code, message)
    client.subscribe("QuotesSubscribe")
    assert client.send("unsubscribe") == [HANDLED]
    assert client.send("unsubscribe") == answer(code, message)


def test_a_guid_that_is_used_again_has_the_new_subscription() -> None:
    client = Client(max_subscriptions=1)
    client.subscribe("OrderBookGetAndSubscribe", format="Simple")
    assert client.subscribe("OrderBookGetAndSubscribe", format="Slim")[0] == HANDLED
    assert all("b" in frame["data"] for frame in client.steps(40))


def test_subscriptions_are_limited_and_one_that_ends_makes_room() -> None:
    client = Client(max_subscriptions=2)
    for guid in ("a", "b"):
        assert client.subscribe("QuotesSubscribe", guid)[0]["httpCode"] == 200
    assert client.subscribe("QuotesSubscribe", "c") == answer(400, "Bad request: too many subscriptions", "c")
    client.send("unsubscribe", "a")
    assert client.subscribe("QuotesSubscribe", "c")[0]["httpCode"] == 200


def test_the_same_seed_and_requests_give_the_same_messages() -> None:
    def messages(seed: int) -> list[Any]:
        client = Client(seed=seed, ack="seed")
        return [*[client.subscribe(each, each, depth=5) for each in FEEDS], client.steps(100)]

    assert messages(1) == messages(1)
    assert messages(1) != messages(2)


@pytest.mark.parametrize(
    ("frame", "seconds"),
    [(15, 15), ("15", 15), (1, 1), ("60", 60), (60, 60), ("300", 300), (900, 900), (3600, 3600), ("14400", 14400),
     ("D", 86400), (86400, 86400), ("W", 604800), ("604800", 604800)],
)  # fmt: skip
def test_a_time_frame_is_seconds_a_day_or_a_week(frame: object, seconds: int) -> None:
    assert seconds_of(frame) == seconds


@pytest.mark.parametrize(
    "frame", [None, 0, -60, 7, "25", 61, 420, "", "M", "Y", True, 60.0, "²", "9" * 30, 10**40, [60]]
)
def test_other_time_frames_are_not_simulated(frame: object) -> None:
    with pytest.raises(AlorRefusal):
        seconds_of(frame)


SCRAPS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
KEYS = st.sampled_from(
    [
        "opcode",
        "exchange",
        "code",
        "instrumentGroup",
        "depth",
        "format",
        "frequency",
        "tf",
        "from",
        "skipHistory",
        "guid",
    ]
)


@settings(max_examples=150, deadline=None)
@given(opcode=st.sampled_from([*FEEDS, "unsubscribe", "ping"]), keys=st.dictionaries(KEYS, SCRAPS | st.lists(SCRAPS)))
def test_no_request_breaks_a_conversation(opcode: str, keys: dict[str, Any]) -> None:
    client = Client()
    request = {
        "opcode": opcode,
        "exchange": "MOEX",
        "code": "SBER",
        "tf": 60,
        "guid": "a",
        "token": client.token,
        **keys,
    }
    for answered in client.raw(msgspec.json.encode(request)):
        assert answered.keys() in ({"requestGuid", "httpCode", "message"}, {"data", "guid"})
        assert answered.get("httpCode", 200) in (200, 400)
    client.steps(3)
    assert client.conversation.ending == ""
    assert len(client.conversation._subscriptions) <= 1


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_no_message_breaks_a_conversation(data: bytes | str) -> None:
    client = Client()
    (answered,) = client.raw(data)
    assert answered["httpCode"] in (400, 401)
