"""Secrets stay where they are: real commands with a marker in every credential slot, and the marker is looked for in
all that they say, in their arguments, on the bus and in every file that they write.
"""

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
TIMEOUT = 60
MARKER = "s3cr3t"
LOGIN, PASSCODE = f"{MARKER}-l0gin", f"{MARKER}-p4ss"
FEEDBUS = [sys.executable, "-m", "feedbus"]
# The same command, with every logger of the process at DEBUG.
AT_DEBUG = """\
import logging, sys
from feedbus import cli
from feedbus.telemetry import logs
to_stderr = logs.to_stderr
def verbose(level=logging.DEBUG, style="auto"):
    to_stderr(logging.DEBUG, style)
    logging.getLogger().setLevel(logging.DEBUG)
logs.to_stderr = verbose
sys.exit(cli.main())
"""
# A simulated exchange that knows our account.
ACCEPTING = """\
import os, trio
from feedbus.sim.moex import server as moex
async def main():
    options = moex.MoexSimOptions(accounts=(("DEMO", os.environ["MOEX_LOGIN"], os.environ["MOEX_PASSCODE"]),))
    async with trio.open_nursery() as nursery:
        print("moex:", await nursery.start(moex.serve, options, "127.0.0.1", 0), flush=True)
trio.run(main)
"""

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment of its own, whose directories are all below `tmp_path`, without a secret."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MOEX_", "XDG_", "NOTIFY_"))}
    own = {"XDG_RUNTIME_DIR": "run", "XDG_CACHE_HOME": "cache", "HOME": "home", "CREDENTIALS_DIRECTORY": "credentials"}
    return {**kept, **{name: str(tmp_path / folder) for name, folder in own.items()}, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def start(tmp_path: Path, environ: dict[str, str]) -> Iterator[Start]:
    """Starts programs with the secrets in their environment, and ends those that a test left."""
    started: list[subprocess.Popen[str]] = []

    def begin(*command: str) -> subprocess.Popen[str]:
        with (tmp_path / f"stderr-{len(started)}").open("w") as errors:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=errors,
                stdin=subprocess.DEVNULL,
                text=True,
                cwd=tmp_path,
                env={**environ, "MOEX_LOGIN": LOGIN, "MOEX_PASSCODE": PASSCODE},
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


def feed(name: str, url: str, credentials: str) -> str:
    symbols = "[TQBR.SBER, TQBR.GAZP]"
    return f"  {name}: {{venue: moex, url: '{url}', symbols: {symbols}, credentials: {credentials}}}\n"


def written(folder: Path) -> str:
    """All files below a folder, one after another; sockets aside."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return "".join(f"{path}:\n{path.read_bytes().decode(errors='replace')}\n" for path in files)


@pytest.mark.parametrize("program", [[*FEEDBUS, "--debug"], [sys.executable, "-c", AT_DEBUG, "--debug"]])
def test_no_secret_leaves_a_service_whose_logins_are_refused_and_accepted(
    program: list[str], start: Start, tmp_path: Path
) -> None:
    refusing = line(start(*FEEDBUS, "sim", "moex", "--listen", "127.0.0.1:0")).removeprefix("moex: ")
    accepting = line(start(sys.executable, "-c", ACCEPTING)).removeprefix("moex: ")
    secrets = '{login: "${MOEX_LOGIN}", passcode: "${MOEX_PASSCODE}"}'
    bus = f"ipc://{tmp_path / 'bus.ipc'}"
    (tmp_path / "c.yaml").write_text(
        f"bus: {{publish: '{bus}'}}\nfeeds:\n" + feed("no", refusing, secrets) + feed("yes", accepting, secrets)
    )
    tail = start(*FEEDBUS, "tail", "--bus", bus)
    service = start(*program, "run", "c.yaml")
    said, kinds = "", set()
    states: set[tuple[str | None, str | None]] = set()
    while not {("no/0", "refused"), ("yes/0", "online")} <= states or "book" not in kinds:
        said += (got := line(tail))
        assert got, written(tmp_path)
        event = json.loads(got)
        kinds.add(event["kind"])
        states.add((event.get("symbol"), event.get("state")))
    arguments = Path(f"/proc/{service.pid}/cmdline").read_bytes().decode()
    assert "c.yaml" in arguments
    service.send_signal(signal.SIGTERM)
    summary = service.communicate(timeout=TIMEOUT)[0]
    assert service.returncode == 0
    assert "uptime" in summary
    everything = f"{said}{arguments}{summary}{written(tmp_path)}"
    assert "login refused" in everything
    assert MARKER not in everything


GIVEN = {
    "in the configuration": f"{{login: {LOGIN}, passcode: {PASSCODE}}}",
    "in the environment": '{login: "${MOEX_LOGIN}", passcode: "${MOEX_PASSCODE}"}',
    "in .env": '{login: "${DOTENV_LOGIN}", passcode: "${DOTENV_PASSCODE}"}',
    "in files": "{login_file: login, passcode_file: passcode}",
    "by systemd": '{login_file: login, passcode_file: "${CREDENTIALS_DIRECTORY}/moex-passcode"}',
}
EVERY = "".join(feed(f"f{number}", "ws://127.0.0.1:9/", how) for number, how in enumerate(GIVEN.values()))
BUS = "bus: {publish: 'inproc://x'}\nfeeds:\n"


def files(folder: Path) -> None:
    """A secret wherever one may be."""
    (folder / ".env").write_text(f"DOTENV_LOGIN={LOGIN}\nDOTENV_PASSCODE='{PASSCODE}'\n")
    (folder / "login").write_text(LOGIN)
    (folder / "passcode").write_text(f"{PASSCODE}\n")
    (folder / "twice").write_text(f"{PASSCODE}\n{PASSCODE}\n")
    (folder / "credentials").mkdir()
    (folder / "credentials" / "moex-passcode").write_text(PASSCODE)


def check(text: str, folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    (folder / "c.yaml").write_text(text)
    return subprocess.run(
        [*FEEDBUS, "--debug", "check", "c.yaml"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
        cwd=folder,
        env={**environ, "MOEX_LOGIN": LOGIN, "MOEX_PASSCODE": PASSCODE},
    )


def test_check_shows_no_secret_however_it_is_given(tmp_path: Path, environ: dict[str, str]) -> None:
    files(tmp_path)
    done = check(BUS + EVERY, tmp_path, environ)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"f{number}" in done.stdout for number in range(len(GIVEN)))
    assert MARKER not in done.stdout


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (("symbols: [TQBR.SBER,", "symbols: [SBER,"), "not BOARD.SECID"),
        (("login: ", "logins: "), "did you mean 'login'?"),
        (("passcode: ", "passcode:"), "a space follows its colon"),
        (("passcode: ", "passcode: *"), "aliases and anchors"),
        (("passcode: ", "passcode: 'x'"), "not YAML"),
        (("passcode: ", "passcode: x$"), "a $ begins neither"),
        (("passcode_file: passcode", "passcode_file: twice"), "more than one line"),
        (("passcode_file: passcode", f"passcode_file: {PASSCODE}"), "can't be read"),
        (("passcode_file: passcode", f"passcode_file: passcode, passcode: {PASSCODE}"), "exclude each other"),
    ],
)
def test_a_refused_configuration_shows_no_secret(
    damage: tuple[str, str], reason: str, tmp_path: Path, environ: dict[str, str]
) -> None:
    files(tmp_path)
    assert damage[0] in BUS + EVERY
    done = check((BUS + EVERY).replace(*damage, 1), tmp_path, environ)
    # With --debug the traceback is shown too.
    assert "Traceback" in done.stderr
    assert reason in done.stderr
    assert MARKER not in done.stdout + done.stderr


def test_an_env_file_in_the_place_of_a_configuration_shows_no_secret(tmp_path: Path, environ: dict[str, str]) -> None:
    for text in (f"PASSCODE={PASSCODE}\n", f"A=1\nPASSCODE: {PASSCODE}\n", f"PASSCODE={PASSCODE}: x\n"):
        done = check(text, tmp_path, environ)
        assert "c.yaml:" in done.stderr
        assert MARKER not in done.stdout + done.stderr
    (tmp_path / ".env").write_text(f"A=1\nPASSCODE {PASSCODE}\n")
    done = check(BUS + EVERY, tmp_path, environ)
    assert ".env:2: is not NAME=value" in done.stderr
    assert MARKER not in done.stdout + done.stderr
