"""`feedbus monitor`: the live table on a real bus. How it draws is tested in tests/table."""

from __future__ import annotations

import io

import trio
from rich.console import Console

from feedbus.bus.nng import PubSocket
from feedbus.bus.publisher import Publisher
from feedbus.commands.monitor import watch
from feedbus.schema.events import Trade

ADDRESS = "inproc://commands-monitor"


class WatchedOutput(io.StringIO):
    """Sets an event when a price is written."""

    def __init__(self) -> None:
        super().__init__()
        self.priced = trio.Event()

    def write(self, text: str) -> int:
        if "306.1" in text:
            self.priced.set()
        return super().write(text)


async def test_it_shows_what_is_published_until_it_is_stopped() -> None:
    stop, out = trio.Event(), WatchedOutput()
    socket = PubSocket(ADDRESS)
    publisher = Publisher("moex", socket)

    async def publish_until_shown() -> None:
        while not out.priced.is_set():
            publisher.publish([Trade("moex", "TQBR.SBER", 0, 1, 306.1, 1.0, "buy", 1)])
            with trio.move_on_after(0.1):
                await out.priced.wait()
        stop.set()

    try:
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publish_until_shown)
                table, stats = await watch([ADDRESS], stop, console=Console(file=out, force_terminal=False))
    finally:
        socket.close()
    assert table.updates > 0
    assert stats.gaps == 0
    assert "moex TQBR.SBER" in out.getvalue()


async def test_it_ends_when_its_time_is_over() -> None:
    with trio.fail_after(20):
        table, _ = await watch(
            ["inproc://commands-nobody"], trio.Event(), console=Console(file=io.StringIO()), seconds=0.01
        )
    assert table.updates == 0
