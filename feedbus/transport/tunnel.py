"""How a proxy is asked for a tunnel to a host, by HTTP CONNECT (RFC 9110, section 9.3.6) or by SOCKS5 (RFC 1928 and
1929). Pure.

A Dialogue says what to send and takes in what is received, as the Handshake of a WebSocket does. Errors are
ProxyFailed, and quote nothing that the proxy wrote, because it may repeat our login.
"""

from __future__ import annotations

import base64
from typing import Protocol

import h11
import socksio
from socksio import socks5

from feedbus.errors import ProxyFailed
from feedbus.proxies import Proxy
from feedbus.transport.handshake import USER_AGENT

_LOGIN_WANTED = 407  # Proxy Authentication Required (RFC 9110, section 15.5.8)
VERSION = 5
_ADDRESS_AT = 4  # where the address begins in SOCKS5's answer, behind its type
_SIZES = {1: 4, 4: 16}  # bytes of the address, by its type: IPv4, IPv6
_NAME = 3  # the type of a name, which has its length before it
_SOCKS_REASONS = {
    1: "failed to connect",
    2: "forbids the connection by its rules",
    3: "can't reach the network of the host",
    4: "can't reach the host, or doesn't know its name",
    5: "was refused a connection by the host",
    6: "had no answer from the host in time",
    7: "can't make connections",
    8: "can't use this kind of address",
}


class Dialogue(Protocol):
    """One request for a tunnel. Send `request`, then pass what is received to `feed` until `established`."""

    request: bytes
    established: bool

    def feed(self, data: bytes | bytearray) -> bytes:
        """Take in the next bytes of the proxy, none at the end of the stream. Returns what is to be sent to it.

        Raises ProxyFailed.
        """


def dialogue(proxy: Proxy, host: str, port: int) -> Dialogue:
    """A request for a tunnel to this host, in the way that this proxy understands."""
    return HttpConnect(proxy, host, port) if proxy.scheme == "http" else Socks5(proxy, host, port)


class HttpConnect:
    """A tunnel through an HTTP proxy."""

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        headers = [("Host", target), ("User-Agent", USER_AGENT)]
        if proxy.user:
            login = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
            headers.append(("Proxy-Authorization", f"Basic {login}"))
        self.established = False
        self._proxy = proxy
        self._http = h11.Connection(h11.CLIENT)
        request = h11.Request(method="CONNECT", target=target, headers=headers)
        self.request = self._http.send(request) + self._http.send(h11.EndOfMessage())

    def feed(self, data: bytes | bytearray) -> bytes:
        """As Dialogue says. The size of the answer's head is limited by h11."""
        if not data:
            raise _ended(self._proxy)
        try:
            self._http.receive_data(bytes(data))
            event = self._http.next_event()
            while isinstance(event, h11.InformationalResponse):
                event = self._http.next_event()
        except h11.RemoteProtocolError:
            raise _failed(self._proxy, "gave an answer that isn't HTTP") from None
        if isinstance(event, h11.Response):
            self._judge(event.status_code)
        return b""

    def _judge(self, status: int) -> None:
        if status == _LOGIN_WANTED:
            reason = "refuses the login" if self._proxy.user else "wants a login"
            raise _failed(self._proxy, f"{reason} (HTTP {status})")
        if not 200 <= status < 300:
            raise _failed(self._proxy, f"refuses the connection (HTTP {status})")
        if self._http.trailing_data[0]:
            raise _unasked(self._proxy)
        self.established = True


class Socks5:
    """A tunnel through a SOCKS5 proxy, with a user name and a password if there is one."""

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        methods = [socks5.SOCKS5AuthMethod.NO_AUTH_REQUIRED]
        if proxy.user:
            methods.append(socks5.SOCKS5AuthMethod.USERNAME_PASSWORD)
        self.established = False
        self._proxy = proxy
        self._target = (host, port)
        self._socks = socks5.SOCKS5Connection()
        self._socks.send(socks5.SOCKS5AuthMethodsRequest(methods))
        self._received = bytearray()
        self.request = self._socks.data_to_send()

    def feed(self, data: bytes | bytearray) -> bytes:
        """As Dialogue says. An answer has 262 bytes at most, and the proxy has nothing to say behind it."""
        if not data:
            raise _ended(self._proxy)
        self._received += data
        size = self._size()
        if size is None or len(self._received) < size:
            return b""
        if len(self._received) > size:
            raise _unasked(self._proxy)
        answer, self._received = bytes(self._received), bytearray()
        if self._socks.state is socks5.SOCKS5State.SERVER_AUTH_REPLY and answer[0] != VERSION:
            raise _failed(self._proxy, "gave an answer that isn't SOCKS5")  # the library looks at the rest alone
        try:
            self._take(self._socks.receive_data(answer))
        except (socksio.ProtocolError, ValueError):
            raise _failed(self._proxy, "gave an answer that isn't SOCKS5") from None
        return self._socks.data_to_send()

    def _size(self) -> int | None:
        """How many bytes the answer has that the proxy owes us; None while that can't be told yet."""
        if self._socks.state is not socks5.SOCKS5State.CLIENT_AUTHENTICATED:
            return 2
        got = self._received
        if len(got) > 1 and got[0] == VERSION and got[1] != 0:
            # Many proxies end a refusal before the address.
            raise _failed(self._proxy, _SOCKS_REASONS.get(got[1], f"refuses the connection (code {got[1]})"))
        if len(got) <= _ADDRESS_AT:
            return None
        kind = got[_ADDRESS_AT - 1]
        if kind != _NAME and kind not in _SIZES:
            raise _failed(self._proxy, "gave an answer that isn't SOCKS5")
        return _ADDRESS_AT + (1 + got[_ADDRESS_AT] if kind == _NAME else _SIZES[kind]) + 2

    def _take(self, reply: object) -> None:
        match reply:
            case socks5.SOCKS5AuthReply(socks5.SOCKS5AuthMethod.USERNAME_PASSWORD) if self._proxy.user:
                login = socks5.SOCKS5UsernamePasswordRequest(self._proxy.user.encode(), self._proxy.password.encode())
                self._socks.send(login)
            case socks5.SOCKS5AuthReply(socks5.SOCKS5AuthMethod.NO_AUTH_REQUIRED):
                self._ask()
            case socks5.SOCKS5AuthReply():
                reason = "wants another kind of login" if self._proxy.user else "wants a login"
                raise _failed(self._proxy, reason)
            case socks5.SOCKS5UsernamePasswordReply(success=True):
                self._ask()
            case socks5.SOCKS5UsernamePasswordReply():
                raise _failed(self._proxy, "refuses the login")
            case _:
                self.established = True

    def _ask(self) -> None:
        self._socks.send(socks5.SOCKS5CommandRequest.from_address(socks5.SOCKS5Command.CONNECT, self._target))


def _failed(proxy: Proxy, reason: str) -> ProxyFailed:
    return ProxyFailed(f"the proxy {proxy} {reason}")


def _ended(proxy: Proxy) -> ProxyFailed:
    return _failed(proxy, "ended the connection before it had answered")


def _unasked(proxy: Proxy) -> ProxyFailed:
    return _failed(proxy, "sent more than its answer")
