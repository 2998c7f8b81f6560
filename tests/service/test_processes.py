"""Which process publishes and serves where: computed from the configuration alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from feedbus import actors as subscribers
from feedbus.config import BusConfig, Config, FeedConfig, TelemetryConfig
from feedbus.errors import ConfigError
from feedbus.service import processes
from tests.places import DOCS

ACTOR = """
from msgspec import Struct
class Actor:
    class Options(Struct):
        listen: str = ""
    publishes = {publishes}
"""


@pytest.fixture(scope="module", autouse=True)
def toy_actors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`toyteller` publishes, `toylistener` doesn't."""
    folder = tmp_path_factory.mktemp("actors")
    (folder / "toyteller.py").write_text(ACTOR.format(publishes=True))
    (folder / "toylistener.py").write_text(ACTOR.format(publishes=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subscribers, "__path__", [*subscribers.__path__, str(folder)])
        yield
    for name in ("toyteller", "toylistener"):
        sys.modules.pop(f"feedbus.actors.{name}", None)
        vars(subscribers).pop(name, None)


class Options(msgspec.Struct):
    listen: str = ""


def config(publish: str, telemetry: str | None = "127.0.0.1:9469", **options: Any) -> Config:
    feeds = tuple(FeedConfig(name=name, venue="moex", url="ws://h/", symbols=("A.B",)) for name in ("moex", "other"))
    actors = {"toylistener": Options(), "toyteller": Options()} | options
    return Config("f.yaml", BusConfig(publish), feeds, actors, TelemetryConfig(telemetry) if telemetry else None)


@pytest.mark.parametrize(
    ("publish", "expected"),
    [
        ("ipc:///run/e.ipc", ["ipc:///run/e.ipc", "ipc:///run/e.ipc.other", "ipc:///run/e.ipc.toyteller"]),
        ("inproc://bus", ["inproc://bus", "inproc://bus.other", "inproc://bus.toyteller"]),
        ("tcp://127.0.0.1:5000", ["tcp://127.0.0.1:5000", "tcp://127.0.0.1:5002", "tcp://127.0.0.1:5004"]),
        ("tcp://[::1]:5000", ["tcp://[::1]:5000", "tcp://[::1]:5002", "tcp://[::1]:5004"]),
        ("ipc:///run/{publisher}.ipc", ["ipc:///run/moex.ipc", "ipc:///run/other.ipc", "ipc:///run/toyteller.ipc"]),
    ],
)
def test_each_publisher_has_an_address_in_the_order_of_the_file(publish: str, expected: list[str]) -> None:
    made = config(publish)
    assert [processes.address(made, name) for name in processes.publishers(made)] == expected
    assert list(processes.subscribed(made)) == expected


def test_all_in_one_process_is_at_the_first_address_and_dials_nobody_else() -> None:
    made = config("ipc:///e")
    whole = processes.Process(("moex", "other", "toylistener", "toyteller"), "ipc:///e", (), made.telemetry)
    assert processes.process(made) == whole
    assert processes.process(made, ["toyteller", "toylistener", "other", "moex"]) == whole
    assert processes.process(config("ipc:///{publisher}")).publish == "ipc:///moex"


@pytest.mark.parametrize(
    ("only", "publish", "others", "port"),
    [
        (["moex"], "ipc:///e", ["ipc:///e.other", "ipc:///e.toyteller"], 9469),
        (["other"], "ipc:///e.other", ["ipc:///e", "ipc:///e.toyteller"], 9470),
        (["toylistener"], None, ["ipc:///e", "ipc:///e.other", "ipc:///e.toyteller"], 9471),
        (["toyteller"], "ipc:///e.toyteller", ["ipc:///e", "ipc:///e.other"], 9472),
        (["toyteller", "other"], "ipc:///e.other", ["ipc:///e"], 9470),
        (["toylistener", "toyteller"], "ipc:///e.toyteller", ["ipc:///e", "ipc:///e.other"], 9471),
    ],
)
def test_some_parts_publish_at_the_address_of_their_first_and_dial_all_others(
    only: list[str], publish: str | None, others: list[str], port: int
) -> None:
    made = processes.process(config("ipc:///e"), only)
    assert (made.publish, list(made.others)) == (publish, others)
    assert made.telemetry == TelemetryConfig(f"127.0.0.1:{port}")


def test_metrics_at_a_port_that_the_system_chooses_or_nowhere() -> None:
    assert processes.process(config("ipc:///e", "127.0.0.1:0"), ["other"]).telemetry == TelemetryConfig("127.0.0.1:0")
    assert processes.process(config("ipc:///e", None), ["other"]).telemetry is None


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (config("tcp://127.0.0.1:0"), "bus.publish: port 0 lets the system choose, so no other process would find o"),
        (config("tcp://127.0.0.1:65533"), "bus.publish: the port of toyteller would be 65537, which is beyond 65535"),
        (config("ipc:///e", "127.0.0.1:65534"), "telemetry.listen: the port of toylistener would be 65536"),
        (config("tcp://127.0.0.1:9467"), "telemetry.listen of moex is also the address of bus.publish of other"),
        (config("ipc:///" + "e" * 104), "bus.publish: the address of other is longer than 107 bytes"),
        (
            config("ipc:///e", toylistener=Options("127.0.0.1:9470")),
            "actors.toylistener.listen is also the address of telemetry.listen of other",
        ),
    ],
)
def test_parts_that_cannot_be_processes_of_their_own_are_refused(made: Config, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        processes.process(made, ["other"])
    assert str(caught.value).startswith(reason)
    assert processes.process(made).publish == made.bus.publish
    assert made.bus.publish in processes.subscribed(made)


def test_a_name_that_is_no_part_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"^--only recorder: no such part; f.yaml has moex, other, toylistener, toy"):
        processes.process(config("ipc:///e"), ["moex", "recorder"])


def test_the_example_of_the_documentation() -> None:
    text = (DOCS / "configuration.md").read_text()
    assert "`events.ipc`,\n`events.ipc.binance` and `events.ipc.aggregator`" in text
