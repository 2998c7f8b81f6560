"""Endpoints: what a URL names, and when two of them are the same."""

from __future__ import annotations

import pytest

from feedbus.urls import Endpoint, collide, endpoint


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ipc:///run/x", None),
        ("inproc://x:80", None),
        ("tcp://127.0.0.1:0", None),
        ("tcp://127.0.0.1:5", ("127.0.0.1", 5)),
        ("ws://Host/x", ("host", 80)),
        ("wss://h", ("h", 443)),
        ("http://[::1]", ("::1", 80)),
        ("https://h:8443/x", ("h", 8443)),
    ],
)
def test_an_endpoint_is_a_host_and_a_port(url: str, expected: Endpoint | None) -> None:
    assert endpoint(url) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("127.0.0.1", 1), ("127.0.0.1", 1), True),
        (("127.0.0.1", 1), ("localhost", 1), True),
        (("127.0.0.1", 1), ("0.0.0.0", 1), True),
        (("::1", 1), ("::", 1), True),
        (("0.0.0.0", 1), ("0.0.0.0", 1), True),
        (("127.0.0.1", 1), ("127.0.0.1", 2), False),
        (("127.0.0.1", 1), ("127.0.0.2", 1), False),
        (("0.0.0.0", 443), ("iss.moex.com", 443), False),
        (("127.0.0.1", 1), None, False),
        (None, None, False),
    ],
)
def test_two_endpoints_collide_when_they_are_one_port_of_this_machine(
    one: Endpoint | None, other: Endpoint | None, same: bool
) -> None:
    assert collide(one, other) is same
    assert collide(other, one) is same
