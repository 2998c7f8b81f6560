"""Runs the doctor in the process of a test, over configurations in a folder of the test."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from feedbus import config
from feedbus.commands.doctor import transport
from feedbus.doctor import rendering
from feedbus.doctor.examination import Examination, Wishes
from feedbus.doctor.findings import CheckFinding, Report
from feedbus.doctor.patience import Patience
from feedbus.sim.simulations import simulation

ANY = ("127.0.0.1", 0)
TIMEOUT = 25.0
QUICK = Patience(lookup=3, tcp=3, tls=3, login=3, answer=3, data=5, watch=0.05, ntp=0.2)
MARKER = "s3cr3t"
"""Is in every secret of these tests, and must be in nothing that is shown."""


async def examined(
    folder: Path, feeds: str, *, wishes: Wishes | None = None, rest: str = "", name: str = "c"
) -> Report:
    """What the doctor finds of these feeds in YAML, and whether it shows no secret."""
    text = f"bus: {{publish: 'inproc://{folder}'}}\ncache_dir: {folder}\n{rest}\nfeeds:\n{feeds}"
    (folder / f"{name}.yaml").write_text(text)
    environ = {"HOME": str(folder)}
    loaded = config.load(folder / f"{name}.yaml", environ)
    examination = Examination(loaded, environ, wishes or Wishes(ntp="none", patience=QUICK), transport)
    with trio.fail_after(TIMEOUT):
        await examination.run()
    assert MARKER not in shown(examination.report)
    return examination.report


def shown(report: Report) -> str:
    """Everything that the doctor prints, as lines and as JSON."""
    lines = rendering.Lines(report)
    text = "\n".join([*lines.head(), *lines.due(), *lines.foot(1.0)])
    return f"{text}\n{rendering.as_json(report, 1.0)}"


def found(report: Report, check: str, section: str = "") -> list[CheckFinding]:
    """The findings of one check, in the section of this name or in all of them."""
    return [
        finding
        for each in report.sections
        for finding in each.findings
        if finding.check == check and section in ("", each.name)
    ]


def one(report: Report, check: str, section: str = "") -> CheckFinding:
    """The only finding of a check."""
    (finding,) = found(report, check, section)
    return finding


def failed(report: Report) -> list[str]:
    """The checks that failed, in order."""
    return [finding.check for each in report.sections for finding in each.findings if finding.verdict == "failed"]


@asynccontextmanager
async def simulated(name: str, **options: object) -> AsyncIterator[tuple[str, str]]:
    """A simulated venue: its URLs of WebSocket and REST."""
    async with trio.open_nursery() as nursery:
        yield await simulation(name, **options).start(nursery, ANY, ANY)  # type: ignore[arg-type]
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def encrypted(context: ssl.SSLContext, target: str) -> AsyncIterator[int]:
    """A port at which TLS is spoken, and behind it the plain server at `target` (host:port)."""
    host, _, port = target.partition(":")

    async def serve(stream: trio.SocketStream) -> None:
        secure = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            await secure.do_handshake()
            async with await trio.open_tcp_stream(host, int(port)) as plain, trio.open_nursery() as nursery:
                nursery.start_soon(_pump, secure, plain, nursery.cancel_scope)
                nursery.start_soon(_pump, plain, secure, nursery.cancel_scope)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            return
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(secure)

    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def _pump(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream, scope: trio.CancelScope) -> None:
    try:
        while data := await source.receive_some(65536):
            await sink.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    scope.cancel()
