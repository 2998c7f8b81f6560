"""Secrets stay where they are while a service runs: a marker in every credential slot is looked for in all that real
processes say, in their arguments, on the bus and in every file that they write.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from tests.edges.processes import TIMEOUT, Start, line, simulator

pytestmark = pytest.mark.edge

MARKER = "s3cr3t"
LOGIN, PASSCODE = f"{MARKER}-l0gin", f"{MARKER}-p4ss"
# The same command, with every logger of the process at DEBUG.
AT_DEBUG = """\
import logging, sys
from feedbus import cli
from feedbus.telemetry import logs
to_stderr = logs.to_stderr
def verbose(**how):
    to_stderr(logging.DEBUG, **how)
    logging.getLogger().setLevel(logging.DEBUG)
logs.to_stderr = verbose
sys.exit(cli.main())
"""
# A simulated exchange that knows our account.
ACCEPTING = """\
import os, trio
from feedbus.sim.moex import server as moex
async def main():
    options = moex.MoexSimOptions(accounts=(("passport", os.environ["MOEX_LOGIN"], os.environ["MOEX_PASSCODE"]),))
    async with trio.open_nursery() as nursery:
        print("moex:", await nursery.start(moex.serve, options, "127.0.0.1", 0), flush=True)
trio.run(main)
"""

SECRETS = {"MOEX_LOGIN": LOGIN, "MOEX_PASSCODE": PASSCODE}


def feed(name: str, url: str, credentials: str) -> str:
    symbols = "[TQBR.SBER, TQBR.GAZP]"
    return f"  {name}: {{venue: moex, url: '{url}', symbols: {symbols}, credentials: {credentials}}}\n"


def written(folder: Path) -> str:
    """All files below a folder, one after another; sockets aside."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(f"{path}:\n{path.read_bytes().decode(errors='replace')}\n" for path in files)


@pytest.mark.timeout(90)
def test_no_secret_leaves_a_service_whose_logins_are_refused_and_accepted(start: Start, tmp_path: Path) -> None:
    refusing = simulator(start)
    accepting = line(start(program=(sys.executable, "-c", ACCEPTING), **SECRETS)).removeprefix("moex: ")
    secrets = '{domain: passport, login: "${MOEX_LOGIN}", passcode: "${MOEX_PASSCODE}"}'
    bus = f"ipc://{tmp_path / 'bus.ipc'}"
    (tmp_path / "c.yaml").write_text(
        f"bus: {{publish: '{bus}'}}\nfeeds:\n" + feed("no", refusing, secrets) + feed("yes", accepting, secrets)
    )
    tail = start("tail", "--bus", bus)
    service = start("--debug", "run", "c.yaml", program=(sys.executable, "-c", AT_DEBUG), **SECRETS)
    said, kinds = "", set()
    states: set[tuple[str | None, str | None]] = set()
    while not {("no/0", "refused"), ("yes/0", "online")} <= states or "book" not in kinds:
        said += (got := line(tail))
        assert got, written(tmp_path)
        event = json.loads(got)
        kinds.add(event["kind"])
        states.add((event.get("symbol"), event.get("state")))
    arguments = Path(f"/proc/{service.pid}/cmdline").read_bytes().decode()
    assert "c.yaml" in arguments
    service.send_signal(signal.SIGTERM)
    summary = service.communicate(timeout=TIMEOUT)[0]
    assert service.returncode == 0
    assert "uptime" in summary
    everything = f"{said}{arguments}{summary}{written(tmp_path)}"
    assert "login refused" in everything
    assert MARKER not in everything
