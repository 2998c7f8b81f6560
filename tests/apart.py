"""Three simulated venues and all actors, each part in a process of its own: for tests and benches."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feedbus import config
from feedbus.config import Config
from feedbus.service import processes

ENDS_WITHIN = 20.0  # seconds

TEXT = """\
bus: {{publish: "ipc://{folder}/events.ipc"}}
feeds:
  moex: {{venue: moex, url: {moex}, channels: [orderbooks, securities], symbols: [TQBR.SBER, TQBR.GAZP]}}
  alor: {{venue: alor, url: {alor}, auth: {alor_rest}, credentials: {{refresh_token: x}}, symbols: [SBER, GAZP]}}
  binance: {{venue: binance, url: {binance}, symbols: [BTCUSDT, ETHUSDT]}}
actors:
  aggregator: {{periods: [1, 60], forming_every: 0.2}}
  alerting: {{rules: [{{kind: large_trade, threshold: 0.000001, cooldown: 0.5}}]}}
  metrics: {{listen: "127.0.0.1:{port}"}}
"""


class Apart:
    """The processes by the names of their parts, and where they are found."""

    def __init__(self, folder: Path, port: int) -> None:
        self.path = folder / "apart.yaml"
        self.metrics = f"http://127.0.0.1:{port}/metrics"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._folder = folder
        self._port = port
        self.config: Config

    def start(self) -> None:
        """The simulated venues, and then every part."""
        self.path.write_text(TEXT.format(folder=self._folder, port=self._port, **self._simulate()))
        self.config = config.load(self.path, {"HOME": str(self._folder)})
        for name in processes.names(self.config):
            self.run(name)

    def run(self, name: str) -> None:
        """Start one part."""
        self._start(name, "run", str(self.path), "--only", name)

    def kill(self, name: str) -> None:
        """kill -9, and wait until it is gone."""
        self.processes[name].send_signal(signal.SIGKILL)
        self.processes[name].wait(ENDS_WITHIN)

    def addresses(self) -> tuple[str, ...]:
        """Of all publishers."""
        return processes.subscribed(self.config)

    def close(self) -> None:
        """End them all."""
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(ENDS_WITHIN)
            if process.stdout is not None:
                process.stdout.close()

    def log(self, name: str) -> str:
        """What a part has written to standard error."""
        return (self._folder / f"{name}.log").read_text()

    def _simulate(self) -> dict[str, str]:
        """The six URLs by the names they are printed with: `moex`, `moex_rest` and so on."""
        process = self._start("sim", "sim", "--listen", "127.0.0.1:0", "--rate", "10", stdout=subprocess.PIPE)
        assert process.stdout is not None
        lines = [process.stdout.readline().decode().strip() for _ in range(6)]
        return {name.replace(" ", "_"): url for name, url in (line.split(": ", 1) for line in lines)}

    def _start(self, name: str, *arguments: str, stdout: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "feedbus", *arguments]
        with (self._folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=stdout, stderr=log)
        self.processes[name] = process
        return process


@contextmanager
def apart(folder: Path, port: int) -> Iterator[Apart]:
    """All of them running; ended on leaving."""
    made = Apart(folder, port)
    try:
        made.start()
        yield made
    finally:
        made.close()
