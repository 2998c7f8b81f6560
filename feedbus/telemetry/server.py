"""The HTTP server for /metrics, /healthz and /readyz: one request a connection, which is closed after the answer.

Each connection has a task of its own, and whatever a client does ends with its own connection. The size of a request's
head, the time for a connection and the number of connections are bounded. When there are too many connections, one is
closed that keeps us waiting: an honest client needs milliseconds to ask and to read, so slow clients can't keep a
health check out. Nor can they end the answer that is just being made for an honest one, however often they come back.
There is no TLS and no login: the server belongs on loopback, or behind something that has both.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Literal, NamedTuple

import h11
import trio

from feedbus.errors import CantServe
from feedbus.telemetry.exposition import exposition
from feedbus.telemetry.listening import PatientListener
from feedbus.telemetry.series import CollectorRegistry, MetricGroup, MetricSeries, add
from feedbus.text import escaped

MAX_HEAD = 16 * 1024  # bytes of a request's line and headers
MAX_CONNECTIONS = 32
CONNECTION_TIMEOUT = 10.0  # seconds from the accepted connection to the answer's last byte; Prometheus waits as long
HASTE = 0.1  # seconds that an honest client needs at most to send its request, and to read the answer
CLOSE_TIMEOUT = 1.0  # seconds that we go on reading, so that the client can read the answer first

METRICS = b"/metrics"

_READ_SIZE = 4096  # bytes
_WRITE_SIZE = 65536  # bytes that are written before other tasks have their turn: a megabyte takes almost a millisecond
_TEXT = "text/plain; charset=utf-8"
_log = logging.getLogger("feedbus.telemetry")


class Answer(NamedTuple):
    """A response without its framing."""

    status: HTTPStatus
    body: bytes
    content_type: str = _TEXT


class _HttpClient:
    """One connection: who is waited for, and since when."""

    def __init__(self, scope: trio.CancelScope) -> None:
        self.scope = scope
        self._step: Literal["asks", "is answered", "reads"] = "asks"
        self._since = trio.current_time()

    def go_on(self, step: Literal["is answered", "reads"]) -> None:
        """Note the next step of the exchange."""
        self._step, self._since = step, trio.current_time()

    def worth(self, now: float) -> int:
        """Return how much the connection is worth when one has to be closed: least when its client is slow."""
        if self._step == "is answered":
            return 3
        if now - self._since > HASTE:
            return 0
        return 1 if self._step == "asks" else 2


class Server:
    """Answers HTTP requests at one address.

    `answers` counts responses by status code. `crowded_out` counts connections that were closed because more than
    MAX_CONNECTIONS were open, and `timeouts` those that took longer than CONNECTION_TIMEOUT.
    """

    def __init__(
        self,
        host: str,
        port: int,
        registry: CollectorRegistry,
        ready: Callable[[], Sequence[str]],
        healthy: Callable[[], Sequence[str]],
    ) -> None:
        """`ready` and `healthy` return the reasons why the service is not, one line each; no reasons mean that it is.

        The server adds its own series to the registry, so each server needs a registry of its own.
        """
        self.answers: Counter[str] = Counter()
        self.crowded_out = 0
        self.timeouts = 0
        self.address: tuple[str, int] | None = None
        self._host, self._port = host, port
        self._registry = registry
        self._verdicts: dict[bytes, tuple[str, Callable[[], Sequence[str]]]] = {
            b"/healthz": ("healthy", healthy),
            b"/readyz": ("ready", ready),
        }
        self._connections: list[_HttpClient] = []  # the oldest first
        add(registry, MetricGroup((), lambda: [((), self)], SERIES))

    @property
    def open(self) -> int:
        """The number of connections that are open."""
        return len(self._connections)

    async def serve(self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled. Starts with `address`, the host and port that are bound.

        Raises CantServe when the address can't be had.
        """
        try:
            listeners = await trio.open_tcp_listeners(self._port, host=self._host)
        except OSError as error:
            where = f"{self._host}:{self._port}"
            raise CantServe(f"can't serve telemetry at {where}: {error.strerror or error}") from error
        self.address = listeners[0].socket.getsockname()[:2]
        task_status.started(self.address)
        await trio.serve_listeners(self._connection, [PatientListener(each, _log) for each in listeners])

    async def _connection(self, stream: trio.abc.HalfCloseableStream) -> None:
        """Serve one client. Nothing that it does raises an error here."""
        client = _HttpClient(trio.CancelScope(deadline=trio.current_time() + CONNECTION_TIMEOUT))
        if len(self._connections) >= MAX_CONNECTIONS:
            self._make_room()
        self._connections.append(client)
        try:
            with client.scope:
                await self._exchange(client, stream)
                await _finish(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return  # the client has reset the connection
        finally:
            if client in self._connections:
                self._connections.remove(client)
                self.timeouts += client.scope.cancelled_caught
            await trio.aclose_forcefully(stream)

    def _make_room(self) -> None:
        """Close the connection that is worth least, of several the oldest one."""
        now = trio.current_time()
        least = min(self._connections, key=lambda each: each.worth(now))
        self._connections.remove(least)
        least.scope.cancel()
        self.crowded_out += 1

    async def _exchange(self, client: _HttpClient, stream: trio.abc.HalfCloseableStream) -> None:
        """Read one request and answer it."""
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        try:
            while (event := http.next_event()) is h11.NEED_DATA:
                http.receive_data(bytes(await stream.receive_some(_READ_SIZE)))
        except h11.RemoteProtocolError as error:
            code = HTTPStatus(error.error_status_hint)
            answer, head = Answer(code, f"{code.phrase}\n".encode()), False
        else:
            if not isinstance(event, h11.Request):
                return  # the client has closed the connection without a request
            client.go_on("is answered")
            answer, head = await self._answer(event), event.method == b"HEAD"
        client.go_on("reads")
        self.answers[str(int(answer.status))] += 1
        response = memoryview(_response(http, answer, head=head))
        for start in range(0, len(response), _WRITE_SIZE):
            await stream.send_all(response[start : start + _WRITE_SIZE])

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
            return Answer(HTTPStatus.OK, *await exposition(self._registry, accept.decode("latin-1")))
        except Exception:  # a bug in a figure is no reason to stop the service that the figure is about
            _log.exception("%s can't be answered", path.decode())
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"a bug; the log has it\n")


SERIES: Sequence[MetricSeries[Server]] = (
    MetricSeries(
        "feedbus_http_responses_total",
        "HTTP responses that the telemetry server has sent.",
        lambda it: it.answers,
        by="code",
    ),
    MetricSeries(
        "feedbus_http_connections", "Connections to the telemetry server that are open now.", lambda it: it.open
    ),
    MetricSeries(
        "feedbus_http_connections_crowded_out_total",
        "Connections that the telemetry server closed because too many were open; it closes a slow one.",
        lambda it: it.crowded_out,
    ),
    MetricSeries(
        "feedbus_http_timeouts_total",
        "Connections that the telemetry server closed because a request or its response took too long.",
        lambda it: it.timeouts,
    ),
)


def _response(http: h11.Connection, answer: Answer, *, head: bool) -> bytes:
    """The bytes of the whole response; without the body when `head` is true."""
    headers = [
        ("date", formatdate(usegmt=True)),
        ("content-type", answer.content_type),
        ("content-length", str(len(answer.body))),
        ("cache-control", "no-store"),
        ("connection", "close"),
    ]
    if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers.append(("allow", "GET, HEAD"))
    response = h11.Response(status_code=int(answer.status), reason=answer.status.phrase, headers=headers)
    return (http.send(response) or b"") + (b"" if head else answer.body)


async def _finish(stream: trio.abc.HalfCloseableStream) -> None:
    """Tell the client that we are done, and give it a moment to read the answer.

    A socket that is closed with unread bytes, such as a request's body, resets the connection, and the client can lose
    the answer.
    """
    await stream.send_eof()
    with trio.move_on_after(CLOSE_TIMEOUT):
        while await stream.receive_some(_READ_SIZE):
            pass


def _verdict(word: str, reasons: Sequence[str]) -> Answer:
    """200 and the word when there are no reasons against it, else 503 and the reasons."""
    if not reasons:
        return Answer(HTTPStatus.OK, f"{word}\n".encode())
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE, "".join(f"{escaped(reason)}\n" for reason in reasons).encode())
