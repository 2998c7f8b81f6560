"""A service that is stopped, killed or ended, as `feedbus book` and `feedbus monitor` see it: what they show of it is
not live any more, and is live again when the service goes on.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edges.processes import Start, line
from tests.on_terminal import TAKE_TERMINAL, OnTerminal
from tests.places import ROOT

pytestmark = [pytest.mark.edge, pytest.mark.timeout(240)]

PROGRAM = TAKE_TERMINAL + "import sys; from feedbus.__main__ import main; sys.exit(main())"
SYMBOL = "BTCUSDT"
WITHIN = 4.0  # seconds from the end of a service until it is seen, at most
SAID_WITHIN = 45.0  # seconds within which what is said of a book is said again, with some to spare
LIVE, NOT_LIVE = "live", "NOT LIVE"


@pytest.fixture
def configuration(tmp_path: Path, start: Start) -> str:
    """A service with one book of a simulated exchange, which this starts."""
    simulated = start("sim", "binance", "--listen", "127.0.0.1:0", "--rate", "20")
    url, rest = line(simulated).removeprefix("binance: "), line(simulated).removeprefix("binance rest: ")
    (tmp_path / "service.yaml").write_text(
        f"bus: {{publish: 'ipc://{tmp_path}/bus.ipc'}}\n"
        f"feeds:\n  binance: {{venue: binance, url: '{url}', rest: '{rest}', symbols: [{SYMBOL}],\n"
        "    channels: [depth@100ms], options: {audit_s: 0}, backoff: {first: 0.1, cap: 1}}\n"
    )
    return "service.yaml"


@pytest.fixture
def table(tmp_path: Path) -> Iterator[OnTerminal]:
    """`feedbus monitor` on a terminal."""
    command = [sys.executable, "-c", PROGRAM, "monitor", "--bus", f"ipc://{tmp_path}/bus.ipc"]
    terminal = OnTerminal(command, {"PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(tmp_path)}, size=(24, 250))
    yield terminal
    terminal.close()


class Pictures:
    """The pictures that a ladder writes into a pipe, one a second."""

    def __init__(self, ladder: subprocess.Popen[str]) -> None:
        self.process = ladder
        self.seen = ""

    def until(self, state: str, within: float = SAID_WITHIN) -> str:
        """Read until the header has this word; returns the line after that one. What came before stays in `seen`."""
        deadline = time.monotonic() + within
        self.seen = ""
        while not (head := line(self.process)).startswith(f"binance {SYMBOL}  {state}  "):
            self.seen += f"{head}\n"
            assert time.monotonic() < deadline, f"{state!r} didn't come; seen:\n{self.seen}"
        return line(self.process)


def test_what_a_service_published_is_live_only_while_it_speaks(
    tmp_path: Path, start: Start, configuration: str, table: OnTerminal
) -> None:
    bus = f"ipc://{tmp_path}/bus.ipc"
    service = start("run", configuration, log="service")
    ladder = Pictures(start("book", "binance", SYMBOL, "--bus", bus, COLUMNS="200"))
    ladder.until(LIVE)
    table.read_until(SYMBOL)
    assert "NOT LIVE" not in table.seen
    # Stopped, and continued.
    for _ in range(2):
        service.send_signal(signal.SIGSTOP)
        table.seen = ""
        said = ladder.until(NOT_LIVE, WITHIN)
        assert re.fullmatch(r"nothing has come from the publisher binance for [23] s", said)
        table.read_until("NOT LIVE", WITHIN)
        service.send_signal(signal.SIGCONT)
        ladder.until(LIVE)
    # It is the ladder that is stopped, and what came meanwhile lies unread.
    ladder.process.send_signal(signal.SIGSTOP)
    time.sleep(WITHIN)
    ladder.process.send_signal(signal.SIGCONT)
    for _ in range(3):
        ladder.until(LIVE)
        assert "publisher" not in ladder.seen
    # Killed, and started again.
    service.kill()
    table.seen = ""
    assert ladder.until(NOT_LIVE, WITHIN).startswith("nothing has come from the publisher binance for")
    assert line(ladder.process) == f"nobody listens at {bus}: its publisher has ended"
    table.read_until("nothing has come from the publisher binance for", WITHIN)
    table.read_until(f"nobody listens at {bus}: its publisher has ended", WITHIN)
    service.wait()
    service = start("run", configuration, log="service again")
    ladder.until(LIVE)
    # Ended as it should: that its connection is away was its last word, and isn't the reason any more.
    service.terminate()
    while not ladder.until(NOT_LIVE, WITHIN).startswith("nothing has come from the publisher binance for"):
        pass
    assert line(ladder.process).startswith(f"nobody listens at {bus}: ")
