"""`make autobahn`: the Autobahn test suite judges both transports as its echo clients.

Ends with one line of counts a transport; exits with 1 when a case failed or the suite could not run. The suite is for
Python 2.7 ($PYTHON27, or python2.7 on PATH, or one of pyenv's) and gets an environment of its own, .venv-autobahn.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import venv
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import trio

from feedbus.errors import VenueError
from feedbus.transport import Dial, DialOptions, trio_ws, websocket

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[1] / ".venv-autobahn"
SUITE = "autobahntestsuite==0.8.2"
VIRTUALENV = "virtualenv<20.22"  # the last ones that make environments of Python 2.7
START_SECONDS = 60
CASE_SECONDS = 600  # the suite gives its longest cases 480

COMPRESSION = ("12.", "13.")
BINARY = ("1.2.", "9.2.", "9.4.", "9.6.", "9.8.", "12.2.", "12.3.", "12.5.")
"""Cases whose messages are binary; an echo has to be of the same kind, and the seam doesn't tell it."""

GOOD = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED")


class Transport(msgspec.Struct, frozen=True):
    """What is judged. The suite's largest message has 16 MiB; it would take a ping for a wrong answer."""

    dial: Dial
    compression: bool

    @property
    def options(self) -> DialOptions:
        return DialOptions(ping_interval=inf, max_message_size=32 * 1024 * 1024, compression=self.compression)


TRANSPORTS = {
    "sansio": Transport(websocket.dial, compression=True),
    "trio-websocket": Transport(trio_ws.dial, compression=False),
}


class Verdict(msgspec.Struct):
    """One case in the suite's report."""

    behavior: str
    close: str = msgspec.field(name="behaviorClose")

    @property
    def word(self) -> str:
        """The worse of both: what was said, and how the connection ended."""
        return self.behavior if self.behavior not in GOOD or self.close in GOOD else f"{self.close} (end)"


def say(text: str) -> None:
    """To the terminal, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def command(*words: str | Path) -> str:
    """Run a command to its end and return what it said. Raises SystemExit with the last line of its complaints."""
    try:
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    except OSError as error:
        raise SystemExit(f"autobahn: {words[0]}: {error.strerror}") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise SystemExit(f"autobahn: {Path(words[0]).name} {' '.join(map(str, words[1:4]))}: {lines[-1]}")
    return done.stdout.strip()


def pythons() -> Iterator[str | None]:
    """Where a Python 2.7 may be."""
    yield os.environ.get("PYTHON27")
    yield shutil.which("python2.7")
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for path in sorted(root.glob("versions/2.7*/bin/python2.7"), reverse=True):
        yield str(path)


def python27() -> str:
    """A Python 2.7 that runs, which not every pyenv shim does."""
    for path in filter(None, pythons()):
        try:
            code = "import sys; sys.exit(sys.version_info[:2] != (2, 7))"
            if subprocess.run([path, "-c", code], capture_output=True, check=False).returncode == 0:
                return path
        except OSError:
            continue
    raise SystemExit("autobahn: there is no Python 2.7 here; set PYTHON27 to one")


def environment() -> Path:
    """The Python that has the suite; made if need be."""
    python = FOLDER / "suite" / "bin" / "python"
    stamp = FOLDER / f"installed {SUITE}"
    if not stamp.exists():
        base = python27()
        say(f"autobahn: installing {SUITE} for {base} in {FOLDER}\n")
        venv.create(FOLDER / "tool", with_pip=True)
        tool = FOLDER / "tool" / "bin"
        command(tool / "python", "-m", "pip", "install", "--quiet", VIRTUALENV)
        command(tool / "virtualenv", "--quiet", "--clear", "--python", base, FOLDER / "suite")
        command(python, "-W", "ignore", "-m", "pip", "install", "--quiet", "--no-python-version-warning", SUITE)
        stamp.touch()
    return python


@asynccontextmanager
async def fuzzing_server(python: Path, reports: Path, patterns: list[str]) -> AsyncIterator[str]:
    """The suite's server; yields its URL."""
    words = [str(python), "-W", "ignore", str(HERE / "server.py"), str(reports), *patterns]
    process = await trio.lowlevel.open_process(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with trio.open_nursery() as nursery:
            port = await nursery.start(follow, process.stdout)
            yield f"ws://127.0.0.1:{port}"
            nursery.cancel_scope.cancel()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def follow(output: trio.abc.ReceiveStream, task_status: trio.TaskStatus[int]) -> None:
    """Read what the server prints, so that it is never held up; its port is on a line of its own."""
    said, port = b"", None
    with trio.CancelScope() as scope:
        scope.deadline = trio.current_time() + START_SECONDS
        async for data in output:
            said = said[-1000:] + data
            lines = said.split(b"\n")
            if port is None and (found := [line for line in lines[:-1] if line.startswith(b"port ")]):
                port = int(found[0].split()[1])
                task_status.started(port)
                scope.deadline = inf
    if port is None:
        raise SystemExit("autobahn: the fuzzing server did not start")


async def ask(url: str) -> bytes:
    """One question to the server that it answers by a message."""
    async with websocket.dial(url, DialOptions()) as connection:
        messages, _ = await connection.receive()
        return bytes(messages[0])


async def echo(transport: Transport, url: str, *, binary: bool) -> None:
    """Return every message, until the connection ends in the way that the seam promises."""
    try:
        with trio.fail_after(CASE_SECONDS):
            async with transport.dial(url, transport.options) as connection:
                while True:
                    messages, _ = await connection.receive()
                    await connection.send([bytes(message) if binary else message.decode() for message in messages])
    except VenueError:
        pass


async def judge(name: str, python: Path, patterns: list[str]) -> dict[str, Verdict]:
    """The verdict on each case."""
    transport = TRANSPORTS[name]
    with TemporaryDirectory() as folder:
        async with fuzzing_server(python, Path(folder), patterns) as url:
            count = int(await ask(f"{url}/getCaseCount"))
            if not count:
                raise LookupError(f"it has no case {' '.join(patterns)}")
            for case in range(1, count + 1):
                title = msgspec.json.decode(await ask(f"{url}/getCaseInfo?case={case}"))["id"]
                if sys.stdout.isatty():
                    say(f"\r{name} {case}/{count}: {title}    ")
                if transport.compression or not title.startswith(COMPRESSION):
                    address = f"{url}/runCase?case={case}&agent={name}"
                    await echo(transport, address, binary=title.startswith(BINARY))
            await echo(TRANSPORTS["sansio"], f"{url}/updateReports?agent={name}", binary=False)
        report = msgspec.json.decode((Path(folder) / "index.json").read_bytes(), type=dict[str, dict[str, Verdict]])
    return report[name]


def summary(name: str, verdicts: dict[str, Verdict]) -> str:
    """One line: how many of each kind, and which are bad."""
    counts = Counter(verdict.word for verdict in verdicts.values())
    words = [*GOOD, "FAILED", *sorted(set(counts) - {*GOOD, "FAILED"})]
    bad = [case for case, verdict in verdicts.items() if verdict.word not in GOOD]
    line = f"{name}: {len(verdicts)} cases: " + ", ".join(f"{counts[word]} {word}" for word in words)
    return line + (f": {' '.join(bad)}" if bad else "")


def main() -> int:
    """Judge the transports named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transport", choices=TRANSPORTS, action="append", help="one of them (may be given twice)")
    parser.add_argument("--case", action="append", help='a pattern of cases, as "1.*" (may be given twice)')
    arguments = parser.parse_args()
    python, lines, failed = environment(), [], False
    for name in arguments.transport or TRANSPORTS:
        verdicts = trio.run(judge, name, python, arguments.case or ["*"])
        lines.append(summary(name, verdicts))
        failed = failed or any(verdict.word not in GOOD for verdict in verdicts.values())
    say("\r" * sys.stdout.isatty() + "\n".join(lines) + "\n")
    return int(failed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BaseExceptionGroup as group:
        sys.exit(f"autobahn: the suite could not run: {group.exceptions[0]}")
    except (OSError, VenueError, trio.TooSlowError, msgspec.MsgspecError) as error:
        sys.exit(f"autobahn: the suite could not run: {str(error) or type(error).__name__}")
