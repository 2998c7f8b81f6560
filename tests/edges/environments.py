"""Foreign programs, each in a folder beside the checkout that is kept for the next time."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.places import ROOT

INSTALL_WITHIN = 240.0  # seconds


def environment(name: str, make: Callable[[Path], None]) -> Path:
    """The folder `.venv-<name>`, filled by `make` unless it is there already."""
    folder = ROOT / f".venv-{name}"
    ready = folder / ".ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        make(folder)
        ready.touch()
    return folder


def run(*command: str | Path, cwd: Path | None = None) -> None:
    """A step of making one. The test is skipped, with the last words of the program, where that isn't possible here."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_WITHIN, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{command[0]} can't be run: {error}")
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        last = [line.strip() for line in lines if not line.startswith(("note:", "hint:"))][-1:]
        pytest.skip(f"{Path(command[0]).name} failed: {' '.join(last)}")


def python_with(*installs: str, name: str, python: str = sys.executable) -> str:
    """A Python of an environment in which pip was given each of these, its options among them."""

    def make(folder: Path) -> None:
        run(python, "-m", "venv", folder)
        for arguments in installs:
            pip = (folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            run(*pip, *arguments.split())

    return str(environment(name, make) / "bin" / "python")


def unpack(*arguments: str | Path) -> None:
    """Debian's packages of these names, unpacked into a folder, which comes last: nothing is installed, no root needed.

    By apt, with lists of packages of its own: the machine's may be missing, and are left alone.
    """
    *names, folder = map(str, arguments)
    lists, archives = Path(folder, "state"), Path(folder, "cache")
    (lists / "lists/partial").mkdir(parents=True)
    (archives / "archives/partial").mkdir(parents=True)
    settings = {"Dir::State": lists, "Dir::Cache": archives}
    settings |= {"Dir::State::status": Path("/var/lib/dpkg/status")}
    options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    options += ["-o", "APT::Sandbox::User=root"]
    run("apt-get", "-qq", *options, "update", cwd=Path(folder))
    run("apt-get", "-qq", *options, "download", *names, cwd=Path(folder))
    for package in Path(folder).glob("*.deb"):
        run("dpkg", "-x", package, folder)
        package.unlink()
    for made in (lists, archives):
        shutil.rmtree(made)
