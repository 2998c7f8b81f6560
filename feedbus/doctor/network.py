"""The way to one address of a venue: its proxy, its name, TCP and TLS, one after another. May touch sockets.

Each step is made by hand, with what a connection of a feed is made of (its proxy, its TLS context), so that it can be
timed and explained.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import trio

from feedbus.doctor import encryption, remedies
from feedbus.doctor.findings import CheckFinding, CheckVerdict, Fact, skipped
from feedbus.doctor.patience import Patience
from feedbus.doctor.words import shown_url, some
from feedbus.errors import ProxyFailed
from feedbus.proxies import Proxies, Proxy
from feedbus.transport.proxied import open_tcp_stream
from feedbus.transport.reasons import why
from feedbus.urls import endpoint, is_loopback

MAX_ADDRESSES = 4
"""So many addresses of a name are tried, of IPv4 and of IPv6."""

ConnectOutcome = Literal["connected", "refused", "no answer", "no route", "failed"]

_ENCRYPTED = ("wss", "https")
_NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_FAMILIES = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
_SockAddress = tuple[int, Any]


class Way(msgspec.Struct, frozen=True):
    """What was found on the way to one address. `broken` says which step failed, "" when all is well."""

    findings: tuple[CheckFinding, ...]
    broken: str


class _Looked(msgspec.Struct):
    """What a name leads to. `errors` are the texts of getaddrinfo(3) and their numbers, by family."""

    found: list[_SockAddress] = []
    errors: dict[str, tuple[str, int]] = {}

    def of(self, family: int) -> list[_SockAddress]:
        return [address for address in self.found if address[0] == family]


async def way_to(url: str, proxies: Proxies, ca_file: str | None, patience: Patience) -> Way:
    """Go the way to this URL step by step. What can't be tried because of an earlier step is skipped."""
    checks = _Checks(shown_url(url), proxies, ca_file, patience)
    return await checks.run(url)


class _Checks:
    """The checks of one address."""

    def __init__(self, shown: str, proxies: Proxies, ca_file: str | None, patience: Patience) -> None:
        parts = urlsplit(shown)
        self._shown = shown
        self._host, self._port = endpoint(shown) or ("", 0)
        self._is_encrypted = parts.scheme in _ENCRYPTED
        self._proxies = proxies
        self._ca_file = ca_file
        self._patience = patience
        self._findings: list[CheckFinding] = []
        self._broken = ""
        self._address: _SockAddress | None = None  # the first one that could be connected to
        self._proxy: Proxy | None = None

    async def run(self, url: str) -> Way:
        route = self._proxies.route(url)
        self._proxy = route.proxy
        how = "directly" if route.proxy is None else f"through the proxy {route.proxy}"
        self._note("route", "good", f"{how} ({route.why})", facts={"proxy": str(route.proxy or ""), "why": route.why})
        first = (self._host, self._port) if self._proxy is None else (self._proxy.host, self._proxy.port)
        looked = await self._lookup(first[0], first[1])
        if self._proxy is not None and self._proxy.scheme == "socks5":
            await self._lookup(self._host, self._port)  # this kind of proxy is given an address that we look up
        await self._step("tcp", partial(self._tcp, looked, first))
        if self._proxy is not None:
            await self._step("tunnel", self._tunnel)
        if self._is_encrypted:
            await self._step("tls", self._tls)
        else:
            self._plain()
        return Way(tuple(self._findings), self._broken)

    async def _step(self, check: str, make: Callable[[], Awaitable[None]]) -> None:
        if self._broken:
            self._findings.append(skipped(check, f"{self._broken} failed", self._shown))
        else:
            await make()

    def _note(
        self,
        check: str,
        verdict: CheckVerdict,
        said: str,
        remedy: str = "",
        *,
        began: float | None = None,
        facts: dict[str, Fact] | None = None,
    ) -> None:
        took = None if began is None else trio.current_time() - began
        self._findings.append(CheckFinding(check, verdict, said, self._shown, remedy, took, facts or {}))
        if verdict == "failed":
            self._broken = self._broken or check

    # The name

    async def _lookup(self, host: str, port: int) -> _Looked:
        began = trio.current_time()
        looked = _Looked()
        if (literal := _literal(host, port)) is not None:
            looked.found.append(literal)
            self._note("lookup", "good", f"{host} is an address itself", facts={"addresses": [host]})
            return looked
        with trio.move_on_after(self._patience.lookup):
            async with trio.open_nursery() as nursery:
                for family in _FAMILIES:
                    nursery.start_soon(_look_up, host, port, family, looked)
        found = {name: [address[0] for _, address in looked.of(family)] for family, name in _FAMILIES.items()}
        said = "; ".join(
            f"{name} {some(found[name]) or f'none ({_why_none(looked, name, self._patience.lookup)})'}"
            for name in _FAMILIES.values()
        )
        facts: dict[str, Fact] = {name.lower(): addresses for name, addresses in found.items()}
        if looked.found:
            self._note("lookup", "good", f"{host}: {said}", began=began, facts=facts)
        else:
            numbers = [number for _, number in looked.errors.values()] or [remedies.TRY_AGAIN]
            self._note(
                "lookup", "failed", f"{host}: {said}", remedies.of_lookup(host, numbers), began=began, facts=facts
            )
        return looked

    # TCP

    async def _tcp(self, looked: _Looked, place: tuple[str, int]) -> None:
        began = trio.current_time()
        tried = [each for family in _FAMILIES for each in looked.of(family)[:MAX_ADDRESSES]]
        outcomes: dict[int, tuple[ConnectOutcome, str]] = {}
        async with trio.open_nursery() as nursery:
            for number, address in enumerate(tried):
                nursery.start_soon(_try, number, address, self._patience.tcp, outcomes)
        connected = [number for number, (outcome, _) in sorted(outcomes.items()) if outcome == "connected"]
        said = "; ".join(f"{tried[number][1][0]} {text}" for number, (_, text) in sorted(outcomes.items()))
        where = f"{place[0]} port {place[1]}"
        facts: dict[str, Fact] = {"port": place[1], "connected": [tried[number][1][0] for number in connected]}
        failures = [outcome for outcome, _ in outcomes.values() if outcome != "connected"]
        if not connected:
            remedy = remedies.of_tcp(where, failures, is_proxy=self._proxy is not None)
            self._note("tcp", "failed", f"{where}: {said}", remedy, began=began, facts=facts)
            return
        self._address = tried[connected[0]]
        if "no answer" in failures or "refused" in failures:
            remedy = "Connections take longer, because an address is tried in vain: the other ones work."
            self._note("tcp", "warning", f"{where}: {said}", remedy, began=began, facts=facts)
        else:
            self._note("tcp", "good", f"{where}: {said}", began=began, facts=facts)

    async def _tunnel(self) -> None:
        began = trio.current_time()
        try:
            await trio.aclose_forcefully(await self._stream())
        except (OSError, UnicodeError, ProxyFailed) as error:
            text = str(error) if isinstance(error, ProxyFailed) else why(error)
            remedy = remedies.of_connection(error if isinstance(error, ProxyFailed) else ProxyFailed(text))
            self._note("tunnel", "failed", text, remedy, began=began)
        else:
            self._note("tunnel", "good", f"{self._proxy} connects us to {self._host} port {self._port}", began=began)

    async def _stream(self) -> trio.SocketStream:
        """A new connection. Raises OSError or ProxyFailed."""
        if self._proxy is not None:
            return await open_tcp_stream(self._proxy, self._host, self._port, self._patience.tcp)
        family, address = self._address or (socket.AF_INET, ("", 0))
        made = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            with trio.fail_after(self._patience.tcp):
                await made.connect(address)
        except BaseException:
            made.close()
            raise
        return trio.SocketStream(made)

    # TLS

    def _plain(self) -> None:
        if is_loopback(self._host):
            self._note("tls", "good", "not encrypted, and never leaves this machine")
            return
        remedy = "Whoever is in between reads and changes everything, credentials too: begin the address with wss://."
        self._note("tls", "warning", "the address asks for no encryption", remedy)

    async def _tls(self) -> None:
        finding = await encryption.of_tls(self._host, self._ca_file, self._stream, self._patience.tls)
        self._findings.append(msgspec.structs.replace(finding, subject=self._shown))
        if finding.verdict == "failed":
            self._broken = "tls"


def _literal(host: str, port: int) -> _SockAddress | None:
    """The address that a host is itself; None when it is a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return (socket.AF_INET if address.version == 4 else socket.AF_INET6), (host, port)


async def _look_up(host: str, port: int, family: int, looked: _Looked) -> None:
    try:
        found = await trio.socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        looked.errors[_FAMILIES[socket.AddressFamily(family)]] = (error.strerror or "unknown", error.errno or 0)
    except (OSError, UnicodeError) as error:
        looked.errors[_FAMILIES[socket.AddressFamily(family)]] = (str(error), remedies.NO_SUCH_NAME)
    else:
        looked.found += [(family, address) for _, _, _, _, address in found]


def _why_none(looked: _Looked, family: str, within: float) -> str:
    return looked.errors[family][0] if family in looked.errors else f"no answer within {within:g} s"


async def _try(
    number: int, address: _SockAddress, within: float, outcomes: dict[int, tuple[ConnectOutcome, str]]
) -> None:
    """Connect to one address."""
    began = trio.current_time()
    outcomes[number] = ("no answer", f"no answer within {within:g} s")
    try:
        with trio.socket.socket(address[0], socket.SOCK_STREAM) as made, trio.move_on_after(within):
            await made.connect(address[1])
            outcomes[number] = ("connected", f"connects in {1000 * (trio.current_time() - began):.1f} ms")
    except OSError as error:
        words = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        outcomes[number] = (_outcome(error), words.lower())


def _outcome(error: OSError) -> ConnectOutcome:
    if error.errno == errno.ECONNREFUSED:
        return "refused"
    return "no route" if error.errno in _NO_ROUTE else "failed"
