"""Conversations with the simulated Binance, without a socket."""

from __future__ import annotations

import gc
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus.sim.binance import streams as binance_streams
from feedbus.sim.binance.catalogue import pairs
from feedbus.sim.binance.conversation import BinanceConversation
from feedbus.sim.binance.server import converse
from feedbus.sim.binance.venue import BinanceSimOptions, BinanceVenue

START_NS = 1_723_161_255_208_000_000
SECOND = 1_000_000_000
LISTED = pairs()[:6]


def venue(**options: Any) -> BinanceVenue:
    return BinanceVenue(BinanceSimOptions(start_ns=START_NS, **options), listed=LISTED)


def begun(it: BinanceVenue, target: str = "/stream", now_ns: int = START_NS) -> BinanceConversation:
    conversation = converse(it, target, now_ns)
    assert conversation is not None
    return conversation


def asked(it: BinanceConversation, method: str, *params: Any, key: Any = 1, now_ns: int = 0) -> Any:
    """The one answer to a control message. Times are far enough apart unless they are given."""
    message = json.dumps({"method": method, "params": params, "id": key})
    asked.now_ns = now_ns or asked.now_ns + SECOND  # type: ignore[attr-defined]
    (answer,) = it.receive(message, asked.now_ns)  # type: ignore[attr-defined]
    return json.loads(answer)


asked.now_ns = 0  # type: ignore[attr-defined]


def steps(it: BinanceVenue, conversation: BinanceConversation, count: int) -> list[Any]:
    frames = []
    for _ in range(count):
        it.advance()
        frames += conversation.due()
    return [json.loads(frame) for frame in frames]


@pytest.mark.parametrize(
    ("target", "streams", "combined"),
    [
        ("/ws", [], False),
        ("/ws/", [], False),
        ("/ws/btcusdt@trade", ["btcusdt@trade"], False),
        ("/ws/btcusdt@trade/ethusdt@depth5", ["btcusdt@trade", "ethusdt@depth5"], False),
        ("/ws/btcusdt%40trade", ["btcusdt@trade"], False),
        ("/stream", [], True),
        ("/stream?streams=btcusdt@trade/ethusdt@depth@100ms", ["btcusdt@trade", "ethusdt@depth@100ms"], True),
        ("/stream?streams=btcusdt@trade/nope@trade", ["btcusdt@trade"], True),
        ("/stream?timeUnit=MICROSECOND&streams=btcusdt@trade", ["btcusdt@trade"], True),
        ("/stream?streams=btcusdt@trade/btcusdt@trade", ["btcusdt@trade"], True),
        ("/stream?streams=btcusdt@kline_1d@+08:00", ["btcusdt@kline_1d@+08:00"], True),
        ("/stream?streams=btcusdt@kline_1d@%2B08:00", ["btcusdt@kline_1d@+08:00"], True),
    ],
)
def test_a_url_says_which_streams_and_how_they_are_wrapped(target: str, streams: list[str], combined: bool) -> None:
    it = begun(venue(), target)
    assert asked(it, "LIST_SUBSCRIPTIONS") == {"result": streams, "id": 1}
    assert asked(it, "GET_PROPERTY", "combined", key=2) == {"result": combined, "id": 2}


@pytest.mark.parametrize("target", ["/", "", "/api/v3/ping", "/stream/x", "/streams", "/ws?timeUnit=HOUR", "//[x/ws"])
def test_there_is_nothing_elsewhere(target: str) -> None:
    assert converse(venue(), target, 1) is None


def test_a_subscription_is_confirmed_and_then_talks_in_its_envelope() -> None:
    shared = venue()
    it = begun(shared)
    assert asked(it, "SUBSCRIBE", "btcusdt@bookTicker", key="a-1") == {"result": None, "id": "a-1"}
    frames = steps(shared, it, 20)
    assert frames
    assert {frame["stream"] for frame in frames} == {"btcusdt@bookTicker"}
    assert all(list(frame["data"]) == ["u", "s", "b", "B", "a", "A"] for frame in frames)
    assert shared.counters.subscriptions == 1


def test_an_unknown_stream_is_confirmed_like_any_other_and_never_talks() -> None:
    shared = venue()
    it = begun(shared)
    assert asked(it, "SUBSCRIBE", "nopeusdt@trade", "BTCUSDT@trade") == {"result": None, "id": 1}
    assert steps(shared, it, 30) == []
    assert asked(it, "LIST_SUBSCRIPTIONS")["result"] == []


def test_an_unsubscribed_stream_falls_silent() -> None:
    shared = venue()
    it = begun(shared, "/ws/btcusdt@trade/ethusdt@trade")
    assert {frame["s"] for frame in steps(shared, it, 30)} == {"BTCUSDT", "ETHUSDT"}
    assert asked(it, "UNSUBSCRIBE", "btcusdt@trade", "never@trade") == {"result": None, "id": 1}
    assert {frame["s"] for frame in steps(shared, it, 30)} == {"ETHUSDT"}


def test_the_envelope_is_a_property() -> None:
    shared = venue()
    it = begun(shared, "/ws/btcusdt@trade")
    assert "e" in steps(shared, it, 10)[0]
    assert asked(it, "SET_PROPERTY", "combined", True) == {"result": None, "id": 1}
    assert list(steps(shared, it, 10)[0]) == ["stream", "data"]
    assert asked(it, "SET_PROPERTY", "combined", False) == {"result": None, "id": 1}
    assert "e" in steps(shared, it, 10)[0]


def test_errors_are_counted_and_end_nothing() -> None:
    shared = venue()
    it = begun(shared)
    assert json.loads(it.receive(b"\xff", 1)[0])["code"] == 3
    assert asked(it, "SET_PROPERTY", "colour", 1) == {"code": 0, "msg": "Unknown property", "id": 1}
    assert asked(it, "SUBSCRIBE") == {"code": 2, "msg": "Invalid request: missing field `params`"}
    assert shared.counters.errors_sent == 3
    assert it.ending == ""


def test_the_market_opens_with_the_first_subscription() -> None:
    shared = venue()
    it = begun(shared)
    asked(it, "LIST_SUBSCRIPTIONS")
    assert not shared.opened
    asked(it, "SUBSCRIBE", "btcusdt@trade")
    assert shared.opened
    with_url = venue()
    begun(with_url, "/ws/btcusdt@trade")
    assert with_url.opened


def test_five_messages_a_second_are_taken_and_one_more_ends_the_connection() -> None:
    shared = venue()
    patient, it = begun(shared), begun(shared)
    for number in range(20):
        asked(patient, "LIST_SUBSCRIPTIONS", now_ns=1 + number * SECOND // 5)
    assert patient.ending == ""
    for number in range(5):
        asked(it, "LIST_SUBSCRIPTIONS", now_ns=1 + number)
    assert it.receive("{}", SECOND) == []
    assert it.ending == "refuse"
    assert shared.counters.clients_over_limit == 1


def test_one_stream_too_many_ends_the_connection() -> None:
    shared = venue(max_streams=3)
    it = begun(shared)
    names = ["btcusdt@trade", "ethusdt@trade", "nope@trade", "bnbusdt@trade", "btcusdt@trade"]
    assert asked(it, "SUBSCRIBE", *names) == {"result": None, "id": 1}
    message = json.dumps({"method": "SUBSCRIBE", "params": ["solusdt@trade"], "id": 1})
    assert it.receive(message, 10**18) == []
    assert it.ending == "refuse"
    assert begun(venue(max_streams=1), "/ws/btcusdt@trade/ethusdt@trade").ending == "refuse"


@pytest.mark.parametrize("target", ["/ws/ethusdt@kline_1m", "/stream?streams=ethusdt@kline_1m"])
def test_an_old_connection_is_told_and_closed(target: str) -> None:
    shared = venue(max_age_s=2)
    it = begun(shared, target)
    steps(shared, it, 19)
    assert it.ending == ""
    younger = begun(shared, target)
    (*_, last) = steps(shared, it, 1)
    younger.due()
    shutdown = {"e": "serverShutdown", "E": START_NS // 1_000_000 + 2000}
    assert last == (shutdown if "ws" in target else {"stream": "!serverShutdown", "data": shutdown})
    assert (it.ending, younger.ending) == ("close", "")


def test_a_stopping_server_says_so_in_the_connections_unit() -> None:
    it = begun(venue(), "/ws?timeUnit=microsecond")
    assert it.goodbye() == ['{"e":"serverShutdown","E":1723161255208000}']


def test_a_client_that_is_a_little_late_misses_nothing() -> None:
    shared = venue()
    prompt, late = begun(shared, "/ws/btcusdt@trade"), begun(shared, "/ws/btcusdt@trade")
    told = steps(shared, prompt, 50)
    assert [json.loads(frame) for frame in late.due()] == told


def test_a_client_to_which_events_are_lost_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binance_streams, "EVENTS", 20)
    shared = venue()
    prompt, late = begun(shared, "/ws/btcusdt@trade"), begun(shared, "/ws/btcusdt@trade")
    steps(shared, prompt, 50)
    assert late.due() == []
    assert (prompt.ending, late.ending) == ("", "refuse")
    assert shared.counters.clients_too_slow == 1


def test_a_late_client_gets_the_newest_states_only() -> None:
    shared = venue()
    it = begun(shared, "/ws/btcusdt@depth5@100ms")
    for _ in range(3 * binance_streams.STATES):
        shared.advance()
    assert len(it.due()) == binance_streams.STATES
    assert it.ending == ""


def test_a_stream_is_written_once_for_all_who_have_it_and_not_when_nobody_has() -> None:
    shared = venue()
    one, two = begun(shared, "/ws/btcusdt@trade"), begun(shared, "/stream?streams=btcusdt@trade")
    channel = shared.stream("btcusdt@trade", 1_000_000)
    assert channel is not None
    assert channel is shared.stream("btcusdt@trade", 1_000_000)
    assert len(steps(shared, one, 10)) == len(two.due()) == channel.count
    written = channel.count
    del one, two
    assert shared.stream("btcusdt@trade", 1_000_000) is channel
    del channel
    gc.collect()
    fresh = shared.stream("btcusdt@trade", 1_000_000)
    assert fresh is not None
    assert fresh.count == 0 < written


def test_the_same_seed_start_and_requests_give_the_same_frames() -> None:
    def run(seed: int) -> list[str]:
        shared = BinanceVenue(BinanceSimOptions(seed=seed, start_ns=START_NS))
        it = begun(shared, "/stream?streams=btcusdt@trade/btcusdt@depth@100ms/ethusdt@kline_1m/solusdt@ticker")
        frames: list[str] = []
        for _ in range(60):
            shared.advance()
            frames += it.due()
        return frames

    assert run(1) == run(1)
    assert run(1) != run(2)


ACTS = st.one_of(
    st.just("step"),
    st.text(max_size=20),
    st.binary(max_size=20),
    st.builds(
        lambda method, params: json.dumps({"method": method, "params": params, "id": 1}),
        st.sampled_from(["SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY"]),
        st.lists(st.sampled_from(["btcusdt@trade", "ethusdt@depth5", "x@y", "combined", True, None]), max_size=3),
    ),
)


@settings(max_examples=50, deadline=None)
@given(acts=st.lists(ACTS, max_size=12), target=st.sampled_from(["/ws", "/stream", "/ws/btcusdt@trade"]))
def test_whatever_is_said_every_frame_is_json(acts: list[str | bytes], target: str) -> None:
    shared = venue(max_messages=100)
    it = begun(shared, target)
    for now, act in enumerate(acts):
        if act == "step":
            shared.advance()
            frames = it.due()
        else:
            frames = it.receive(act, now)
            assert len(frames) == 1
        for frame in frames:
            json.loads(frame)
    assert it.ending == ""
