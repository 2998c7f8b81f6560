"""`feedbus doctor` from its arguments to its output and exit status. tests/edges runs it as a process."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import trio

from feedbus import config
from feedbus.commands import doctor
from feedbus.doctor.examination import Wishes
from tests.doctor.examined import QUICK, simulated
from tests.in_process import Command

CLOSED = "bus: {publish: 'inproc://x'}\nfeeds: {moex: {venue: moex, url: 'ws://127.0.0.1:9/', symbols: [TQBR.SBER]}}\n"


def test_a_failure_is_printed_with_its_remedy_and_the_status_is_1(command: Command, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CLOSED)
    done = command("doctor", "c.yaml", "--ntp", "none")
    assert (done.status, done.err) == (1, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("c.yaml: the doctor began at 20")
    assert lines[0].endswith(" s at most")
    assert any(line.startswith("  FAIL  tcp") for line in lines)
    assert any(line.startswith("        -> The machine answers, and nothing listens") for line in lines)
    assert lines[-1].startswith("1 failed, ")


def test_the_json_is_one_line_and_the_status_is_the_same(command: Command, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CLOSED)
    done = command("doctor", "c.yaml", "--ntp", "none", "--json")
    assert (done.status, done.err) == (1, "")
    (line,) = done.out.splitlines()
    assert json.loads(line)["verdict"] == "failed"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("c.yaml",), "feedbus: c.yaml:1: "),
        (("none.yaml",), "feedbus: none.yaml: can't be read: No such file or directory"),
        (("good.yaml", "--only", "okx"), "feedbus: --only okx: no such feed; good.yaml has moex"),
        (("good.yaml", "--ntp", "x:0"), "invalid HOST or HOST:PORT value: 'x:0'"),
        (("good.yaml", "--wait", "0"), "invalid number of seconds value: '0'"),
    ],
)
def test_what_can_not_be_used_is_status_2(
    arguments: tuple[str, ...], reason: str, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("buss: {publish: 'inproc://x'}\n")
    (tmp_path / "good.yaml").write_text(CLOSED)
    done = command("doctor", *arguments)
    assert (done.status, done.out) == (2, "")
    assert reason in done.err


async def examine(folder: Path, url: str, *, wait: float) -> tuple[int, list[str]]:
    text = CLOSED.replace("ws://127.0.0.1:9/", url) + f"cache_dir: {folder}\n"
    environ = {"HOME": str(folder)}
    (folder / "c.yaml").write_text(text)
    loaded = config.load(folder / "c.yaml", environ)
    lines: list[str] = []
    patience = QUICK.__class__(login=wait, data=5.0, watch=0.05)
    with trio.fail_after(25):
        status = await doctor.examine(loaded, environ, Wishes(ntp="none", patience=patience), False, lines.append)
    return status, lines


async def test_a_healthy_set_up_is_status_0(tmp_path: Path) -> None:
    async with simulated("moex", rate=20.0) as (url, _):
        status, lines = await examine(tmp_path, url, wait=5.0)
    assert status == 0
    assert lines[-1].startswith("0 failed, 0 to look at, ")
    assert not any("->" in line for line in lines)


async def test_a_signal_ends_it_with_what_was_found_and_status_1(tmp_path: Path) -> None:
    """The venue answers no login, so that there is something to wait for."""
    stopped: list[tuple[int, list[str]]] = []

    async def silent(stream: trio.SocketStream) -> None:
        asked.set()
        await trio.sleep_forever()

    asked = trio.Event()
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, silent, [listener])

        async def run() -> None:
            url = f"ws://127.0.0.1:{listener.socket.getsockname()[1]}/"
            stopped.append(await examine(tmp_path, url, wait=100.0))
            nursery.cancel_scope.cancel()

        nursery.start_soon(run)
        await asked.wait()
        signal.raise_signal(signal.SIGTERM)
    ((status, lines),) = stopped
    assert status == 1
    assert lines[-1].endswith("; stopped before the end")
