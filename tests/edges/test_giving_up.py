"""A service that can't go on ends with an error and a status that isn't 0, so that systemd starts it again: it never
just stops. A bug that hits every connection at once is put into the process by Python's own sitecustomize.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.edges.processes import TIMEOUT, Start
from tests.places import ROOT

pytestmark = pytest.mark.edge

BUG = """
import trio
from feedbus.feed.connector import Connector
from feedbus.runtime.backoff import Backoff

async def crash(self):
    await trio.lowlevel.checkpoint()
    raise ZeroDivisionError("a bug on every connection")

Connector._attempt = crash
Backoff.failed = lambda *_: 0.0
"""


def test_a_service_whose_connections_all_crash_again_and_again_ends_loudly(tmp_path: Path, start: Start) -> None:
    folder = tmp_path / "with a bug"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BUG)
    (tmp_path / "service.yaml").write_text(
        f"bus: {{publish: 'ipc://{tmp_path}/bus.ipc'}}\n"
        "feeds:\n  moex: {venue: moex, url: 'ws://127.0.0.1:9/', symbols: [TQBR.SBER]}\n"
    )
    service = start("run", "service.yaml", log="said", PYTHONPATH=os.pathsep.join([str(folder), str(ROOT)]))
    assert service.wait(TIMEOUT) > 0
    lines = (tmp_path / "said").read_text().splitlines()
    assert any("moex/0 crashed: ZeroDivisionError: a bug on every connection" in line for line in lines)
    assert any(line.startswith("feedbus: service gives up: ") for line in lines)
