"""The webhook: alerts, POSTed as JSON to an address of the operator's. Touches the network through transport/http.py.

Alerts wait in a bounded mailbox, of which the oldest are dropped, and go out in batches, in order, by one task; nobody
waits for it. At any time offered == delivered + failed + dropped + waiting.

The address is a secret: whoever knows it may post there. Nothing here shows more of it than scheme and host.
"""

from __future__ import annotations

import logging
import random
import ssl
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import urlsplit

import msgspec
import trio
from msgspec import Meta

from feedbus.errors import BadData, ConfigError, RateLimited, VenueError
from feedbus.runtime.backoff import Backoff
from feedbus.runtime.mailbox import Mailbox
from feedbus.schema.events import Alert
from feedbus.urls import is_loopback, split

if TYPE_CHECKING:
    from feedbus.transport import http

BATCH = 100  # alerts of one POST
MAX_ANSWER = 64 * 1024  # bytes; nobody reads it
FIRST_DELAY = 0.5  # seconds, before jitter
MAX_DELAY = 30.0
MAX_RETRY_AFTER = 300.0  # seconds that a receiver may have us wait
# What a receiver answers that may be otherwise at the next attempt (RFC 9110); 429 is a RateLimited.
TRY_AGAIN = frozenset({408, 425, *range(500, 600)})

log = logging.getLogger("feedbus.alerting")
_encode = msgspec.json.Encoder().encode


class WebhookOptions(msgspec.Struct, frozen=True):
    """Where alerts are posted. `timeout` is seconds for a whole POST, `retries` how often one is tried again, `queue`
    how many alerts may wait. Plain http to a host that isn't loopback takes `insecure`. Never shows the URL's path."""

    SECRET: ClassVar[bool] = True

    url: str
    timeout: Annotated[float, Meta(ge=0.1, le=300)] = 10.0
    retries: Annotated[int, Meta(ge=0, le=100)] = 5
    queue: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    insecure: bool = False

    def __repr__(self) -> str:
        try:
            place = origin(self.url)
        except ConfigError:
            place = "?"
        return f"WebhookOptions({place}/…)"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("url", f"{self}")]


class WireAlert(msgspec.Struct, frozen=True, gc=False):
    """One alert in the JSON. `ts` is its `ts_recv`, as RFC 3339 in UTC; the other fields are those of the event."""

    rule: str
    severity: str
    state: str
    venue: str
    symbol: str
    value: float | None
    text: str
    ts: str


class Webhook:
    """One address, and what waits to be posted there."""

    def __init__(
        self,
        options: WebhookOptions,
        *,
        draw: Callable[[], float] = random.random,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`tls` replaces the system's authorities. Raises ConfigError for a URL that can't be used."""
        self.attempts = 0
        self.attempts_failed = 0
        self.delivered = 0
        self.failed = 0
        self._origin = origin(options.url)
        parts = urlsplit(options.url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or "") and not options.insecure:
            raise ConfigError(
                "webhook.url: plain http to a host that isn't loopback: take https, or add insecure: true"
            )
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._options = options
        self._draw = draw
        self._tls = tls
        self._mailbox = Mailbox[Alert](options.queue, "drop_oldest")
        self._in_flight = 0
        self._backoff = Backoff(FIRST_DELAY, MAX_DELAY, reset_after=0)
        self._not_before = -inf  # by trio's clock

    def offer(self, alerts: Iterable[Alert]) -> None:
        """Have these posted; doesn't wait."""
        for alert in alerts:
            self._mailbox.put_nowait(alert)

    def counts(self) -> dict[str, int]:
        """offered == delivered + failed + dropped + waiting; `attempts` are POSTs, of which `attempts_failed`."""
        return {
            "offered": self._mailbox.put_count,
            "delivered": self.delivered,
            "failed": self.failed,
            "dropped": self._mailbox.dropped,
            "waiting": len(self._mailbox) + self._in_flight,
            "attempts": self.attempts,
            "attempts_failed": self.attempts_failed,
        }

    async def run(self) -> None:
        """Post what is offered, until cancelled; what waits then is given up."""
        from feedbus.transport import http  # alerting without a webhook starts without an HTTP library

        async with http.client(
            self._origin, tls=self._tls, answer_within=self._options.timeout, max_size=MAX_ANSWER, show_paths=False
        ) as client:
            while True:
                batch = await self._mailbox.get_batch(BATCH)
                self._in_flight = len(batch)
                if await self._delivered(client, body(batch)):
                    self.delivered += len(batch)
                else:
                    self.failed += len(batch)
                self._in_flight = 0

    async def _delivered(self, client: http.HttpClient, payload: bytes) -> bool:
        """Post it, and again while that may help and is allowed. After a failure the next one waits too, whatever it is
        of, so that a receiver that is down isn't hammered."""
        for attempt in range(self._options.retries + 1):
            await trio.sleep_until(self._not_before)
            self.attempts += 1
            error = await self._failure(client, payload)
            now = trio.current_time()
            if error is None:
                self._backoff.data(now)
                return True
            self.attempts_failed += 1
            self._not_before = now + pause(error, self._backoff.failed(now, self._draw()))
            last = attempt == self._options.retries or not _may_pass(error)
            log.log(logging.WARNING if last else logging.INFO, "webhook: %s%s", error, "; given up" if last else "")
            if last:
                break
        return False

    async def _failure(self, client: http.HttpClient, payload: bytes) -> VenueError | None:
        """Post it once; None when it was taken."""
        try:
            answer = await client.request("POST", self._path, payload)
        except VenueError as error:
            return error
        except ConfigError as error:  # a URL that httpx doesn't take
            return BadData(self._origin, str(error))
        return None if 200 <= answer.status < 300 else Rejected(self._origin, answer.status)


class Rejected(BadData):
    """The receiver answered with another status than 2xx."""

    def __init__(self, place: str, status: int) -> None:
        super().__init__(place, f"HTTP {status}")
        self.status = status


def pause(error: VenueError, delay: float) -> float:
    """Seconds until the next attempt: ours, or the receiver's `Retry-After` if that is longer, within reason."""
    wanted = error.retry_after if isinstance(error, RateLimited) else None
    return delay if wanted is None else max(delay, min(wanted, MAX_RETRY_AFTER))


def _may_pass(error: VenueError) -> bool:
    return error.status in TRY_AGAIN if isinstance(error, Rejected) else True


def body(alerts: Iterable[Alert]) -> bytes:
    """The JSON of one POST: {"alerts": [{rule, severity, state, venue, symbol, value, text, ts}, …]}, oldest first."""
    return _encode({"alerts": [_wire(alert) for alert in alerts]})


def _wire(alert: Alert) -> WireAlert:
    ts = datetime.fromtimestamp(alert.ts_recv / 1e9, tz=UTC).isoformat(timespec="milliseconds")
    return WireAlert(
        alert.rule, alert.severity, alert.state, alert.venue, alert.symbol, alert.value, alert.text,
        ts.replace("+00:00", "Z"),
    )  # fmt: skip


def origin(url: str) -> str:
    """Scheme, host and port of an address. Raises ConfigError, which never shows it."""
    parts = split(url)
    if parts is None or parts.scheme not in ("http", "https") or parts.port == 0:
        raise ConfigError("webhook.url: must be https://HOST/PATH or http://HOST/PATH, with no user and no fragment")
    return f"{parts.scheme}://{parts.netloc}"
