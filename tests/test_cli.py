"""The commands from their arguments to their output and exit status. tests/edges runs them as real processes."""

from __future__ import annotations

import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from feedbus.bus.nng import PubSocket
from tests.in_process import Command
from tests.places import ROOT


def write_config(folder: Path, symbols: str = "[TQBR.SBER, TQBR.GAZP]") -> str:
    path = folder / "c.yaml"
    path.write_text(
        'bus: {publish: "ipc://${XDG_RUNTIME_DIR:-/run}/events.ipc"}\n'
        f"feeds:\n  moex:\n    venue: moex\n    url: ws://127.0.0.1:9000/\n    symbols: {symbols}\n"
    )
    return str(path)


def imported(code: str) -> set[str]:
    """The modules that a process has in the end."""
    code += "\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split())


def test_help_imports_none_of_the_parts() -> None:
    code = "from feedbus.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"
    assert not imported(code) & {"trio", "pynng", "msgspec", "rich", "yaml"}


def test_a_plain_feed_runs_without_what_only_others_need(tmp_path: Path) -> None:
    code = f"""\
import trio
from feedbus import config
from feedbus.commands import run
async def main():
    loaded = config.load({write_config(tmp_path)!r}, {{"XDG_RUNTIME_DIR": {str(tmp_path)!r}}})
    async with run.running(loaded) as service:
        await service.feeds[0].first_attempt.wait()
trio.run(main)"""
    modules = imported(code)
    assert {"websockets", "feedbus.venues.moex.session"} <= modules
    assert not modules & {"httpx", "rich", "trio_websocket", "wsproto", "prometheus_client", "h11"}


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
        ("sim", "binance", "--faults", "missing.json"),
        ("tail", "--count", "0"),
        ("tail", "--count", "-1"),
        ("tail", "--count", "many"),
        ("tail", "--snapshots", "ipc://x"),
        ("tail", "--bus", "ipc://x", "--config", "c.yaml"),
        ("monitor", "--bus", "ipc://x", "--config", "c.yaml"),
        ("demo", "--seconds", "-1"),
        ("book", "binance"),
        ("book", "", "BTCUSDT"),
        ("book", "a.b", "BTCUSDT"),
        ("book", "binance", ""),
        ("book", "binance", "BTC."),
        ("book", "binance", "BTCUSDT", "--levels", "0"),
        ("book", "binance", "BTCUSDT", "--levels", "1001"),
        ("book", "binance", "BTCUSDT", "--range", "0"),
        ("book", "binance", "BTCUSDT", "--range", "nan"),
        ("book", "binance", "BTCUSDT", "--bus", "ipc://x", "--config", "c.yaml"),
    ],
)
def test_bad_usage_is_exit_2(command: Command, arguments: tuple[str, ...]) -> None:
    done = command(*arguments)
    assert (done.status, done.out) == (2, "")
    assert "usage:" in done.err


@pytest.mark.parametrize("name", ["run", "check"])
def test_a_bad_configuration_is_one_line_with_its_place_and_exit_2(command: Command, name: str, tmp_path: Path) -> None:
    path = write_config(tmp_path, "[TQBR.SBER, TQBR.SBER]")
    done = command(name, path)
    assert done.status == 2
    assert done.err.startswith(f"feedbus: {path}:6: feeds.moex.symbols")
    assert done.err.count("\n") == 1


def test_debug_shows_the_traceback(command: Command) -> None:
    done = command("--debug", "check", "missing.yaml")
    assert done.status == 2
    assert "Traceback" in done.err


def test_check_prints_the_plan(command: Command, tmp_path: Path) -> None:
    done = command("check", write_config(tmp_path))
    assert done.status == 0
    assert "moex: 2 symbols over 1 connections to ws://127.0.0.1:9000/" in done.out
    assert "moex/0     2  TQBR.SBER TQBR.GAZP" in done.out


def test_the_simulator_names_the_address_that_it_can_not_have(command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = command("sim", "moex", "--listen", address)
    assert (done.status, done.err) == (1, f"feedbus: can't listen at {address}: Address already in use\n")


def test_a_second_service_on_the_same_address_fails_in_one_line(command: Command, tmp_path: Path) -> None:
    with closing(PubSocket(f"ipc://{tmp_path}/run/events.ipc")):
        done = command("run", write_config(tmp_path))
    assert done.status == 1
    assert done.err.startswith("feedbus: can't publish at ipc://")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("words", ["monitor", "tail", "book binance BTCUSDT", "book binance BTCUSDT --once"])
def test_an_address_that_is_none_is_exit_2(command: Command, words: str) -> None:
    done = command(*words.split(), "--bus", "nowhere")
    assert (done.status, done.err) == (2, "feedbus: can't subscribe at nowhere: Invalid argument\n")


@pytest.mark.parametrize("topic", ["trade.moex", ".moex"])
def test_a_topic_that_is_none_is_exit_2(command: Command, topic: str) -> None:
    done = command("tail", "--bus", "ipc://x", topic)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("feedbus: ")
    assert done.err.count("\n") == 1
