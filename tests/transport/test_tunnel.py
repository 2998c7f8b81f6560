"""What a proxy is asked, and how its answers are judged, without a socket."""

from __future__ import annotations

import base64
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.errors import ProxyFailed
from feedbus.proxies import Proxy, Scheme
from feedbus.transport.tunnel import dialogue

LOGIN = "jo", "s3cr3t"
CONNECTED = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n"


@pytest.mark.parametrize(("host", "target"), [("venue.test", b"venue.test:443"), ("2001:db8::1", b"[2001:db8::1]:443")])
def test_connect_names_the_host_twice_and_shows_the_login(host: str, target: bytes) -> None:
    head, *headers = dialogue(Proxy("http", "p", 1, *LOGIN), host, 443).request.split(b"\r\n")
    assert head == b"CONNECT " + target + b" HTTP/1.1"
    assert b"Host: " + target in headers
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"jo:s3cr3t") in headers
    assert not any(
        line.startswith(b"Proxy-") for line in dialogue(Proxy("http", "p", 1), host, 443).request.split(b"\r\n")
    )


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("venue.test", b"\x03\x0avenue.test"),
        ("192.0.2.1", b"\x01\xc0\x00\x02\x01"),
        ("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
    ],
)
def test_socks5_asks_for_a_name_or_an_address(host: str, address: bytes) -> None:
    asked = dialogue(Proxy("socks5h", "p", 1, *LOGIN), host, 443)
    assert asked.request == b"\x05\x02\x00\x02"
    assert asked.feed(b"\x05\x02") == b"\x01\x02jo\x06s3cr3t"
    assert asked.feed(b"\x01\x00") == b"\x05\x01\x00" + address + b"\x01\xbb"
    for byte in b"\x05\x00\x00\x01\x00\x00\x00\x00\x00":
        assert asked.feed(bytes([byte])) == b""
        assert not asked.established
    assert asked.feed(b"\x00") == b""
    assert asked.established


@given(cuts=st.sets(st.integers(1, len(CONNECTED) - 1)))
def test_an_answer_may_come_in_any_pieces(cuts: set[int]) -> None:
    asked = dialogue(Proxy("http", "p", 1), "venue.test", 443)
    edges = [0, *sorted(cuts), len(CONNECTED)]
    for start, stop in pairwise(edges):
        assert not asked.established
        assert asked.feed(CONNECTED[start:stop]) == b""
    assert asked.established


@pytest.mark.parametrize(
    ("scheme", "said", "reason"),
    [
        ("socks5", [b"\x05\xff"], "wants another kind of login"),
        ("socks5", [b"\x05\x00", b"\x05\x02"], "forbids the connection by its rules"),
        ("socks5", [b"\x05\x00", b"\x05\x05\x00\x01"], "was refused a connection by the host"),
        ("socks5", [b"\x05\x00", b"\x05\x77"], "refuses the connection (code 119)"),
        ("socks5", [b"\x05\x00", b"\x05\x00\x00\x09\x00"], "gave an answer that isn't SOCKS5"),
        ("http", [b"HTTP/1.1 403 s3cr3t\r\n\r\n"], "refuses the connection (HTTP 403)"),
    ],
)
def test_a_refusal_says_why(scheme: Scheme, said: list[bytes], reason: str) -> None:
    asked = dialogue(Proxy(scheme, "p", 1, *LOGIN), "venue.test", 443)
    for data in said[:-1]:
        asked.feed(data)
    with pytest.raises(ProxyFailed) as caught:
        asked.feed(said[-1])
    assert str(caught.value) == f"the proxy {scheme}://p:1 {reason}"


@given(scheme=st.sampled_from(["http", "socks5h"]), said=st.lists(st.binary(min_size=1, max_size=80), max_size=8))
def test_whatever_a_proxy_says_ends_in_a_connection_or_in_an_error_without_our_login(
    scheme: Scheme, said: list[bytes]
) -> None:
    asked, failed = dialogue(Proxy(scheme, "p", 1, *LOGIN), "venue.test", 443), None
    for data in [*said, b"s3cr3t", b""]:
        try:
            asked.feed(data)
        except ProxyFailed as error:
            failed = str(error)
        if asked.established or failed:
            break
    assert asked.established or (failed and failed.isprintable() and "s3cr3t" not in failed)
