"""The opening of a WebSocket: the address, our request, the server's answer. Pure."""

from __future__ import annotations

import logging
from importlib.metadata import version

import msgspec
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidMessage, InvalidStatus, InvalidURI, NegotiationError
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.headers import build_authorization_basic, build_host
from websockets.protocol import OPEN
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI, parse_uri

from feedbus.errors import ConfigError, ConnectFailed
from feedbus.text import one_line
from feedbus.transport import DialOptions
from feedbus.transport.reasons import why

# Any window; a compressor of 144 KiB instead of 256, since we send little.
_DEFLATE = ClientPerMessageDeflateFactory(compress_settings={"memLevel": 5})

END_OF_HEAD = b"\r\n\r\n"
USER_AGENT = f"feedbus/{version('feedbus')}"

# The library would log whole frames, credentials included, when somebody turns debugging on.
_QUIET = logging.getLogger("feedbus.transport.quiet")
_QUIET.setLevel(logging.CRITICAL + 1)


class Address(msgspec.Struct, frozen=True):
    """Where a URL leads. `place` names it in errors; the rest of the URL may hold secrets."""

    uri: WebSocketURI
    place: str

    @property
    def host_header(self) -> str:
        """What the request's Host header says."""
        return build_host(self.uri.host, self.uri.port, self.uri.secure)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers of the request that WebSocket itself doesn't need."""
        user = self.uri.user_info
        return [("User-Agent", USER_AGENT)] + ([("Authorization", build_authorization_basic(*user))] if user else [])


def parse_address(url: str) -> Address:
    """Raises ConfigError when this isn't a ws:// or wss:// URL."""
    try:
        uri = parse_uri(url)
    except InvalidURI as error:
        raise ConfigError(f"not a WebSocket URL: {error.msg}") from None
    except ValueError:
        raise ConfigError("not a WebSocket URL: its host or port can't be read") from None
    return Address(uri, f"{uri.host}:{uri.port}")


class Handshake:
    """One opening: send `request`, then feed what comes until `feed` returns something."""

    def __init__(self, address: Address, options: DialOptions) -> None:
        self.protocol = ClientProtocol(
            address.uri,
            extensions=[_DEFLATE] if options.compression else None,
            subprotocols=[Subprotocol(name) for name in options.subprotocols] or None,
            max_size=options.max_message_size,
            logger=_QUIET,
        )
        request = self.protocol.connect()
        request.headers.pop("Authorization", None)
        for name, value in address.headers:
            request.headers[name] = value
        self.protocol.send_request(request)
        self.request = b"".join(self.protocol.data_to_send())
        self._place = address.place
        self._head = bytearray()

    def feed(self, data: bytes | bytearray) -> bytes | bytearray | None:
        """None while the answer isn't whole, then the bytes that came behind it. Raises ConnectFailed.

        No data means that the stream has ended.
        """
        if not data:
            raise ConnectFailed(f"{self._place}: the stream ended during the handshake")
        before = len(self._head)
        self._head += data
        end = self._head.find(END_OF_HEAD, max(0, before - len(END_OF_HEAD) + 1))
        stop = end + len(END_OF_HEAD) if end >= 0 else len(self._head)
        self.protocol.receive_data(self._head[before:stop])
        self.protocol.events_received()
        if self.protocol.handshake_exc is not None:
            raise self._failed(self.protocol.handshake_exc)
        if self.protocol.state is OPEN:
            return self._head[stop:]
        if end >= 0:
            # Only the body of an error page is outstanding; it may never come.
            raise ConnectFailed(f"{self._place}: HTTP {self._head[9:12].decode('ascii', 'replace')}")
        return None

    def _failed(self, error: Exception) -> ConnectFailed:
        match error:
            case InvalidStatus():
                reason = f"HTTP {error.response.status_code}"
            case InvalidMessage():
                reason = f"no WebSocket server: {why(error)}"
            case NegotiationError():
                reason = f"the server chose what we did not offer: {one_line(str(error))}"
            case _:
                reason = f"bad answer to the handshake: {one_line(str(error))}"
        return ConnectFailed(f"{self._place}: {reason}")
