"""The opening handshake of a WebSocket (RFC 6455, section 4): the address, our request, the server's response. Pure."""

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

from feedbus.errors import ConfigError, ConnectFailed, VenueError
from feedbus.text import one_line
from feedbus.transport import DialOptions
from feedbus.transport.reasons import why
from feedbus.transport.refusals import refusal

# The offer accepts any window size. memLevel 5 makes our compressor take 144 KiB instead of 256, since we send little.
_DEFLATE = ClientPerMessageDeflateFactory(compress_settings={"memLevel": 5})

END_OF_HEAD = b"\r\n\r\n"  # the empty line behind the headers of an HTTP response
USER_AGENT = f"feedbus/{version('feedbus')}"

# The library logs whole frames at DEBUG, credentials included. So it is given a logger that lets nothing through.
_QUIET = logging.getLogger("feedbus.transport.quiet")
_QUIET.setLevel(logging.CRITICAL + 1)


class Address(msgspec.Struct, frozen=True):
    """A URL taken apart. Errors name `place` (host:port) alone, because the rest of the URL may hold secrets."""

    uri: WebSocketURI
    place: str

    @property
    def host_header(self) -> str:
        """The value of the request's Host header: the port is left out when it is the scheme's usual one."""
        return build_host(self.uri.host, self.uri.port, self.uri.secure)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that our request has besides those of the handshake itself."""
        user = self.uri.user_info
        return [("User-Agent", USER_AGENT)] + ([("Authorization", build_authorization_basic(*user))] if user else [])


def parse_address(url: str) -> Address:
    """Take a URL apart. Raises ConfigError when it isn't a ws:// or wss:// URL."""
    try:
        uri = parse_uri(url)
    except InvalidURI as error:
        raise ConfigError(f"not a WebSocket URL: {error.msg}") from None
    except ValueError:
        raise ConfigError("not a WebSocket URL: its host or port can't be read") from None
    return Address(uri, f"{uri.host}:{uri.port}")


class Handshake:
    """One opening handshake: send `request`, then pass what is received to `feed` until that returns bytes."""

    def __init__(self, address: Address, options: DialOptions) -> None:
        self.protocol = ClientProtocol(
            address.uri,
            extensions=[_DEFLATE] if options.compression else None,
            subprotocols=[Subprotocol(name) for name in options.subprotocols] or None,
            max_size=options.max_message_size,
            logger=_QUIET,
        )
        request = self.protocol.connect()
        # The library makes this header too, and `headers` has it for both transports: it must not be sent twice.
        request.headers.pop("Authorization", None)
        for name, value in address.headers:
            request.headers[name] = value
        self.protocol.send_request(request)
        self.request = b"".join(self.protocol.data_to_send())
        self._place = address.place
        self._head = bytearray()

    def feed(self, data: bytes | bytearray) -> bytes | bytearray | None:
        """Take in the next bytes of the response; none mean that the stream has ended.

        Returns None while the response is incomplete, and then the bytes that came behind it, which are the first
        frames. Raises ConnectFailed when the response is anything but an acceptable 101, and RateLimited when it asks
        us to come later.
        """
        if not data:
            raise ConnectFailed(f"{self._place}: the stream ended during the handshake")
        # The protocol object is given the head alone, never a frame behind it: those are for the FrameReader to cut.
        # The end of the head may be spread over two reads, so the search begins a little before the new bytes.
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
            # The head is whole and the protocol object still waits: for the body of an error page, which may never end.
            raise refusal(self._place, self._head[:end])
        return None

    def _failed(self, error: Exception) -> VenueError:
        match error:
            case InvalidStatus():
                return refusal(self._place, self._head.partition(END_OF_HEAD)[0])
            case InvalidMessage():
                reason = f"no WebSocket server: {why(error)}"
            case NegotiationError():
                reason = f"the server chose what we did not offer: {one_line(str(error))}"
            case _:
                reason = f"bad answer to the handshake: {one_line(str(error))}"
        return ConnectFailed(f"{self._place}: {reason}")
