"""The webhook: posts alerts as JSON to a URL that the operator has configured.

Alerts wait in a bounded mailbox, which drops the oldest when it is full. One task posts them in batches and in order,
so nobody else ever waits for the receiver. At any time offered == delivered + failed + dropped + waiting.

The URL is a secret, since whoever knows it may post there. Errors and log lines show its scheme, host and port only.
The module touches the network through feedbus/transport/http.py, and trio's clock.
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
from feedbus.proxies import DIRECT, Proxies
from feedbus.runtime.backoff import Backoff
from feedbus.runtime.mailbox import Mailbox
from feedbus.schema.events import Alert
from feedbus.urls import is_loopback, split

if TYPE_CHECKING:
    from feedbus.transport import http

BATCH = 100
"""The most alerts that one POST carries."""
MAX_ANSWER = 64 * 1024
"""The largest answer that is accepted, in bytes. Only its status is looked at."""
FIRST_DELAY = 0.5
"""Seconds before the first retry, of which a random share is waited (full jitter). The delay doubles each time."""
MAX_DELAY = 30.0
"""The longest delay in seconds, before jitter."""
MAX_RETRY_AFTER = 300.0
"""The longest time in seconds that a receiver may have us wait by `Retry-After`."""
# The statuses after which a retry may succeed (RFC 9110). 429 and 418 are too, but arrive as a RateLimited error.
RETRYABLE = frozenset({408, 425, *range(500, 600)})

log = logging.getLogger("feedbus.alerting")
_encode = msgspec.json.Encoder().encode


class WebhookOptions(msgspec.Struct, frozen=True):
    """Where and how alerts are posted. Its text form never shows the URL's path.

    url       an https:// or http:// URL
    timeout   seconds for a whole POST, from connecting to the end of the answer
    retries   how often a POST that failed is tried again
    queue     how many alerts may wait
    insecure  allows plain http:// to a host that isn't loopback
    """

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
    """One alert in the JSON. `ts` is the event's `ts_recv` as an RFC 3339 time in UTC; the other fields are those of
    the event."""

    rule: str
    severity: str
    state: str
    venue: str
    symbol: str
    value: float | None
    text: str
    ts: str


class Webhook:
    """One URL, the alerts that wait to be posted there, and the counters about them."""

    def __init__(
        self,
        options: WebhookOptions,
        *,
        draw: Callable[[], float] = random.random,
        tls: ssl.SSLContext | None = None,
        proxies: Proxies = DIRECT,
    ) -> None:
        """`draw` returns a random number from 0 to 1 for the jitter. `tls` replaces the system's certificate
        authorities. `proxies` says through which proxy the receiver is reached. Raises ConfigError for a URL that can't
        be used, and for a proxy that can't."""
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
        self._proxy = proxies.to(self._origin)
        self._mailbox = Mailbox[Alert](options.queue)
        self._in_flight = 0
        self._backoff = Backoff(FIRST_DELAY, MAX_DELAY, reset_after=0)
        self._not_before = -inf  # the earliest time of the next POST, by trio's clock

    def offer(self, alerts: Iterable[Alert]) -> None:
        """Puts alerts into the mailbox to be posted. Never waits."""
        for alert in alerts:
            self._mailbox.put_nowait(alert)

    def counts(self) -> dict[str, int]:
        """Returns totals of alerts, of which offered == delivered + failed + dropped + waiting, and of POSTs:
        `attempts`, and `attempts_failed` among them."""
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
        """Posts what is offered until it is cancelled. Alerts that are still waiting then are lost."""
        from feedbus.transport import http  # alerting without a webhook starts without an HTTP library

        async with http.client(
            self._origin,
            tls=self._tls,
            proxy=self._proxy,
            answer_within=self._options.timeout,
            max_size=MAX_ANSWER,
            show_paths=False,
        ) as client:
            while True:
                batch = await self._mailbox.get_batch(BATCH)
                self._in_flight = len(batch)
                if await self._deliver(client, body(batch)):
                    self.delivered += len(batch)
                else:
                    self.failed += len(batch)
                self._in_flight = 0

    async def _deliver(self, client: http.HttpClient, payload: bytes) -> bool:
        """Posts one batch, with retries as far as they may help and are allowed. Returns whether it was accepted.

        After a failure the next POST waits even if it carries another batch, so that a receiver that is down isn't
        hammered.
        """
        for attempt in range(self._options.retries + 1):
            await trio.sleep_until(self._not_before)
            self.attempts += 1
            error = await self._post(client, payload)
            now = trio.current_time()
            if error is None:
                self._backoff.data(now)
                return True
            self.attempts_failed += 1
            self._not_before = now + retry_delay(error, self._backoff.failed(now, self._draw()))
            last = attempt == self._options.retries or not _is_retryable(error)
            log.log(logging.WARNING if last else logging.INFO, "webhook: %s%s", error, "; given up" if last else "")
            if last:
                break
        return False

    async def _post(self, client: http.HttpClient, payload: bytes) -> VenueError | None:
        """Posts one batch once. Returns None when it was accepted, else the error."""
        try:
            answer = await client.request("POST", self._path, payload)
        except VenueError as error:
            return error
        except ConfigError as error:  # a URL that httpx doesn't take
            return BadData(self._origin, str(error))
        return None if 200 <= answer.status < 300 else Rejected(self._origin, answer.status)


class Rejected(BadData):
    """The receiver answered with a status other than 2xx."""

    def __init__(self, place: str, status: int) -> None:
        super().__init__(place, f"HTTP {status}")
        self.status = status


def retry_delay(error: VenueError, delay: float) -> float:
    """Returns the seconds until the next attempt: `delay`, or what the receiver asked for by `Retry-After` if that is
    longer, but at most MAX_RETRY_AFTER."""
    wanted = error.retry_after if isinstance(error, RateLimited) else None
    return delay if wanted is None else max(delay, min(wanted, MAX_RETRY_AFTER))


def _is_retryable(error: VenueError) -> bool:
    return error.status in RETRYABLE if isinstance(error, Rejected) else True


def body(alerts: Iterable[Alert]) -> bytes:
    """Returns the JSON of one POST: {"alerts": [{rule, severity, state, venue, symbol, value, text, ts}, …]}, the
    oldest alert first."""
    return _encode({"alerts": [_wire(alert) for alert in alerts]})


def _wire(alert: Alert) -> WireAlert:
    ts = datetime.fromtimestamp(alert.ts_recv / 1e9, tz=UTC).isoformat(timespec="milliseconds")
    return WireAlert(
        alert.rule, alert.severity, alert.state, alert.venue, alert.symbol, alert.value, alert.text,
        ts.replace("+00:00", "Z"),
    )  # fmt: skip


def origin(url: str) -> str:
    """Returns scheme, host and port of a URL. Raises ConfigError for a URL that can't be used; the message doesn't show
    the URL."""
    parts = split(url)
    if parts is None or parts.scheme not in ("http", "https") or parts.port == 0:
        raise ConfigError("webhook.url: must be https://HOST/PATH or http://HOST/PATH, with no user and no fragment")
    return f"{parts.scheme}://{parts.netloc}"
