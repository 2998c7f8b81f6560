"""HTTP requests, for what a venue serves besides its WebSocket. May touch sockets, through httpx.

An HttpClient sends requests to one host. Certificates are verified, and each response is bounded in time and size. No
redirect is followed, so that a request, with its credentials, never goes to another host. A response is returned
whatever its status, except those that ask us to come later (see refusals.py), which raise RateLimited. Failures of the
peer and of the network are raised as a VenueError, never as an exception of httpx. Nothing is read from the environment
here: a proxy is an argument, and passwords in .netrc are ignored.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager

import httpx
import msgspec
import trio

from feedbus.errors import (
    BadData,
    ClosedByPeer,
    ConfigError,
    ConnectFailed,
    ProxyFailed,
    RateLimited,
    TimedOut,
    VenueError,
)
from feedbus.proxies import Proxy
from feedbus.text import one_line
from feedbus.transport.reasons import why
from feedbus.transport.refusals import rate_limited
from feedbus.transport.streams import PROXY_SHARE
from feedbus.transport.tls import system_tls_context

MAX_SIZE = 8 * 1024 * 1024  # bytes of a response, unless the caller sets another limit
PARTS_PER_TURN = 64  # parts of a body, each of any size from 1 byte, that are taken before other tasks get their turn

# httpx logs every URL at INFO, and the query of a URL may hold a token.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class HttpResponse(msgspec.Struct, frozen=True):
    """A response: the HTTP status and the whole body."""

    status: int
    body: bytes


Heard = Callable[[int, Mapping[str, str]], object]
"""Is called with the status and the headers of a response, whose names are found in any case."""


def _unheard(_: int, __: Mapping[str, str]) -> None:
    pass


class HttpClient:
    """Sends requests to paths under one base URL. `client` makes it."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        base: str,
        *,
        answer_within: float,
        max_size: int,
        show_paths: bool,
    ) -> None:
        self._http = http
        self._base = base.rstrip("/")
        self._answer_within = answer_within
        self._max_size = max_size
        self._show_paths = show_paths

    async def get(self, path: str) -> HttpResponse:
        """Return the response to a GET of `path`, which includes the query. Raises what `request` raises."""
        return await self.request("GET", path)

    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        content_type: str = "application/json",
        heard: Heard = _unheard,
    ) -> HttpResponse:
        """Return the response to one request of `path`, which includes the query. `content_type` is that of `body`.
        `heard` is called with the status and the headers as soon as they have come, also when an error follows.

        Raises ConnectFailed, TimedOut, ClosedByPeer (the connection broke), RateLimited (HTTP 429, 418, or 503 with a
        Retry-After) or BadData (the response isn't HTTP or is larger than `max_size` bytes). The texts of these errors
        contain neither the query nor the body. After any of them but ConnectFailed and RateLimited the venue may have
        executed the request: so nothing is sent a second time here.
        """
        place = self._base + (path.partition("?")[0] if self._show_paths else "")
        headers = {"content-type": content_type} if body else None
        with trio.move_on_after(self._answer_within):
            try:
                request = self._http.build_request(method, self._base + path, content=body or None, headers=headers)
                request.stream = _Body(body)
                async with aclosing(await self._http.send(request, stream=True)) as response:
                    heard(response.status_code, response.headers)
                    # The head says that we have to go, whatever becomes of the body.
                    limited = _limited(response, place)
                    if limited is not None:
                        raise limited
                    answer = HttpResponse(response.status_code, await self._body(response, place))
            except httpx.TimeoutException:
                raise TimedOut(self._late(place)) from None
            except ProxyFailed as error:
                raise ProxyFailed(f"{place}: {error}") from None
            except httpx.HTTPError as error:
                raise _venue_error(error, place, quote=self._show_paths) from None
            except UnicodeError:
                # Python could not encode a host name, of the URL or of a header of the response; httpx lets that
                # through.
                raise BadData(place, "a host name that can't be written") from None
            except httpx.InvalidURL as error:
                raise ConfigError(f"{place}: {one_line(str(error)) if self._show_paths else 'not a URL'}") from None
            return answer
        raise TimedOut(self._late(place))

    def _late(self, place: str) -> str:
        return f"{place}: no whole answer within {self._answer_within:g} s"

    async def _body(self, response: httpx.Response, place: str) -> bytes:
        """Return the whole body, whose size is checked while it is received.

        The body must not be compressed: a small compressed body may become a huge one, and we didn't ask for it.
        """
        if (coding := response.headers.get("content-encoding", "identity").lower()) != "identity":
            shown = one_line(coding) if self._show_paths else "of some kind"
            raise BadData(place, f"content-encoding {shown}, which we didn't ask for")
        body = bytearray()
        parts = 0
        try:
            async for part in response.aiter_raw():
                parts += 1
                if parts % PARTS_PER_TURN == 0:
                    # One read of the socket may hold thousands of parts, for which httpx doesn't wait.
                    await trio.lowlevel.checkpoint()
                if len(body) <= self._max_size:
                    body += part
                    if len(body) > self._max_size:
                        # Leaving this loop would abandon httpx's nested async generators half-way, and trio warns of
                        # that. After the response is closed, the next read ends them.
                        await response.aclose()
        except httpx.NetworkError:
            # Closing the response above may make the next read fail: that is no error of the network.
            if len(body) <= self._max_size:
                raise
        if len(body) > self._max_size:
            raise BadData(place, f"an answer of more than {self._max_size} bytes")
        return bytes(body)


class _Body(httpx.AsyncByteStream):
    """A request's body. httpx's own is an async generator, and a request that fails would abandon it half-way."""

    def __init__(self, body: bytes) -> None:
        self._left = body

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        part, self._left = self._left, b""
        if not part:
            raise StopAsyncIteration
        return part


@asynccontextmanager
async def client(
    base: str,
    *,
    tls: ssl.SSLContext | None = None,
    proxy: Proxy | None = None,
    answer_within: float = 10.0,
    max_size: int = MAX_SIZE,
    show_paths: bool = True,
) -> AsyncIterator[HttpClient]:
    """Open an HttpClient for `base`, which begins with http:// or https://.

    A whole response may take `answer_within` seconds and have `max_size` bytes. Errors don't contain the path when
    `show_paths` is False, because a path may be a secret, as that of a webhook is. `tls` is for https:// only; None
    trusts the system's certificate authorities. With `proxy`, all connections are made through it, and it has half of
    the time for each. Raises ConfigError for any other URL.
    """
    secure = base.startswith("https://")
    if not secure and not base.startswith("http://"):
        raise ConfigError(f"{one_line(base)}: must be http://HOST or https://HOST")
    # For http:// httpx would load the system's authorities in vain, which takes tens of milliseconds. A context that
    # trusts nobody costs nothing.
    context = (tls or system_tls_context()) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours = {"user-agent": "feedbus", "accept-encoding": "identity"}
    transport = None
    if proxy is not None:
        from feedbus.transport import proxied  # few need it: the others start without its libraries

        transport = proxied.HttpTransport(context, proxy, answer_within * PROXY_SHARE)
    async with httpx.AsyncClient(
        verify=context,
        headers=ours,
        timeout=answer_within,
        follow_redirects=False,
        trust_env=False,
        transport=transport,
    ) as http:
        yield HttpClient(http, base, answer_within=answer_within, max_size=max_size, show_paths=show_paths)


def _limited(response: httpx.Response, place: str) -> RateLimited | None:
    of = response.headers.get
    return rate_limited(place, response.status_code, of("retry-after", ""), of("date", ""))


def _venue_error(error: httpx.HTTPError, place: str, *, quote: bool) -> VenueError:
    """Return our error for one of httpx. Without `quote` it doesn't contain text of the peer, which may repeat a secret
    of our request."""
    # httpcore, which httpx uses, breaks the chain of causes, but passes the error that it caught as an argument.
    caught = error.__cause__.args[:1] if error.__cause__ else ()
    reason = why(caught[0] if caught and isinstance(caught[0], Exception) else error)
    match error:
        case httpx.ConnectError():
            return ConnectFailed(f"{place}: {reason}")
        case httpx.NetworkError():
            return ClosedByPeer(1006, f"{place}: {reason}")
        case _:
            return BadData(place, reason if quote else type(error).__name__)
