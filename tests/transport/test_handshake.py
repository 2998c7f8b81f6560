"""The opening handshake on hand-made bytes. No I/O."""

from __future__ import annotations

import logging
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.utils import accept_key

from feedbus.errors import ConfigError, ConnectFailed
from feedbus.transport import DialOptions
from feedbus.transport.handshake import Handshake, parse_address

URL = "wss://venue.example/feed?token=hush"


def handshake(*subprotocols: str, url: str = URL) -> Handshake:
    return Handshake(parse_address(url), DialOptions(subprotocols=subprotocols))


def answer(ours: Handshake, *headers: str, status: str = "101 Switching Protocols") -> bytes:
    lines = ["HTTP/1.1 " + status, "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Accept: {accept_key(ours.protocol.key)}", *headers, "", ""]
    return "\r\n".join(lines).encode()


def test_the_request_names_feedbus_and_offers_no_compression() -> None:
    request = handshake("STOMP", "v12.stomp").request.decode()
    assert request.startswith("GET /feed?token=hush HTTP/1.1\r\nHost: venue.example\r\n")
    assert "Sec-WebSocket-Protocol: STOMP, v12.stomp\r\n" in request
    assert re.search(r"\r\nUser-Agent: feedbus/\d", request)
    assert "Extensions" not in request


def test_no_subprotocols_means_no_such_header() -> None:
    assert b"Sec-WebSocket-Protocol" not in handshake().request


def test_bytes_behind_the_answer_are_handed_on() -> None:
    ours = handshake()
    assert ours.feed(answer(ours) + b"\x82\x01x") == b"\x82\x01x"


def test_the_answer_may_come_byte_by_byte() -> None:
    ours = handshake("STOMP")
    data = answer(ours, "Sec-WebSocket-Protocol: STOMP")
    results = [ours.feed(data[at : at + 1]) for at in range(len(data))]
    assert results == [None] * (len(data) - 1) + [b""]
    assert ours.protocol.subprotocol == "STOMP"


def test_wherever_the_answer_is_cut_the_bytes_behind_it_are_the_same() -> None:
    whole = len(answer(handshake()))
    for at in range(1, whole):
        ours = handshake()
        data = answer(ours) + b"\x82\x01x"
        assert ours.feed(data[:at]) is None
        assert ours.feed(data[at:]) == b"\x82\x01x"


def test_a_server_may_choose_no_subprotocol() -> None:
    ours = handshake("STOMP")
    assert ours.feed(answer(ours)) == b""
    assert ours.protocol.subprotocol is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the stream ended during the handshake"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "HTTP 403"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\nplea", "HTTP 503"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "HTTP 200"),
        (b"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "HTTP 301"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no WebSocket server: "),
        (b"\xff" * 9000, "bad answer to the handshake: "),
        (b"HTTP/1.1 101 X\r\n\r\n", "bad answer to the handshake: missing Connection header"),
        (
            b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: no\r\n\r\n",
            "bad answer to the handshake: invalid Sec-WebSocket-Accept header: no",
        ),
    ],
)
def test_other_answers_are_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ConnectFailed, match=f"^venue.example:443: {reason}"):
        handshake().feed(data)


def test_an_error_page_that_never_ends_is_not_waited_for() -> None:
    ours = handshake()
    with pytest.raises(ConnectFailed, match="HTTP 403"):
        ours.feed(b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\n\r\n")


@pytest.mark.parametrize(
    "header",
    ["Sec-WebSocket-Protocol: other", "Sec-WebSocket-Extensions: permessage-deflate"],
)
def test_a_choice_that_was_not_offered_is_refused(header: str) -> None:
    ours = handshake("STOMP")
    with pytest.raises(ConnectFailed, match="the server chose what we did not offer: "):
        ours.feed(answer(ours, header))


@pytest.mark.parametrize(
    "url",
    [
        "http://venue/",
        "venue",
        "ws://",
        "ws://venue:port/",
        "ws://venue/#part",
        "ws://me:hush@[venue/",
        "ws://me@venue/",
    ],
)
def test_a_bad_url_is_the_operators_error_and_is_not_quoted(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^not a WebSocket URL: ") as caught:
        parse_address(url)
    assert "hush" not in str(caught.value)


def test_errors_do_not_quote_the_path() -> None:
    assert parse_address("wss://me:hush@venue.example:99/feed?token=hush").place == "venue.example:99"


def test_debug_logging_reveals_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        ours = handshake()
        ours.feed(answer(ours))
    assert caplog.records == []


@settings(deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_any_answer_is_refused_as_ours_or_waits_for_more(data: bytes, plausible: bool) -> None:
    ours = handshake()
    head = b"HTTP/1.1 101 Switching Protocols\r\n" if plausible else b""
    with pytest.raises(ConnectFailed) as caught:  # noqa: PT012
        assert ours.feed(head + data) is None
        ours.feed(b"")
    assert "\n" not in str(caught.value)
