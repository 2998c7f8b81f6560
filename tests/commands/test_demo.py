"""The demo: three simulated venues, all actors and the table, in one process. tests/edges runs it in many."""

from __future__ import annotations

import io
import re
import signal
from contextlib import closing
from pathlib import Path

import pytest
import trio
from rich.console import Console

from feedbus.bus.nng import PubSocket
from feedbus.commands import demo
from feedbus.commands.addresses import addresses
from feedbus.config import parse
from feedbus.errors import ConfigError
from feedbus.service.processes import address as address_of
from feedbus.service.processes import process

TIMEOUT = 20.0
YAML = """\
bus: {{publish: {publish}}}
feeds: {{moex: {{venue: moex, url: "ws://127.0.0.1:1", symbols: [TQBR.SBER]}}}}
actors: {{alerting: {{rules: [{{kind: stale, threshold: 5}}]}}}}
"""


class Reader(io.StringIO):
    """Ends the demo, as Ctrl-C does, when all of this has been written."""

    def __init__(self, wanted: set[str]) -> None:
        super().__init__()
        self.wanted = wanted

    def write(self, text: str) -> int:
        if self.wanted:
            self.wanted = {each for each in self.wanted if each not in text}
            if not self.wanted:
                signal.raise_signal(signal.SIGINT)
        return super().write(text)


@pytest.fixture(autouse=True)
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address where the other commands look."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (address,) = addresses(None, None)
    return address


def path_of(address: str) -> Path:
    return Path(address.removeprefix("ipc://"))


async def shown(wanted: set[str]) -> tuple[str, str, str]:
    """Run the demo until all this has been written. Returns its address, how to follow it, and its statistics."""
    told: list[tuple[str, str]] = []
    out = Reader(wanted)
    with trio.fail_after(TIMEOUT):
        summary = await demo.serve(
            console=Console(file=out, force_terminal=False, width=200),
            seconds=None,
            apart=False,
            log_format="json",
            on_start=lambda address, follow: told.append((address, follow)),
            last_log=None,
        )
    ((address, follow),) = told
    return address, follow, summary


async def test_it_shows_three_venues_bars_and_alerts_and_ends_with_the_most_active(usual: str) -> None:
    address, follow, summary = await shown(
        {"connections 7/7", "instruments 30 data, 30 price, 30 wanted", "VWAP 1m", "alerts "}
    )
    assert (address, follow) == (usual, "")
    assert not path_of(address).exists()
    totals = summary.splitlines()[-demo.MOST_ACTIVE - 1 :]
    assert re.sub(r" +", " ", totals[0]).startswith("venue instrument updates last VWAP volume bought sold")
    assert len({row.split()[0] for row in totals[1:]} - {"alor", "binance", "moex"}) == 0
    assert re.search(r"^gaps +0$", summary, re.MULTILINE)
    assert re.search(r"^aggregator +[\d,]+ events taken", summary, re.MULTILINE)


async def test_where_another_one_publishes_it_says_so_and_publishes_elsewhere(
    usual: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(PubSocket(usual)):
        address, follow, _ = await shown({"connections 7/7"})
        assert path_of(usual).exists()
    assert (address != usual, follow) == (True, f"--bus {address}")
    assert (
        f"can't publish at {usual}: another process publishes there; the demo publishes at {address} instead"
        in caplog.messages
    )
    assert not path_of(address).parent.exists()


@pytest.mark.parametrize("taken", ["moex", "alerting"])
def test_in_processes_of_their_own_all_parts_publish_elsewhere_when_one_has_to(
    usual: str, tmp_path: Path, taken: str
) -> None:
    path = tmp_path / "demo.yaml"
    config, follow = demo._configured(YAML.format, path, apart=True)
    assert (config.bus.publish, follow) == (usual, f"--config {path}")
    with closing(PubSocket(address_of(config, taken))):
        config, follow = demo._configured(YAML.format, path, apart=True)
    assert (config.bus.publish, follow) == (f"ipc://{tmp_path}/events.ipc", f"--config {path}")


def test_it_publishes_elsewhere_where_the_usual_address_is_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", f"/{'x' * 200}")
    config, follow = demo._configured(YAML.format, tmp_path / "demo.yaml", apart=False)
    assert (config.bus.publish, follow) == (f"ipc://{tmp_path}/events.ipc", f"--bus ipc://{tmp_path}/events.ipc")


async def test_its_configuration_can_be_several_processes() -> None:
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            text = (await demo._simulated(nursery))(publish="ipc:///tmp/f/events.ipc")
            nursery.cancel_scope.cancel()
    config = parse(text, name="demo", directory=Path(), environ={"HOME": "/"})
    assert process(config, ["aggregator"]).publish == "ipc:///tmp/f/events.ipc.aggregator"
    with pytest.raises(ConfigError):
        process(config, ["nobody"])
