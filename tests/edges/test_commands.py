"""The commands as a user and systemd run them: real processes, their output, their signals and their exit status.
What each of them prints is tested in process, in tests/test_cli.py and tests/commands."""

from __future__ import annotations

import json
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import feedbus
from feedbus.bus.subscriber import SyncSubscription
from feedbus.commands.signals import STOP_SIGNALS
from feedbus.schema.events import FeedStatus
from tests.edges.processes import TIMEOUT, Manager, Start, line, simulator

pytestmark = pytest.mark.edge


@pytest.mark.parametrize("stop", STOP_SIGNALS)
def test_run_and_tail_from_start_to_stop(start: Start, tmp_path: Path, stop: signal.Signals) -> None:
    tail = start("tail", "--count", "5", "book.moex.TQBR.SBER", log="tail.log")  # before there is anything to dial
    (tmp_path / "c.yaml").write_text(
        'bus: {publish: "ipc://${XDG_RUNTIME_DIR:-/run}/feedbus/events.ipc"}\n'
        f"feeds: {{moex: {{venue: moex, url: '{simulator(start)}', symbols: [TQBR.SBER, TQBR.GAZP]}}}}\n"
    )
    service = start("run", "c.yaml")
    events = [json.loads(text) for text in tail.communicate(timeout=TIMEOUT)[0].splitlines()]
    assert [event["kind"] for event in events] == ["book"] * 5
    assert {event["topic"] for event in events} == {"book.moex.TQBR.SBER"}
    assert [event["seq"] for event in events] == list(range(events[0]["seq"], events[0]["seq"] + 5))
    waited = "feedbus: nothing has come for 2 s: nobody listens at "
    assert tail.returncode == 0
    assert (tmp_path / "tail.log").read_text().partition("ipc:")[0] in ("", waited)
    service.send_signal(stop)
    service.send_signal(stop)  # as timeout(1) does: it is the same wish, and takes nothing away
    summary, _ = service.communicate(timeout=TIMEOUT)
    assert (service.returncode, (tmp_path / "run/feedbus/events.ipc").exists()) == (0, False)
    assert "instruments      2 of 2 with a price" in summary
    assert "reconnects       0" in summary


def test_the_demo_and_a_monitor_end_cleanly_at_a_signal(start: Start) -> None:
    demo = start("demo")
    address = line(demo).removeprefix("bus: ")
    assert line(demo) == "in another terminal: feedbus monitor"
    monitor = start("monitor")
    while "  bid " not in (text := line(monitor)):
        assert text, "the monitor ended"
    monitor.send_signal(signal.SIGINT)
    monitor.communicate(timeout=TIMEOUT)
    demo.send_signal(signal.SIGTERM)
    output, _ = demo.communicate(timeout=TIMEOUT)
    assert (demo.returncode, monitor.returncode) == (0, 0)
    assert "\x1b" not in output
    assert "instruments      30 of 30 with a price" in output
    assert not Path(address.removeprefix("ipc://")).exists()


@pytest.mark.timeout(90)
def test_the_demo_puts_every_part_in_a_process_of_its_own(start: Start) -> None:
    demo = start("demo", "--processes")
    assert line(demo).startswith("bus: ipc://")
    assert "feedbus monitor --config " in line(demo)
    said = ""
    while not ("connections 7/7" in said and "VWAP 1m" in said):
        said += (text := line(demo))
        assert text, "the demo ended"
    demo.send_signal(signal.SIGTERM)
    output, _ = demo.communicate(timeout=TIMEOUT)
    assert "processes 6, started again 0, gaps 0\n" in output


def test_the_simulator_serves_both_interfaces_and_ends_at_a_signal_with_its_counters(start: Start) -> None:
    simulated = start("sim", "moex", "--listen", "127.0.0.1:0", "--rest", "127.0.0.1:0", "--rest-failure", "html")
    assert line(simulated).startswith("moex: ws://127.0.0.1:")
    status, body = get(line(simulated).removeprefix("moex rest: ") + "/iss/engines.json")
    assert (status, body[0]) == (200, "<")
    simulated.terminate()
    output, _ = simulated.communicate(timeout=TIMEOUT)
    assert simulated.returncode == 0
    assert "frames sent 0" in output
    assert "rest requests 1, rest errors 0" in output


# As systemd runs them


def get(url: str) -> tuple[int, str]:
    """Status and body, also of an answer that is no success."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_one_refused_login_keeps_neither_ready_nor_the_other_feed_from_coming(
    start: Start, manager: Manager, tmp_path: Path
) -> None:
    url = simulator(start)
    (tmp_path / "c.yaml").write_text(
        f"bus: {{publish: 'ipc://{tmp_path}/bus.ipc'}}\n"
        "telemetry: {listen: 127.0.0.1:0}\n"
        "feeds:\n"
        f"  good: {{venue: moex, url: {url}, symbols: [TQBR.SBER]}}\n"
        f"  bad: {{venue: moex, url: {url}, symbols: [TQBR.GAZP],\n"
        "        credentials: {domain: passport, login: me, passcode: s3cret-wr0ng}}\n"
    )
    service = start("run", "c.yaml", log="run.log", NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="2000000")
    manager.until(lambda line: line == "READY=1")
    status = manager.until(lambda line: line.startswith("STATUS=") and "denied" in line)
    assert "bad" in status
    with feedbus.subscribe_sync(f"ipc://{tmp_path}/bus.ipc", topics="feed.") as subscription:
        states = {event.symbol: event.state for event in first_statuses(subscription, 2)}
    assert states == {"good/0": "online", "bad/0": "refused"}

    # Refused is no reason to be killed: it is the venue's word, and the feed keeps its own deadlines.
    signs = manager.told.count("WATCHDOG=1")
    while manager.told.count("WATCHDOG=1") < signs + 3:
        manager.receive()

    logged = (tmp_path / "run.log").read_text()
    address = re.search(r"http://127\.0\.0\.1:\d+", logged)
    assert address is not None
    code, body = get(f"{address[0]}/readyz")
    assert code == 503
    assert "bad" in body
    assert "denied" in body
    assert "good" not in body
    assert get(f"{address[0]}/healthz")[0] == 200
    metrics = get(f"{address[0]}/metrics")[1]
    assert 'feedbus_feed_up{feed="good"} 1.0' in metrics
    assert 'feedbus_connection_state{connection="bad/0",feed="bad",state="refused"} 1.0' in metrics
    assert 'feedbus_connection_failures_total{cause="login_refused",connection="bad/0",feed="bad"} 1.0' in metrics

    service.send_signal(signal.SIGTERM)
    manager.until(lambda line: line == "STOPPING=1")
    summary, _ = service.communicate(timeout=TIMEOUT)
    assert service.returncode == 0
    assert "connections      1 of 2 were up" in summary
    assert manager.told.count("READY=1") == 1
    lines = [json.loads(line) for line in (tmp_path / "run.log").read_text().splitlines()]
    assert any(line["level"] == "error" and "login refused" in line["message"] for line in lines)
    assert all({"ts", "level", "logger", "message"} <= set(line) for line in lines)
    everything = [*manager.told, logged, summary, body, metrics]
    assert "s3cret" not in "".join(everything)


def first_statuses(subscription: SyncSubscription, count: int) -> list[FeedStatus]:
    """The first status of each connection, until so many have said one."""
    found: dict[str, FeedStatus] = {}
    for event in subscription:
        if isinstance(event, FeedStatus):
            found.setdefault(event.symbol, event)
        if len(found) == count:
            break
    return list(found.values())
