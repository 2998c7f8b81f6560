"""Starts real processes in a folder and an environment of their own, and ends them whatever a test does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.edges.processes import FEEDBUS, Manager, Start
from tests.places import ROOT


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment whose directories are all below `tmp_path`, so that nothing of this machine is read or touched."""
    foreign = ("MOEX_", "XDG_", "NOTIFY_", "WATCHDOG_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    own = {"XDG_RUNTIME_DIR": "run", "XDG_CACHE_HOME": "cache", "HOME": "home", "CREDENTIALS_DIRECTORY": "credentials"}
    return {**kept, **{name: str(tmp_path / folder) for name, folder in own.items()}, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def start(tmp_path: Path, environ: dict[str, str]) -> Iterator[Start]:
    """Starts programs, and ends those that a test left. What one says on standard error is in the file `log`."""
    started: list[subprocess.Popen[str]] = []

    def begin(
        *arguments: str, program: Sequence[str] = FEEDBUS, log: str = "", **variables: str
    ) -> subprocess.Popen[str]:
        with (tmp_path / (log or f"stderr-{len(started)}")).open("w") as errors:
            process = subprocess.Popen(
                [*program, *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                text=True,
                cwd=tmp_path,
                env={**environ, **variables},
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()
