"""The webhook against a real HTTP server on this machine: every way to fail, and each alert counted once."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from urllib.parse import urlsplit

import h11
import pytest
import trio
import trio.testing
import trustme

from feedbus.actors.alerting import actor as alerting
from feedbus.actors.alerting.webhook import BATCH, MAX_RETRY_AFTER, Webhook, WebhookOptions, body, origin, retry_delay
from feedbus.actors.protocol import ActorContext
from feedbus.alerts import Rule
from feedbus.bus.publisher import Publisher
from feedbus.errors import ConfigError, ConnectFailed, RateLimited
from feedbus.proxies import from_environment
from feedbus.schema.events import Alert, MarketData, Trade
from feedbus.testing.memory_bus import MemoryBus
from tests.transport.proxy import ProxyServer, proxying

SECRET = "s3cret"
START = 1_700_000_000_123_456_789

Reply = tuple[int, dict[str, str]] | str
"""Status and headers, or "hang", "close" or "garbage"."""


def alert(number: int = 1, text: str = "so") -> Alert:
    return Alert("moex", f"A{number}", 0, START, "stale", "warning", "firing", 1.5, text)


class Receiver:
    """Answers the requests with `replies`, one after the other, and with 204 when there are none left.

    `counts` has the counters of the webhook at the arrival of each request. All earlier requests are settled then, and
    the alerts of this one are waiting.
    """

    def __init__(self, *replies: Reply, tls: ssl.SSLContext | None = None) -> None:
        self.bodies: list[bytes] = []
        self.targets: list[str] = []
        self.url = ""
        self.counts: list[dict[str, int]] = []
        self.webhook: Webhook | None = None
        self._replies = [*replies]
        self._tls = tls
        self._came = trio.Condition()

    async def asked(self, times: int) -> None:
        """Returns when this number of requests has come."""
        with trio.fail_after(20):
            async with self._came:
                while len(self.bodies) < times:
                    await self._came.wait()

    def symbols(self) -> list[list[str]]:
        """Returns the symbols of the alerts of each request."""
        return [[each["symbol"] for each in json.loads(body)["alerts"]] for body in self.bodies]

    async def __call__(self, stream: trio.abc.Stream) -> None:
        if self._tls is not None:
            stream = trio.SSLStream(stream, self._tls, server_side=True, https_compatible=True)
        with suppress(trio.BrokenResourceError, h11.RemoteProtocolError):
            await self._serve(stream, h11.Connection(h11.SERVER))

    async def _serve(self, stream: trio.abc.Stream, http: h11.Connection) -> None:
        content = bytearray()
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(bytes(await stream.receive_some()))
            elif isinstance(event, h11.Request):
                self.targets.append(event.target.decode())
            elif isinstance(event, h11.Data):
                content += event.data
            elif isinstance(event, h11.EndOfMessage):
                async with self._came:
                    self.bodies.append(bytes(content))
                    self.counts.append(self.webhook.counts() if self.webhook else {})
                    self._came.notify_all()
                content.clear()
                if not await self._answer(stream, http):
                    return
                http.start_next_cycle()
            else:
                return

    async def _answer(self, stream: trio.abc.Stream, http: h11.Connection) -> bool:
        reply = self._replies.pop(0) if self._replies else (204, {})
        if reply == "hang":
            await trio.sleep_forever()
        if reply == "garbage":
            await stream.send_all(b"what?\r\n\r\n")
        if isinstance(reply, str):
            await stream.aclose()
            return False
        headers = [*reply[1].items(), ("content-length", "0")]
        await stream.send_all(http.send(h11.Response(status_code=reply[0], headers=headers)) or b"")
        await stream.send_all(http.send(h11.EndOfMessage()) or b"")
        return True


@asynccontextmanager
async def served(receiver: Receiver, scheme: str = "http") -> AsyncIterator[Receiver]:
    """Has the receiver listen for as long as the context is open."""
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(partial(trio.serve_tcp, receiver, 0, host="127.0.0.1"))
            port = listener.socket.getsockname()[1]
            receiver.url = f"{scheme}://localhost:{port}/services/{SECRET}?token={SECRET}"
            yield receiver
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def posting(webhook: Webhook) -> AsyncIterator[Webhook]:
    """Runs the webhook for as long as the context is open."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(webhook.run)
        yield webhook
        nursery.cancel_scope.cancel()


def made(receiver: Receiver, retries: int = 2, timeout: float = 10.0, queue: int = 1000) -> Webhook:
    """Returns a webhook that doesn't wait between attempts."""
    options = WebhookOptions(receiver.url, timeout=timeout, retries=retries, queue=queue)
    receiver.webhook = Webhook(options, draw=float)
    return receiver.webhook


def is_balanced(counts: dict[str, int]) -> bool:
    return counts["offered"] == sum(counts[name] for name in ("delivered", "failed", "dropped", "waiting"))


class Heard(logging.Handler):
    """Collects what is logged, and lets a test wait for a line."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._awaited: list[tuple[str, trio.Event]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")
        for text, event in self._awaited:
            if text in self.lines[-1]:
                event.set()

    async def wait(self, text: str) -> None:
        """Returns when a line with this text has been logged."""
        event = trio.Event()
        self._awaited.append((text, event))
        if not any(text in line for line in self.lines):
            with trio.fail_after(20):
                await event.wait()


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Collects everything that any logger logs, and fails the test when a secret is in it."""
    handler, root, before = Heard(), logging.getLogger(), logging.getLogger("feedbus").level
    root.addHandler(handler)
    logging.getLogger("feedbus").setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    logging.getLogger("feedbus").setLevel(before)
    assert not [line for line in handler.lines if SECRET in line]


# What is sent


def test_the_json_has_the_fields_of_an_alert_and_its_time_for_people() -> None:
    assert json.loads(body([alert(text='spread 2 % "wide"')])) == {
        "alerts": [
            {
                "rule": "stale",
                "severity": "warning",
                "state": "firing",
                "venue": "moex",
                "symbol": "A1",
                "value": 1.5,
                "text": 'spread 2 % "wide"',
                "ts": "2023-11-14T22:13:20.123Z",
            }
        ]
    }


async def test_alerts_are_posted_in_order_and_what_waits_goes_together(heard: Heard) -> None:
    async with served(Receiver()) as receiver:
        webhook = made(receiver)
        webhook.offer(alert(number) for number in range(BATCH + 2))
        async with posting(webhook):
            await receiver.asked(2)
            webhook.offer([alert(BATCH + 2)])
            await receiver.asked(3)
    assert [len(symbols) for symbols in receiver.symbols()] == [BATCH, 2, 1]
    assert [symbol for each in receiver.symbols() for symbol in each] == [f"A{number}" for number in range(BATCH + 3)]
    assert set(receiver.targets) == {f"/services/{SECRET}?token={SECRET}"}
    assert receiver.counts[2] == {
        "offered": BATCH + 3,
        "delivered": BATCH + 2,
        "failed": 0,
        "dropped": 0,
        "waiting": 1,
        "attempts": 3,
        "attempts_failed": 0,
    }
    assert heard.lines == []


# Every way to fail: the first alert meets it, the second one comes through


@pytest.mark.parametrize(
    ("replies", "retries", "attempts", "delivered", "failed"),
    [
        (["hang"], 0, 1, 0, 1),
        (["hang"], 1, 2, 1, 0),
        (["close"], 1, 2, 1, 0),
        (["garbage"], 1, 2, 1, 0),
        ([(500, {})], 1, 2, 1, 0),
        ([(503, {}), (502, {})], 2, 3, 1, 0),
        ([(500, {})] * 3, 2, 3, 0, 1),
        ([(408, {})], 1, 2, 1, 0),
        ([(429, {})], 1, 2, 1, 0),
        ([(429, {"retry-after": "0"})], 1, 2, 1, 0),
        ([(429, {})] * 2, 1, 2, 0, 1),
        ([(404, {})], 5, 1, 0, 1),
        ([(401, {})], 5, 1, 0, 1),
        ([(302, {"location": "http://localhost:1/"})], 5, 1, 0, 1),
    ],
)
async def test_a_failure_is_tried_again_where_that_may_help_and_counted(
    replies: list[Reply], retries: int, attempts: int, delivered: int, failed: int, heard: Heard
) -> None:
    async with served(Receiver(*replies)) as receiver:
        webhook = made(receiver, retries, timeout=1.5 if "hang" in replies else 10)
        async with posting(webhook):
            webhook.offer([alert(1)])
            await receiver.asked(attempts)
            webhook.offer([alert(2)])
            await receiver.asked(attempts + 1)
    counts = receiver.counts[attempts]
    assert receiver.symbols() == [["A1"]] * attempts + [["A2"]]
    assert (counts["delivered"], counts["failed"], counts["waiting"]) == (delivered, failed, 1)
    assert (counts["attempts"], counts["attempts_failed"]) == (attempts + 1, attempts - delivered)
    assert is_balanced(counts)
    assert sum("given up" in line for line in heard.lines) == failed
    assert [line for line in heard.lines if line.startswith("WARNING")] == [
        line for line in heard.lines if line.endswith("; given up")
    ]


async def test_where_nobody_listens_it_is_tried_again_until_somebody_does(heard: Heard) -> None:
    async with served(Receiver()) as receiver:
        pass
    again = trio.Event()

    def draw() -> float:
        again.set()
        return 0.0

    webhook = receiver.webhook = Webhook(WebhookOptions(receiver.url, retries=100), draw=draw)
    async with posting(webhook):
        webhook.offer([alert()])
        await again.wait()
        port = int(receiver.url.split(":")[2].partition("/")[0])
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(trio.serve_tcp, receiver, port, host="127.0.0.1"))
            webhook.offer([alert(2)])
            await receiver.asked(2)
            nursery.cancel_scope.cancel()
    counts = receiver.counts[1]
    assert (counts["delivered"], counts["failed"], counts["waiting"]) == (1, 0, 1)
    assert "INFO webhook: http://localhost:" in heard.lines[0]
    assert heard.lines[0].endswith("Connection refused")


async def test_after_a_failure_the_next_post_waits_too(heard: Heard) -> None:
    async with served(Receiver((500, {}))) as receiver:
        webhook = Webhook(WebhookOptions(receiver.url, retries=0), draw=lambda: 1000.0)
        async with posting(webhook):
            webhook.offer([alert(1)])
            await heard.wait("given up")
            webhook.offer([alert(2)])
            await trio.testing.wait_all_tasks_blocked()
            counts = webhook.counts()
    assert receiver.symbols() == [["A1"]]
    assert (counts["attempts"], counts["failed"], counts["waiting"]) == (1, 1, 1)


async def test_a_success_ends_the_back_off() -> None:
    async with served(Receiver((500, {}), (500, {}), (204, {}))) as receiver:
        webhook = made(receiver, retries=2)
        async with posting(webhook):
            webhook.offer([alert(1)])
            await receiver.asked(3)
            assert webhook._backoff.failures == 2
            webhook.offer([alert(2)])
            await receiver.asked(4)
            assert webhook._backoff.failures == 0


async def test_the_oldest_are_dropped_while_it_hangs_and_each_is_counted(heard: Heard) -> None:
    async with served(Receiver("hang")) as receiver:
        webhook = made(receiver, retries=0, timeout=1.5, queue=3)
        async with posting(webhook):
            webhook.offer([alert(0)])
            await receiver.asked(1)
            for number in range(1, 11):
                webhook.offer([alert(number)])
                assert is_balanced(webhook.counts())
            assert (webhook.counts()["dropped"], webhook.counts()["waiting"]) == (7, 4)
            await heard.wait("given up")
            await receiver.asked(2)
            webhook.offer([alert(11)])
            await receiver.asked(3)
    assert receiver.symbols() == [["A0"], ["A8", "A9", "A10"], ["A11"]]
    counts = receiver.counts[2]
    assert (counts["delivered"], counts["failed"], counts["dropped"], counts["waiting"]) == (3, 1, 7, 1)


async def test_the_actor_goes_on_while_its_webhook_hangs(heard: Heard) -> None:
    async with served(Receiver("hang", "hang")) as receiver:
        bus, published = MemoryBus(), list[MarketData]()
        options = alerting.Options(
            rules=(Rule("large_trade", 10, cooldown=0),), webhook=WebhookOptions(receiver.url, queue=2)
        )
        given = ActorContext(subscribe=bus.subscribe, publish=published.extend, wall_ns=lambda: START)
        actor = alerting.Actor(options, given)
        publisher = Publisher("moex", bus, linger=0)
        async with trio.open_nursery() as nursery:
            await nursery.start(actor.run)
            publisher.publish([Trade("moex", "A", 1, START, 1.0, 50.0, None, 1)])
            await receiver.asked(1)
            for number in range(2, 7):
                publisher.publish([Trade("moex", "A", 1, START, 1.0, 50.0, None, number)])
                await heard.wait("large_trade")
                await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert len(published) == 12
    counters = actor.counters()
    assert (counters["fired"], counters["webhook_offered"], counters["webhook_dropped"]) == (6, 12, 8)
    assert SECRET not in repr(counters)


async def test_it_goes_through_the_proxy_of_the_environment() -> None:
    async with served(Receiver()) as receiver:
        server = ProxyServer({"hooks.example": urlsplit(receiver.url).netloc})
        async with proxying(server, "http") as proxy:
            options = WebhookOptions("http://hooks.example/s3cret", insecure=True)
            webhook = Webhook(options, proxies=from_environment({"HTTP_PROXY": f"{proxy}"}))
            async with posting(webhook):
                webhook.offer([alert()])
                await receiver.asked(1)
    assert server.asked == [("hooks.example", 80)]
    assert webhook.counts()["attempts_failed"] == 0


async def test_stopping_it_ends_a_post_at_once() -> None:
    async with served(Receiver("hang")) as receiver, posting(made(receiver)) as webhook:
        webhook.offer([alert()])
        await receiver.asked(1)
    assert webhook.counts()["waiting"] == 1


# TLS


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Returns the TLS context of a server, and that of a client which trusts the server."""
    authority = trustme.CA()
    server, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(server)
    authority.configure_trust(trusting)
    return server, trusting


async def test_https_is_verified(heard: Heard) -> None:
    server, trusting = contexts()
    async with served(Receiver(tls=server), "https") as receiver:
        webhook = Webhook(WebhookOptions(receiver.url, retries=0))
        async with posting(webhook):
            webhook.offer([alert(1)])
            await heard.wait("certificate verify failed")
        assert receiver.bodies == []
        async with posting(Webhook(WebhookOptions(receiver.url, retries=0), tls=trusting)) as webhook:
            webhook.offer([alert(2)])
            await receiver.asked(1)
    assert receiver.symbols() == [["A2"]]


# The address


@pytest.mark.parametrize(
    "url",
    [
        "", SECRET, f"ftp://host/{SECRET}", f"https:///{SECRET}", f"https://user:{SECRET}@host/", f"https://h/#{SECRET}",
        f"https://host:x/{SECRET}", f"https://host:0/{SECRET}", f"https://host/{SECRET}\n", f"https://[::1/{SECRET}",
        f"https://host/{SECRET} x", f"http://hooks.example.com/{SECRET}",
    ],
)  # fmt: skip
def test_an_unusable_address_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^webhook\.url: ") as caught:
        Webhook(WebhookOptions(url))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "insecure", "shown"),
    [
        (f"https://hooks.example.com/{SECRET}", False, "https://hooks.example.com"),
        (f"https://hooks.example.com:8443/?{SECRET}", False, "https://hooks.example.com:8443"),
        (f"http://127.0.0.1:9/{SECRET}", False, "http://127.0.0.1:9"),
        (f"http://[::1]:9/{SECRET}", False, "http://[::1]:9"),
        (f"http://relay:9/{SECRET}", True, "http://relay:9"),
    ],
)
def test_scheme_and_host_are_all_that_is_shown_of_an_address(url: str, insecure: bool, shown: str) -> None:
    options = WebhookOptions(url, insecure=insecure)
    Webhook(options)
    assert origin(url) == shown
    everything = repr(options) + str(options) + repr(alerting.Options(webhook=options)) + repr(options.__rich_repr__())
    assert SECRET not in everything
    assert shown in repr(options)


@pytest.mark.parametrize(
    ("wanted", "ours", "expected"),
    [(None, 2, 2), (0, 2, 2), (30, 2, 30), (86400, 2, MAX_RETRY_AFTER)],
)
def test_a_receiver_may_ask_for_a_longer_pause_within_reason(
    wanted: float | None, ours: float, expected: float
) -> None:
    assert retry_delay(RateLimited("x", wanted), ours) == expected


def test_others_ask_for_no_pause() -> None:
    assert retry_delay(ConnectFailed("x"), 3) == 3
