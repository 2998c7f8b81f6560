"""When a worker process of pytest-xdist dies, the run says how."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

pytestmark = pytest.mark.edge


@pytest.mark.parametrize(
    ("death", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was ended by the signal 9 (Killed)"),
        ("os.kill(os.getpid(), signal.SIGALRM)", "was ended by the signal 14 (Alarm clock)"),
        ("os._exit(3)", "ended with the status 3"),
        ("ctypes.string_at(0)", "was ended by the signal 11 (Segmentation fault)"),
    ],
)
def test_the_death_of_a_worker_is_told_with_its_cause(tmp_path: Path, death: str, told: str) -> None:
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    set_up = "signal.setitimer(signal.ITIMER_REAL, 0); signal.signal(signal.SIGALRM, signal.SIG_DFL)"
    (tmp_path / "test_it.py").write_text(
        f"import ctypes, os, signal\ndef test_deadly():\n    {set_up}\n    {death}\ndef test_later(): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path)]
    command += ["-p", "no:cacheprovider", "-n", "1", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert f") {told}; the largest process until now had " in done.stdout
    assert "crashed while running 'test_it.py::test_deadly'" in done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert ("Segmentation fault" in done.stderr) == ("Segmentation" in told)
