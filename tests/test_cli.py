"""The commands as a user runs them: real processes, their output, their signals and their exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FEEDBUS = [sys.executable, "-m", "feedbus"]
TIMEOUT = 30

Start = Callable[..., subprocess.Popen[str]]


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*FEEDBUS, *arguments], capture_output=True, text=True, timeout=TIMEOUT, check=False, **options
    )


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment of its own, so that nothing of this machine is read or touched."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MOEX_", "XDG_"))}
    return {**kept, "XDG_RUNTIME_DIR": str(tmp_path / "run"), "PYTHONPATH": str(ROOT)}


@pytest.fixture
def start(tmp_path: Path, environ: dict[str, str]) -> Iterator[Start]:
    """Starts commands, and ends those that a test left."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*FEEDBUS, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=tmp_path,
            env=environ,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def simulator(start: Start, *arguments: str) -> str:
    """The URL of a simulated exchange."""
    return line(start("sim", "moex", "--listen", "127.0.0.1:0", *arguments)).removeprefix("moex: ")


def write_config(folder: Path, url: str, symbols: str = "[TQBR.SBER, TQBR.GAZP]") -> str:
    path = folder / "c.yaml"
    path.write_text(
        f'bus: {{publish: "ipc://${{XDG_RUNTIME_DIR:-/run}}/feedbus/events.ipc"}}\n'
        f"feeds:\n  moex:\n    venue: moex\n    url: {url}\n    symbols: {symbols}\n"
        '    credentials: {passcode: "${MOEX_PASSCODE:-guest}"}\n'
    )
    return str(path)


def test_help_imports_none_of_the_parts() -> None:
    code = (
        "import sys\nfrom feedbus.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('trio', 'pynng', 'msgspec', 'rich', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.endswith("[]\n")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("fly",),
        ("run",),
        ("run", "--only", "moex"),
        ("sim", "nyse"),
        ("sim", "--listen", "nowhere"),
        ("sim", "--start", "yesterday"),
        ("sim", "--late-messages", "-1"),
        ("tail", "--count", "0"),
        ("tail", "--snapshots", "ipc://x"),
        ("tail", "--bus", "ipc://x", "--config", "c.yaml"),
        ("monitor", "--bus", "ipc://x", "--config", "c.yaml"),
        ("demo", "--seconds", "-1"),
    ],
)
def test_bad_usage_is_exit_2(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert "usage:" in done.stderr


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_bad_configuration_is_one_line_with_its_place_and_exit_2(command: str, tmp_path: Path) -> None:
    path = write_config(tmp_path, "ws://127.0.0.1:9000/", "[TQBR.SBER, TQBR.SBER]")
    done = run(command, path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"feedbus: {path}:6: feeds.moex.symbols")
    assert done.stderr.count("\n") == 1


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = run("--debug", "check", str(tmp_path / "missing.yaml"))
    assert done.returncode == 2
    assert "Traceback" in done.stderr


def test_check_prints_the_plan(tmp_path: Path, environ: dict[str, str]) -> None:
    path = write_config(tmp_path, "ws://127.0.0.1:9000/")
    done = run("check", path, env=environ)
    assert done.returncode == 0
    assert "moex: 2 symbols over 1 connections to ws://127.0.0.1:9000/" in done.stdout
    assert "moex/0     2  TQBR.SBER TQBR.GAZP" in done.stdout


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_run_and_tail_from_start_to_stop(start: Start, tmp_path: Path, stop: signal.Signals) -> None:
    tail = start("tail", "--count", "5", "book.moex.TQBR.SBER")  # before there is anything to dial
    service = start("run", write_config(tmp_path, simulator(start)))
    output, _ = tail.communicate(timeout=TIMEOUT)
    events = [json.loads(text) for text in output.splitlines()]
    assert [event["kind"] for event in events] == ["book"] * 5
    assert {event["topic"] for event in events} == {"book.moex.TQBR.SBER"}
    assert [event["seq"] for event in events] == list(range(events[0]["seq"], events[0]["seq"] + 5))
    assert tail.returncode == 0
    service.send_signal(stop)
    summary, _ = service.communicate(timeout=5)
    assert service.returncode == 0
    assert "instruments      2 of 2 with a price" in summary
    assert "reconnects       0" in summary


def test_further_signals_while_it_stops_take_nothing_away(start: Start, tmp_path: Path) -> None:
    service = start("run", write_config(tmp_path, simulator(start)))
    assert service.stderr is not None
    while "online" not in service.stderr.readline():
        pass
    while service.poll() is None:
        service.send_signal(signal.SIGTERM)
        service.send_signal(signal.SIGINT)
    summary, _ = service.communicate(timeout=5)
    assert service.returncode == 0
    assert summary.startswith("uptime")
    assert "gaps" in summary


def test_the_simulator_names_the_address_that_it_can_not_have(start: Start) -> None:
    address = simulator(start).removeprefix("ws://").partition("/")[0]
    done = run("sim", "--listen", address)
    assert done.returncode == 1
    assert done.stderr == f"feedbus: can't listen at {address}: Address already in use\n"


def test_a_second_service_on_the_same_address_fails_in_one_line(start: Start, tmp_path: Path) -> None:
    path = write_config(tmp_path, simulator(start))
    first = start("run", path)
    assert first.stderr is not None
    assert "publishing at" in first.stderr.readline()
    second = start("run", path)
    _, errors = second.communicate(timeout=TIMEOUT)
    assert second.returncode == 1
    assert errors.startswith("feedbus: can't publish at ipc://")
    assert errors.count("\n") == 1


def test_dotenv_is_read_and_its_secret_never_shown(start: Start, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MOEX_PASSCODE=s3cret-wr0ng\n")
    service = start("run", write_config(tmp_path, simulator(start)))
    assert service.stderr is not None
    lines = [service.stderr.readline(), service.stderr.readline()]
    assert "login refused: Access denied" in lines[1]
    service.terminate()
    summary, errors = service.communicate(timeout=5)
    assert "s3cret" not in "".join([*lines, summary, errors])
    assert "connections      0 of 1 were up" in summary


def test_demo_without_a_terminal_prints_plain_lines_and_the_final_statistics(start: Start) -> None:
    demo = start("demo", "--seconds", "3")
    output, _ = demo.communicate(timeout=TIMEOUT)
    assert demo.returncode == 0
    assert output.startswith("bus: ipc://")
    assert "\x1b" not in output
    assert "  bid " in output
    assert "instruments      30 of 30 with a price" in output
    assert "gaps             0" in output


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_demo_and_monitor_end_cleanly_at_a_signal(start: Start, stop: signal.Signals) -> None:
    demo = start("demo")
    address = line(demo).removeprefix("bus: ")
    monitor = start("monitor", "--bus", address)
    assert monitor.stdout is not None
    while "  bid " not in (text := monitor.stdout.readline()):
        assert text, "the monitor ended"
    monitor.send_signal(stop)
    monitor.communicate(timeout=5)
    demo.send_signal(stop)
    output, _ = demo.communicate(timeout=5)
    assert (demo.returncode, monitor.returncode) == (0, 0)
    assert "uptime" in output
    assert not Path(address.removeprefix("ipc://")).parent.exists()


def test_monitor_at_something_that_is_no_address_is_exit_2() -> None:
    done = run("monitor", "--bus", "nowhere")
    assert done.returncode == 2
    assert done.stderr == "feedbus: can't subscribe at nowhere: Invalid argument\n"


def test_the_simulator_ends_at_a_signal_with_its_counters(start: Start) -> None:
    simulated = start("sim", "moex", "--listen", "127.0.0.1:0", "--seed", "7", "--start", "2026-01-22T10:00:00Z")
    assert line(simulated).startswith("moex: ws://127.0.0.1:")
    simulated.terminate()
    output, _ = simulated.communicate(timeout=5)
    assert simulated.returncode == 0
    assert "frames sent 0" in output
