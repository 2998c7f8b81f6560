"""A simulated venue's REST interface as an HTTP/1.1 server on trio. It knows no venue, and its only state is counters.

Each connection has a task of its own. The number of connections, the size of a request and the time that it may take
are limited, and whatever a client does affects its own connection only.
"""

from __future__ import annotations

import logging
from http import HTTPStatus

import h11
import trio

from feedbus.sim.clock import now_ns
from feedbus.sim.seam import HTML, Handler, SimRequest, SimResponse
from feedbus.telemetry.listening import PatientListener

MAX_HEAD = 16 * 1024  # bytes of a request's line and headers
MAX_BODY = 64 * 1024  # bytes of a request's body
MAX_CONNECTIONS = 64
REQUEST_WITHIN = 10.0  # seconds from the end of one answer to the end of the next
FINISH_WITHIN = 1.0  # seconds for a client to stop sending, once it was told that nothing more will be read
READ = 4096

_log = logging.getLogger("feedbus.sim")


class RestCounters:
    """Plain totals over all connections of a REST server."""

    def __init__(self) -> None:
        self.rest_requests = 0
        self.rest_errors = 0


async def serve(
    handler: Handler,
    host: str,
    port: int,
    *,
    counters: RestCounters | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until cancelled. Starts with the base URL, which has no path. Raises OSError when it can't listen there."""
    server = _RestServer(handler, counters or RestCounters())
    listeners = await trio.open_tcp_listeners(port, host=host)
    bound = listeners[0].socket.getsockname()[1]
    task_status.started(f"http://{f'[{host}]' if ':' in host else host}:{bound}")
    await trio.serve_listeners(server.connection, [PatientListener(each, _log) for each in listeners])


class _RestServer:
    """The handler, the counters and the number of connections, for all connections."""

    def __init__(self, handler: Handler, counters: RestCounters) -> None:
        self._handler = handler
        self._counters = counters
        self._open = 0

    async def connection(self, stream: trio.SocketStream) -> None:
        """Serve one client until it or the server closes the connection."""
        self._open += 1
        try:
            if self._open <= MAX_CONNECTIONS:
                await self._converse(stream)
                await _finish(stream)
            else:
                self._counters.rest_errors += 1
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._counters.rest_errors += 1
        finally:
            self._open -= 1
            await trio.aclose_forcefully(stream)

    async def _converse(self, stream: trio.SocketStream) -> None:
        """Answer request after request, while the client keeps the connection open and is quick enough."""
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        while True:
            with trio.move_on_after(REQUEST_WITHIN) as scope:
                if not await self._request(http, stream, scope):
                    return
            if scope.cancelled_caught:
                return
            http.start_next_cycle()

    async def _request(self, http: h11.Connection, stream: trio.SocketStream, scope: trio.CancelScope) -> bool:
        """Answer one request. Returns whether another may follow on this connection. `scope` limits the time that the
        client may take; an answer that is to come later gives it as much more."""
        try:
            received = await _receive(http, stream)
        except h11.RemoteProtocolError as error:
            self._counters.rest_errors += 1
            await _send(http, stream, SimResponse(error.error_status_hint, HTML, b""), head=False)
            return False
        if received is None:
            return False
        self._counters.rest_requests += 1
        answer = self._handler(_request(*received))
        self._counters.rest_errors += answer.status != 200
        if answer.delay_s:
            scope.deadline += answer.delay_s
            await trio.sleep(answer.delay_s)
        await _send(http, stream, answer, head=received[0].method == b"HEAD")
        return http.our_state is h11.DONE and http.their_state is h11.DONE


async def _finish(stream: trio.SocketStream) -> None:
    """Let the client read the last answer. Closing a socket with unread data resets the connection, and the client
    would lose the answer."""
    with trio.move_on_after(FINISH_WITHIN):
        await stream.send_eof()
        while await stream.receive_some(READ):
            pass


async def _receive(http: h11.Connection, stream: trio.SocketStream) -> tuple[h11.Request, bytes] | None:
    """The next request and its body; None when the client has gone. Raises h11.RemoteProtocolError."""
    request = None
    body = bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await stream.receive_some(READ))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                raise h11.RemoteProtocolError("too large a body", error_status_hint=413)
        else:
            return (request, bytes(body)) if request and isinstance(event, h11.EndOfMessage) else None


def _request(received: h11.Request, body: bytes) -> SimRequest:
    method = "GET" if received.method == b"HEAD" else received.method.decode("ascii")
    headers = {name.decode("ascii"): value.decode("latin-1") for name, value in received.headers}
    return SimRequest(method, received.target.decode("ascii"), body, headers, now_ns())


async def _send(http: h11.Connection, stream: trio.SocketStream, answer: SimResponse, *, head: bool) -> None:
    headers = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body))), *answer.headers]
    reason = HTTPStatus(answer.status).phrase
    data = http.send(h11.Response(status_code=answer.status, headers=headers, reason=reason)) or b""
    if not head:
        data += http.send(h11.Data(data=answer.body)) or b""
    await stream.send_all(data + (http.send(h11.EndOfMessage()) or b""))
