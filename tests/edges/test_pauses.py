"""A process that is stopped for longer than any of its deadlines: nobody is judged by that time."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

import feedbus
from feedbus.runtime.running_clock import LONGEST_STEP
from feedbus.schema.events import Alert, BookSnapshot, Event, FeedStatus
from tests.edges.processes import TIMEOUT, Start, simulator

pytestmark = pytest.mark.edge

SYMBOLS = ("TQBR.SBER", "TQBR.GAZP", "TQBR.LKOH", "TQBR.ROSN")

CONFIG = """\
bus: {{publish: "ipc://{folder}/bus.ipc"}}
feeds:
  moex:
    venue: moex
    url: {url}
    channels: [orderbooks]
    symbols: [{symbols}]
    sharding: {{connections: 4, per_connection: 1}}
    ping_interval: 0.5
    ping_timeout: 0.5
actors:
  alerting: {{rules: [{{kind: connection_down, for: 1}}, {{kind: stale, threshold: 2}}]}}
"""


@pytest.mark.timeout(90)
def test_a_stopped_process_loses_no_connection_and_fires_no_alert(start: Start, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG.format(folder=tmp_path, url=simulator(start), symbols=", ".join(SYMBOLS)))
    service = start("run", "c.yaml", log="run.log")
    with feedbus.subscribe_sync(f"ipc://{tmp_path}/bus.ipc", topics=["book", "feed", "alert"]) as subscription:
        events = iter(subscription)

        def until_all_report() -> list[Event]:
            """The events until each connection has said its status, which it does every 5 s."""
            seen: list[Event] = []
            missing = {"moex/0", "moex/1", "moex/2", "moex/3"}
            while missing:
                seen.append(next(events))
                if isinstance(seen[-1], FeedStatus) and seen[-1].state == "online":
                    missing.discard(seen[-1].symbol)
            return seen

        until_all_report()
        service.send_signal(signal.SIGSTOP)
        time.sleep(LONGEST_STEP + 1.5)
        service.send_signal(signal.SIGCONT)
        seen = [*until_all_report(), *until_all_report()]
    assert not any(isinstance(event, Alert) for event in seen)
    assert {event.state for event in seen if isinstance(event, FeedStatus)} == {"online"}
    assert {event.symbol for event in seen if isinstance(event, BookSnapshot)} == set(SYMBOLS)
    service.send_signal(signal.SIGTERM)
    summary = service.communicate(timeout=TIMEOUT)[0]
    assert "reconnects       0" in summary
    messages = [json.loads(line)["message"] for line in (tmp_path / "run.log").read_text().splitlines()]
    assert sum("this process stood still for " in message for message in messages) == 1
