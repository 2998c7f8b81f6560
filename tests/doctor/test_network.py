"""The way to an address over real sockets: proxies, names, TCP, and that TLS comes last."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from feedbus.doctor import network
from feedbus.doctor.patience import Patience
from feedbus.proxies import Proxies, Proxy, Route
from tests.doctor.examined import encrypted, simulated
from tests.doctor.ways import AUTHORITY, ca_file, of, server, way_to
from tests.transport.proxy import ProxyServer, proxying


async def test_an_address_that_asks_for_no_encryption_is_worth_a_warning_unless_it_is_this_machine() -> None:
    way = await way_to("ws://venue.invalid/")
    assert [finding.check for finding in way.findings] == ["route", "lookup", "tcp", "tls"]
    assert of(way, "tls").verdict == "warning"
    assert "wss://" in of(way, "tls").remedy


# Names and addresses


class Resolver(trio.abc.HostnameResolver):
    """Knows two names: one with addresses of both kinds, of which one works, and one that never comes."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def getaddrinfo(self, host: Any, port: Any, family: int = 0, *_: Any) -> Any:
        if host == b"slow.venue":
            await trio.sleep_forever()
        if host != b"feed.venue":
            raise OSError(-2, "Name or service not known")
        if family == trio.socket.AF_INET6:
            return [(family, trio.socket.SOCK_STREAM, 6, "", ("::1", self.port, 0, 0))]
        return [(family, trio.socket.SOCK_STREAM, 6, "", ("127.0.0.1", self.port))]

    async def getnameinfo(self, sockaddr: Any, flags: Any) -> Any:
        raise AssertionError("nobody asks for that")


@asynccontextmanager
async def listening_on_ipv4() -> AsyncIterator[int]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        yield listener.socket.getsockname()[1]


async def test_all_addresses_of_a_name_are_shown_and_tried() -> None:
    async with listening_on_ipv4() as port:
        trio.socket.set_custom_hostname_resolver(Resolver(port))
        way = await way_to(f"ws://feed.venue:{port}/")
    assert of(way, "lookup").said == "feed.venue: IPv4 127.0.0.1; IPv6 ::1"
    assert of(way, "lookup").facts == {"ipv4": ["127.0.0.1"], "ipv6": ["::1"]}
    tcp = of(way, "tcp")
    assert "127.0.0.1 connects in " in tcp.said
    assert tcp.facts["connected"] == ["127.0.0.1"]
    assert way.broken == ""
    # Where this machine has IPv6, nobody listens there, which costs time at each connection.
    assert (tcp.verdict, "refused" in tcp.said) in (("warning", True), ("good", False))


async def test_a_name_server_that_does_not_answer() -> None:
    trio.socket.set_custom_hostname_resolver(Resolver(0))
    way = await way_to("wss://slow.venue/", patience=Patience(lookup=0.05))
    assert way.broken == "lookup"
    assert of(way, "lookup").said == (
        "slow.venue: IPv4 none (no answer within 0.05 s); IPv6 none (no answer within 0.05 s)"
    )
    assert of(way, "lookup").remedy.startswith("No name server answers")


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (errno.ECONNREFUSED, "refused"),
        (errno.ENETUNREACH, "no route"),
        (errno.EHOSTUNREACH, "no route"),
        (errno.EPERM, "failed"),
    ],
)
def test_what_the_system_says_of_a_connection_is_sorted(number: int, outcome: str) -> None:
    assert network._outcome(OSError(number, "x")) == outcome


# Proxies


def through(proxy: Proxy) -> Proxies:
    return Proxies({}, Route(proxy, "the key proxy"))


async def test_a_way_through_a_proxy_says_which_and_why_and_not_its_login(tmp_path: Path) -> None:
    async with (
        simulated("moex") as (url, _),
        encrypted(server(AUTHORITY, "feed.venue"), url.split("/")[2]) as port,
        proxying(ProxyServer({"feed.venue": f"127.0.0.1:{port}"}), "http", "jo", "s3cr3t") as proxy,
    ):
        way = await way_to("wss://feed.venue/", ca_file(tmp_path), through(proxy))
    assert [finding.check for finding in way.findings] == ["route", "lookup", "tcp", "tunnel", "tls"]
    assert {finding.verdict for finding in way.findings} == {"good"}
    assert of(way, "route").said == f"through the proxy {proxy} (the key proxy)"
    assert "s3cr3t" not in str(way)


async def test_a_proxy_that_is_not_there() -> None:
    way = await way_to("wss://feed.venue/", proxies=through(Proxy("http", "127.0.0.1", 9)))
    assert way.broken == "tcp"
    assert "what the proxy's owner says" in of(way, "tcp").remedy
    assert of(way, "tunnel").verdict == of(way, "tls").verdict == "skipped"


async def test_a_proxy_that_does_not_let_us_through() -> None:
    async with proxying(ProxyServer({}, login=("jo", "right")), "http", "jo", "s3cr3t") as proxy:
        way = await way_to("wss://feed.venue/", proxies=through(proxy))
    assert way.broken == "tunnel"
    assert "refuses the login (HTTP 407)" in of(way, "tunnel").said
    assert of(way, "tunnel").remedy.startswith("The proxy is why")
    assert of(way, "tls").said == "not tried: tunnel failed"


async def test_the_name_of_the_venue_is_looked_up_where_a_socks5_proxy_needs_its_address() -> None:
    async with proxying(ProxyServer({}), "socks5") as proxy:
        way = await way_to("wss://feed.venue/", proxies=through(proxy))
    lookups = [finding for finding in way.findings if finding.check == "lookup"]
    assert [finding.verdict for finding in lookups] == ["good", "failed"]
    assert lookups[1].said.startswith("feed.venue: ")
