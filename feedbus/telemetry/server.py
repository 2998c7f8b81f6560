"""The HTTP server for /metrics, /healthz and /readyz. Knows trio, h11 and the exposition formats; keeps no state.

One task a connection. Heads, connections and times are bounded, and whatever a client does ends with its own
connection. There is no TLS and no login: the server belongs on loopback, or behind something that has both.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, NamedTuple

import h11
import trio
from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder

from feedbus.errors import CantServe
from feedbus.telemetry.series import CollectorRegistry, MetricGroup, MetricSeries, add
from feedbus.text import escaped

MAX_HEAD = 16 * 1024  # bytes of a request's line and headers
MAX_CONNECTIONS = 16
REQUEST_TIMEOUT = 10.0  # seconds from a request's first byte, or the connection's opening, to the answer's last
IDLE_TIMEOUT = 75.0  # seconds between two requests of a connection; scrapers come once a minute or oftener
CLOSE_TIMEOUT = 1.0  # seconds for a client to read the answer before what it still sends resets the connection

METRICS = b"/metrics"
END = b"# EOF\n"  # of an OpenMetrics text

_TEXT = "text/plain; charset=utf-8"
_log = logging.getLogger("feedbus.telemetry")


class Answer(NamedTuple):
    """A response without its framing."""

    status: HTTPStatus
    body: bytes
    content_type: str = _TEXT


class Server:
    """One listening address. `answers` counts by status code; `crowded_out` are connections that were closed because
    there were MAX_CONNECTIONS, `timeouts` those that missed a deadline."""

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        ready: Callable[[], Sequence[str]],
        healthy: Callable[[], Sequence[str]],
    ) -> None:
        """`ready` and `healthy` say why not, a line each; nothing means yes. The server's own series join the
        registry, so one registry is good for one server."""
        self.answers: Counter[str] = Counter()
        self.crowded_out = 0
        self.timeouts = 0
        self.open = 0
        self.address: tuple[str, int] | None = None
        self._host, self._port = host, port
        self._registry = registry
        self._verdicts: dict[bytes, tuple[str, Callable[[], Sequence[str]]]] = {
            b"/healthz": ("healthy", healthy),
            b"/readyz": ("ready", ready),
        }
        self._idle: dict[_Link, None] = {}  # between two requests, the longest so first
        add(registry, MetricGroup((), lambda: [((), self)], SERIES))

    async def serve(self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Starts with `address`, the host and port that are bound; raises FeedbusError when
        they can't be had."""
        try:
            listeners = await trio.open_tcp_listeners(self._port, host=self._host)
        except OSError as error:
            where = f"{self._host}:{self._port}"
            raise CantServe(f"can't serve telemetry at {where}: {error.strerror or error}") from error
        self.address = listeners[0].socket.getsockname()[:2]
        task_status.started(self.address)
        await trio.serve_listeners(self._connection, listeners)

    async def _connection(self, stream: trio.abc.HalfCloseableStream) -> None:
        """One client, from its first byte to its last; nothing that it does leaves here."""
        link = _Link(stream)
        self.open += 1
        try:
            with link.scope:
                if self.open > MAX_CONNECTIONS and not self._make_room():
                    return
                await self._converse(link)
                await link.finish()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return
        finally:
            self.open -= 1
            await trio.aclose_forcefully(stream)

    def _make_room(self) -> bool:
        """Whoever has been idle longest goes; False when nobody is idle."""
        self.crowded_out += 1
        link = next(iter(self._idle), None)
        if link is None:
            return False
        del self._idle[link]
        link.scope.cancel()
        return True

    async def _converse(self, link: _Link) -> None:
        """Request after request, until one of the two has enough."""
        wait = REQUEST_TIMEOUT
        while True:
            self._idle[link] = None
            try:
                with trio.move_on_after(wait) as waiting:
                    await link.wait()
            finally:
                self._idle.pop(link, None)
            if waiting.cancelled_caught:
                self.timeouts += wait == REQUEST_TIMEOUT
                return
            with trio.move_on_after(REQUEST_TIMEOUT) as answering:
                if not await self._request(link):
                    return
            if answering.cancelled_caught:
                self.timeouts += 1
                return
            wait = IDLE_TIMEOUT

    async def _request(self, link: _Link) -> bool:
        """Take one request and answer it; True when another may follow."""
        try:
            request = await link.request()
        except h11.RemoteProtocolError as error:
            code = HTTPStatus(error.error_status_hint)
            await self._send(link, Answer(code, f"{code.phrase}\n".encode()), head=False)
            return False
        if request is None:
            return False
        await self._send(link, await self._answer(request), head=request.method == b"HEAD")
        return link.next_request()

    async def _send(self, link: _Link, answer: Answer, *, head: bool) -> None:
        self.answers[str(int(answer.status))] += 1
        await link.send(answer, head=head)

    async def _answer(self, request: h11.Request) -> Answer:
        path = request.target.partition(b"?")[0]
        if path != METRICS and path not in self._verdicts:
            known = " ".join(sorted(each.decode() for each in (METRICS, *self._verdicts)))
            return Answer(HTTPStatus.NOT_FOUND, f"not found; there are {known}\n".encode())
        if request.method not in (b"GET", b"HEAD"):
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"GET and HEAD only\n")
        try:
            if path in self._verdicts:
                word, reasons = self._verdicts[path]
                return _verdict(word, reasons())
            accept = b", ".join(value for name, value in request.headers if name == b"accept")
            return await exposition(self._registry, accept.decode("latin-1"))
        except Exception:  # a bug in a figure is no reason to stop the service that the figure is about
            _log.exception("%s can't be said", path.decode())
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"a bug; the log has it\n")


SERIES: Sequence[MetricSeries[Server]] = (
    MetricSeries("feedbus_http_responses_total", "Answers of the telemetry server.", lambda it: it.answers, by="code"),
    MetricSeries("feedbus_http_connections", "Connections to the telemetry server that are open.", lambda it: it.open),
    MetricSeries(
        "feedbus_http_connections_crowded_out_total",
        "Connections that found the telemetry server full: the longest idle one was closed, or else the new one.",
        lambda it: it.crowded_out,
    ),
    MetricSeries(
        "feedbus_http_timeouts_total",
        "Connections to the telemetry server that were closed because a request or its answer took too long.",
        lambda it: it.timeouts,
    ),
)


class _Link:
    """One connection: h11 on a stream."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self.scope = trio.CancelScope()
        self._stream = stream
        # h11 refuses what is longer and still incomplete; with `_read` no complete head is longer either.
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD - 1)

    async def wait(self) -> None:
        """Until there is something of a request, or the end."""
        if not self._http.trailing_data[0]:
            await self._read()

    async def request(self) -> h11.Request | None:
        """The next request, None at the end of the connection. Raises h11.RemoteProtocolError for anything else."""
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                await self._read()
            elif isinstance(event, h11.Request):
                with suppress(h11.RemoteProtocolError):
                    self._http.next_event()  # the request's end; when a body comes instead, we close after the answer
                return event
            else:
                return None

    def next_request(self) -> bool:
        """Get ready for another request; False when this was the last. A request with a body always is."""
        if self._http.our_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def send(self, answer: Answer, *, head: bool) -> None:
        """The whole response in one write."""
        headers = [
            ("date", formatdate(usegmt=True)),
            ("content-type", answer.content_type),
            ("content-length", str(len(answer.body))),
            ("cache-control", "no-store"),
        ]
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("allow", "GET, HEAD"))
        if self._http.their_state is not h11.DONE:
            headers.append(("connection", "close"))
        response = h11.Response(status_code=int(answer.status), reason=answer.status.phrase, headers=headers)
        parts = [self._http.send(response)]
        if not head:
            parts.append(self._http.send(h11.Data(data=answer.body)))
        parts.append(self._http.send(h11.EndOfMessage()))
        await self._stream.send_all(b"".join(part for part in parts if part))

    async def finish(self) -> None:
        """Say that we are done, and let the client read it: to close with bytes unread would reset the connection."""
        await self._stream.send_eof()
        with trio.move_on_after(CLOSE_TIMEOUT):
            while await self._stream.receive_some(MAX_HEAD):
                pass

    async def _read(self) -> None:
        room = MAX_HEAD - len(self._http.trailing_data[0])
        self._http.receive_data(bytes(await self._stream.receive_some(room)))


async def exposition(registry: CollectorRegistry, accept: str) -> Answer:
    """All series in the format that an Accept header prefers: Prometheus' text, or OpenMetrics.

    Family by family, with a chance for everybody else in between: for some hundred connections all of it takes as
    long as hundreds of events do.
    """
    encode, content_type = choose_encoder(accept)
    parts: list[bytes] = []
    end = b""
    for family in registry.collect():
        text = encode(_Only(family))
        end = END if text.endswith(END) else b""
        parts.append(text.removesuffix(end))
        await trio.lowlevel.checkpoint()
    return Answer(HTTPStatus.OK, b"".join([*parts, end]), content_type)


class _Only:
    """One family, as an encoder takes it."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> list[Metric]:
        return [self._family]


def _verdict(what: str, reasons: Sequence[str]) -> Answer:
    if not reasons:
        return Answer(HTTPStatus.OK, f"{what}\n".encode())
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "".join(f"{escaped(reason)}\n" for reason in reasons).encode())
