"""Addresses: which are taken. What is refused is in tests/config/broken."""

from __future__ import annotations

import pytest

from feedbus.config import addresses
from feedbus.config.model import TelemetryConfig
from feedbus.config.yaml_text import Node, YamlReader, compose

READER = YamlReader({})


def quoted(text: str) -> Node:
    return compose(f"'{text}'", "f")


@pytest.mark.parametrize(
    "address",
    [
        "inproc://bus",
        "ipc://events.ipc",
        f"ipc:///{'x' * 106}",
        "tcp://127.0.0.1:5555",
        "tcp://127.255.0.1:0",
        "tcp://[::1]:5555",
        "tcp://localhost:5555",
    ],
)
def test_the_bus_takes_local_addresses(address: str) -> None:
    assert addresses.publish(READER, quoted(address)) == address


@pytest.mark.parametrize(
    "url", ["ws://localhost", "wss://iss.moex.com:443/infocx?a=b&c=%20", "ws://[::1]:9000/", "ws://a_b.c-d."]
)
def test_a_url_may_have_a_port_a_path_and_a_query(url: str) -> None:
    assert addresses.venue_url(READER, quoted(url)) == url


@pytest.mark.parametrize("url", ["https://iss.moex.com/iss", "http://127.0.0.1:9000", "http://[::1]:9000/a/b/"])
def test_the_base_of_rest_may_have_a_port_and_a_path(url: str) -> None:
    assert addresses.rest_url(READER, quoted(url)) == url


@pytest.mark.parametrize("listen", ["127.0.0.1:9469", "localhost:0", "[::1]:65535", "127.9.9.9:1"])
def test_telemetry_listens_on_this_machine(listen: str) -> None:
    node = compose(f"listen: '{listen}'", "f")
    assert addresses.telemetry(READER, node) == TelemetryConfig(listen)


@pytest.mark.parametrize("listen", ["0.0.0.0:9469", "[::]:9469", "metrics.example:80", "[2001:db8::1]:80"])
def test_telemetry_listens_elsewhere_when_it_may_be_insecure(listen: str) -> None:
    node = compose(f"listen: '{listen}'\ninsecure: true", "f")
    assert addresses.telemetry(READER, node) == TelemetryConfig(listen, insecure=True)
