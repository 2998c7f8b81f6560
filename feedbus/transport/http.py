"""Requests over HTTP, for what a venue serves beside its WebSocket. May touch sockets, through httpx.

One Client is a connection or two to one host: TLS verified, each answer bounded in time and bytes. No redirect is
followed, so that nobody is sent to another host; an answer of 300 and above is handed back like any other, but for 429.
Whatever the peer or the network does ends in a VenueError, never in a library's own exception. Proxies and passwords
that the environment names are left alone.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx
import msgspec
import trio

from feedbus.errors import BadData, ClosedByPeer, ConfigError, ConnectFailed, RateLimited, TimedOut, VenueError
from feedbus.text import one_line
from feedbus.transport.reasons import why
from feedbus.transport.tls import system_tls_context

MAX_SIZE = 8 * 1024 * 1024
RATE_LIMITED = 429

# httpx logs every URL at INFO, and a query may hold a token.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class HttpResponse(msgspec.Struct, frozen=True):
    """What came back: the HTTP status and the whole body."""

    status: int
    body: bytes


class HttpClient:
    """Requests under one base URL. Made by `client`."""

    def __init__(
        self, http: httpx.AsyncClient, base: str, answer_within: float, max_size: int, show_paths: bool
    ) -> None:
        self._http = http
        self._base = base.rstrip("/")
        self._answer_within = answer_within
        self._max_size = max_size
        self._show_paths = show_paths

    async def get(self, path: str) -> HttpResponse:
        """The answer to a GET of this path, with its query. Raises as `request` does."""
        return await self.request("GET", path)

    async def request(
        self, method: str, path: str, body: bytes = b"", *, content_type: str = "application/json"
    ) -> HttpResponse:
        """The answer to one request of this path, with its query; `content_type` is said where there is a body.

        Raises ConnectFailed, TimedOut, ClosedByPeer (the connection broke), RateLimited (HTTP 429) or BadData (not
        HTTP, or more than `max_size` bytes). None of them shows the query or the body. After any but ConnectFailed and
        RateLimited the peer may have acted upon the request: nothing is sent twice here.
        """
        place = self._base + (path.partition("?")[0] if self._show_paths else "")
        headers = {"content-type": content_type} if body else None
        with trio.move_on_after(self._answer_within):
            try:
                request = self._http.build_request(method, self._base + path, content=body or None, headers=headers)
                request.stream = _Body(body)
                async with aclosing(await self._http.send(request, stream=True)) as response:
                    answer = HttpResponse(response.status_code, await self._body(response, place))
            except httpx.TimeoutException:
                raise TimedOut(self._late(place)) from None
            except httpx.HTTPError as error:
                raise _venue_error(error, place, quote=self._show_paths) from None
            except UnicodeError:
                # A host name that no name is, out of the URL or a header of the answer's: httpx leaves it to Python.
                raise BadData(place, "a host name that can't be written") from None
            except httpx.InvalidURL as error:
                raise ConfigError(f"{place}: {one_line(str(error)) if self._show_paths else 'not a URL'}") from None
            if answer.status == RATE_LIMITED:
                wait = _retry_after(response)
                asked = "" if wait is None else f", to be asked again in {wait} s"
                raise RateLimited(f"{place}: HTTP {RATE_LIMITED}{asked}", wait)
            return answer
        raise TimedOut(self._late(place))

    def _late(self, place: str) -> str:
        return f"{place}: no whole answer within {self._answer_within:g} s"

    async def _body(self, response: httpx.Response, place: str) -> bytes:
        """All of it, bounded while it comes; as it is on the wire, since what is small there may be huge unpacked."""
        if (coding := response.headers.get("content-encoding", "identity").lower()) != "identity":
            shown = one_line(coding) if self._show_paths else "of some kind"
            raise BadData(place, f"content-encoding {shown}, which we didn't ask for")
        body = bytearray()
        try:
            async for part in response.aiter_raw():
                if len(body) <= self._max_size:
                    body += part
                    if len(body) > self._max_size:
                        # httpx's generators, nested six deep, must not be left half-way: they end with the next read.
                        await response.aclose()
        except httpx.NetworkError:
            if len(body) <= self._max_size:
                raise
        if len(body) > self._max_size:
            raise BadData(place, f"an answer of more than {self._max_size} bytes")
        return bytes(body)


class _Body(httpx.AsyncByteStream):
    """A request's body. httpx's own is an async generator, which a request that fails would leave half-way."""

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
    answer_within: float = 10.0,
    max_size: int = MAX_SIZE,
    show_paths: bool = True,
) -> AsyncIterator[HttpClient]:
    """A Client of `base` (http:// or https://). A whole answer takes `answer_within` seconds and has
    `max_size` bytes at most. Errors name no path without `show_paths`: it may be a secret.

    `tls` is for https:// only; without it the system's authorities are trusted. Raises ConfigError for another URL.
    """
    secure = base.startswith("https://")
    if not secure and not base.startswith("http://"):
        raise ConfigError(f"{one_line(base)}: must be http://HOST or https://HOST")
    # A context that trusts nobody costs nothing to make, where httpx would load the system's authorities in vain.
    context = (tls or system_tls_context()) if secure else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    headers = {"user-agent": "feedbus", "accept-encoding": "identity"}
    async with httpx.AsyncClient(
        verify=context, headers=headers, timeout=answer_within, follow_redirects=False, trust_env=False
    ) as http:
        yield HttpClient(http, base, answer_within, max_size, show_paths)


def _venue_error(error: httpx.HTTPError, place: str, *, quote: bool) -> VenueError:
    """Ours for httpx's. What the peer wrote may hold what we asked: without `quote` only the kind of error is said."""
    # httpcore, beneath httpx, cuts the chain of causes, but hands on what it caught as its argument.
    caught = error.__cause__.args[:1] if error.__cause__ else ()
    reason = why(caught[0] if caught and isinstance(caught[0], Exception) else error)
    match error:
        case httpx.ConnectError():
            return ConnectFailed(f"{place}: {reason}")
        case httpx.NetworkError():
            return ClosedByPeer(1006, f"{place}: {reason}")
        case _:
            return BadData(place, reason if quote else type(error).__name__)


def _retry_after(response: httpx.Response) -> int | None:
    """Seconds; a date (RFC 9110, section 10.2.3) isn't looked at."""
    wanted = response.headers.get("retry-after", "")
    return int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 8 else None
