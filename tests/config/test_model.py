"""The structs of a configuration: what they say of themselves."""

from __future__ import annotations

import pytest

from feedbus.bus import nng
from feedbus.config.model import BusConfig, Credentials, FeedConfig, TelemetryConfig
from feedbus.config.yaml_text import YamlReader, compose


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("127.0.0.1:9469", "127.0.0.1", 9469),
        ("localhost:0", "localhost", 0),
        ("[::1]:9469", "::1", 9469),
        ("metrics.example.:80", "metrics.example.", 80),
    ],
)
def test_telemetry_knows_its_host_and_port(listen: str, host: str, port: int) -> None:
    telemetry = TelemetryConfig(listen)
    assert (telemetry.host, telemetry.port) == (host, port)


def test_credentials_show_their_keys_alone() -> None:
    credentials = Credentials(login="me", passcode="hunter2")
    assert f"{credentials} {credentials!r}" == "<login, passcode> <login, passcode>"


def test_a_feed_hides_whatever_credentials_it_is_given() -> None:
    feed = FeedConfig(name="a", venue="moex", url="ws://h", symbols=(), credentials={"passcode": "hunter2"})
    assert "hunter2" not in repr(feed)
    assert feed.credentials == {"passcode": "hunter2"}


def test_the_most_that_may_wait_for_a_subscriber_is_the_longest_queue_of_nng() -> None:
    most = nng.QUEUE_LIMIT * nng.MESSAGE_SIZE
    assert (
        YamlReader({}).struct(BusConfig, compose(f"{{publish: x, stalled_bytes: {most}}}", "f")).stalled_bytes == most
    )
    assert nng.queue_length(most) == nng.QUEUE_LIMIT
