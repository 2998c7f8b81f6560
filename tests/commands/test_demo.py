"""The demo: three simulated venues, all actors and the table, in one process. tests/edges runs it in many."""

from __future__ import annotations

import io
import re
import signal
from pathlib import Path

import pytest
import trio
from rich.console import Console

from feedbus.commands import demo
from feedbus.config import parse
from feedbus.errors import ConfigError
from feedbus.service.processes import process

TIMEOUT = 20.0


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


async def test_it_shows_three_venues_bars_and_alerts_and_ends_with_the_most_active() -> None:
    told: list[tuple[str, str]] = []
    out = Reader({"connections 7/7", "instruments 30 data, 30 price, 30 wanted", "VWAP 1m", "alerts "})
    with trio.fail_after(TIMEOUT):
        summary = await demo.serve(
            console=Console(file=out, force_terminal=False, width=200),
            seconds=None,
            apart=False,
            log_format="json",
            on_start=lambda address, where: told.append((address, where)),
            last_log=None,
        )
    ((address, where),) = told
    assert where == f"--bus {address}"
    assert not Path(address.removeprefix("ipc://")).parent.exists()
    totals = summary.splitlines()[-demo.MOST_ACTIVE - 1 :]
    assert re.sub(r" +", " ", totals[0]).startswith("venue instrument updates last VWAP volume bought sold")
    assert len({row.split()[0] for row in totals[1:]} - {"alor", "binance", "moex"}) == 0
    assert re.search(r"^gaps +0$", summary, re.MULTILINE)
    assert re.search(r"^aggregator +[\d,]+ events taken", summary, re.MULTILINE)


async def test_its_configuration_can_be_several_processes() -> None:
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            text = await demo._simulated(nursery, "/tmp/f")
            nursery.cancel_scope.cancel()
    config = parse(text, name="demo", directory=Path(), environ={"HOME": "/"})
    assert process(config, ["aggregator"]).publish == "ipc:///tmp/f/events.ipc.aggregator"
    with pytest.raises(ConfigError):
        process(config, ["nobody"])
