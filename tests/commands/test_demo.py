"""The demo: three simulated venues, all actors and the table, in one process and in many. All of it is real."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import trio
from rich.console import Console

from feedbus.commands import demo
from feedbus.config import parse
from feedbus.errors import ConfigError
from feedbus.service.processes import process

TIMEOUT = 90.0


async def run(seconds: float, *, apart: bool) -> tuple[str, str, tuple[str, str]]:
    """The lines, the final statistics, and what was told at the start."""
    out = io.StringIO()
    told: list[tuple[str, str]] = []
    with trio.fail_after(TIMEOUT):
        summary = await demo.serve(
            console=Console(file=out, force_terminal=False),
            seconds=seconds,
            apart=apart,
            log_format="json",
            on_start=lambda address, where: told.append((address, where)),
            last_log=None,
        )
    return out.getvalue(), summary, told[0]


async def test_it_shows_three_venues_bars_and_alerts_and_ends_with_the_most_active() -> None:
    lines, summary, (address, where) = await run(8, apart=False)
    assert where == f"--bus {address}"
    assert "connections 7/7" in lines
    assert "instruments 30 data, 30 price, 30 wanted" in lines
    assert "VWAP 1m" in lines
    assert "alerts " in lines
    totals = summary.splitlines()[-demo.MOST_ACTIVE - 1 :]
    assert re.sub(r" +", " ", totals[0]).startswith("venue instrument updates last VWAP volume bought sold")
    assert len({row.split()[0] for row in totals[1:]} - {"alor", "binance", "moex"}) == 0
    assert re.search(r"^gaps +0$", summary, re.MULTILINE)
    assert re.search(r"^aggregator +[\d,]+ events taken", summary, re.MULTILINE)


async def test_every_part_in_a_process_of_its_own() -> None:
    lines, summary, (address, where) = await run(25, apart=True)
    assert where.startswith("--config ")
    assert address.startswith("ipc://")
    assert "connections 7/7" in lines
    assert "VWAP 1m" in lines
    assert summary.startswith("processes 6, started again 0, gaps 0\n")


async def test_its_configuration_can_be_several_processes() -> None:
    with trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            text = await demo._simulated(nursery, "/tmp/f")
            nursery.cancel_scope.cancel()
    config = parse(text, name="demo", directory=Path(), environ={"HOME": "/"})
    assert process(config, ["aggregator"]).publish == "ipc:///tmp/f/events.ipc.aggregator"
    with pytest.raises(ConfigError):
        process(config, ["nobody"])
