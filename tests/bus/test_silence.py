"""Why a subscription has received nothing: what is said of each cause, and when it is said."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio

from feedbus.bus.nng import PubSocket
from feedbus.bus.publisher import Publisher
from feedbus.bus.silence import WORDS, why_silent
from feedbus.bus.subscriber import WARN_AFTER, subscribe, subscribe_sync
from feedbus.schema.events import Ticker, Trade
from tests.places import ROOT

PATIENCE = 10.0
NOBODY = 65534  # the user id of nobody, on every Linux
SPOKEN = ["book.moex.TQBR.SBER", "book.moex.TQBR.GAZP", "trade.alor.SBER", "ticker.alor.SBER", "odd", "odd.er"]


def trade(symbol: str = "SBER") -> Trade:
    return Trade("alor", symbol, 1, 2, 300.5, 10.0, "buy", 1)


@pytest.fixture(autouse=True)
def own_runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        ("trades", "; no topic begins with 'trades': did you mean trade?"),
        ("Trade.alor.", "; no topic begins with 'Trade': did you mean trade?"),
        ("delta", "; no topic begins with 'delta': did you mean book?"),
        ("zz\x1b", f"; no topic begins with 'zz': there are {', '.join(WORDS)}"),
        ("trade.allor.SBER", "; nobody publishes the venue 'allor': did you mean alor?"),
        ("trade.nyse.", "; nobody publishes the venue 'nyse': there are alor, moex"),
        ("quote.alor.", "; there have been no quote events of alor lately, only ticker, trade"),
        ("book.moex.tqbr.sbre", "; did you mean book.moex.TQBR.SBER?"),
        ("book.moex.SBER", "; did you mean book.moex.TQBR.SBER?"),
        ("book.moex.ZZZZZ", ""),
        ("trade.alor.", ""),
        ("trade", ""),
    ],
)
def test_a_topic_without_events_is_told_what_may_have_been_meant(topic: str, said: str) -> None:
    found = why_silent(["ipc:///x"], ["ipc:///x"], publishers=["alor"], topics=[topic], spoken=SPOKEN)
    shown = topic.replace("\x1b", "")
    assert found == f"connected to alor, where nothing has come on {shown} so far{said}"


def test_what_is_said_is_bounded() -> None:
    many = [f"ipc:///nowhere/{number}" for number in range(500)]
    topics = [f"w{number}" for number in range(500)]
    assert len(why_silent(many, [], publishers=[], topics=topics, spoken=SPOKEN)) < 1_000
    assert len(why_silent(many, many, publishers=many, topics=topics, spoken=SPOKEN)) < 1_000
    assert why_silent([], [], publishers=[], topics=[""], spoken=[]) == "no address is subscribed"


def test_each_way_of_not_being_connected_is_told_apart(tmp_path: Path) -> None:
    def said(address: str) -> str:
        return why_silent([address], [], publishers=[], topics=["trade"], spoken=[])

    path = tmp_path / "bus.ipc"
    address = f"ipc://{path}"
    assert said(address) == f"nobody listens at {address}: there is no such socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert said(address) == f"nobody listens at {address}: its publisher has ended"
        assert "connected to" not in why_silent([address], [], publishers=["sim"], topics=[""], spoken=[])
        listener.listen(1)
        assert said(address) == f"whoever listens at {address} doesn't answer as a publisher"
    path.unlink()
    path.write_text("")
    assert said(address) == f"nobody listens at {address}: what is there is no socket"
    assert said(f"ipc:///{'x' * 200}").startswith("can't connect to ipc:///xxx")
    assert said("tcp://127.0.0.1:9") == "nobody answers at tcp://127.0.0.1:9"
    usual = tmp_path / "run/feedbus/events.ipc"
    usual.parent.mkdir(parents=True)
    usual.touch()
    assert said("tcp://127.0.0.1:9") == f"nobody answers at tcp://127.0.0.1:9; there is a socket at ipc://{usual}"


@pytest.fixture
def forbidden() -> Iterator[Path]:
    """A socket that the user `nobody` may not open, and we neither unless we are root."""
    with tempfile.TemporaryDirectory(prefix="feedbus-test-") as folder, socket.socket(socket.AF_UNIX) as listener:
        Path(folder).chmod(0o755)
        path = Path(folder) / "bus.ipc"
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        yield path


def test_a_socket_without_permission_is_told_with_its_owners(forbidden: Path) -> None:
    code = f"""\
import grp, os, pwd, sys  # a user who isn't root may be unable to import any more
sys.path.insert(0, {str(ROOT)!r})
from feedbus.bus.silence import why_silent
if os.getuid() == 0:
    os.setuid({NOBODY})
print(why_silent([sys.argv[1]], [], publishers=[], topics=[""], spoken=[]))"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, f"ipc://{forbidden}"],
        capture_output=True,
        text=True,
        check=True,
    )
    owners = f"it belongs to the user {forbidden.owner()} and the group {forbidden.group()}"
    assert done.stdout == f"permission denied at ipc://{forbidden}: {owners}\n"


# When it is said


async def test_a_waiting_task_is_told_once_and_goes_on_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"ipc://{tmp_path}/bus.ipc"
    async with subscribe(address, topics=["trade"], warn_after=0.05) as subscription:
        with trio.move_on_after(0.3):
            await anext(subscription)
        reason = f"nobody listens at {address}: there is no such socket"
        assert caplog.messages == [f"nothing has come for 0.05 s: {reason}"]
        with trio.fail_after(PATIENCE), closing(PubSocket(address)) as sink:
            publisher = Publisher("alor", sink, linger=0)
            while not subscription.publishers():
                publisher.publish([trade()])
                publisher.beat()
                with trio.move_on_after(0.05):
                    assert await anext(subscription) == trade()
    assert len(caplog.messages) == 1


async def test_other_topics_and_heartbeats_end_no_silence_and_show_what_was_meant(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"ipc://{tmp_path}/bus.ipc"
    with trio.fail_after(PATIENCE), closing(PubSocket(address)) as sink:
        publisher = Publisher("alor", sink, linger=0)
        async with subscribe(address, topics="trade.alor.sber", warn_after=0.5) as subscription:
            while not caplog.messages:
                publisher.publish([trade(), Ticker("alor", "SBER", 1, 2)])
                publisher.beat()
                with trio.move_on_after(0.05):
                    await anext(subscription)
    (message,) = caplog.messages
    assert message == (
        "nothing has come for 0.5 s: connected to alor, where nothing has come on trade.alor.sber so far; "
        "did you mean trade.alor.SBER?"
    )


async def test_nothing_is_said_after_the_first_event_or_where_it_isnt_wanted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    address = f"ipc://{tmp_path}/bus.ipc"
    with trio.fail_after(PATIENCE), closing(PubSocket(address)) as sink:
        publisher = Publisher("alor", sink, linger=0)
        async with subscribe(address) as heard, subscribe(f"{address}.no", warn_after=None) as unwanted:
            while not heard.publishers():
                publisher.publish([trade()])
                with trio.move_on_after(0.05):
                    await anext(heard)
            for subscription in (heard, unwanted):
                with trio.move_on_after(WARN_AFTER / 10):
                    while True:
                        await anext(subscription)
            assert heard._warn_after is None
    assert caplog.messages == []


def test_a_plain_program_is_told_after_2_s(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A program that sets up no logging has Python write warnings to standard error."""

    class Told(Exception):
        pass

    def told(_record: logging.LogRecord) -> bool:
        raise Told

    logger = logging.getLogger("feedbus.bus")
    began = time.monotonic()
    logger.addFilter(told)
    try:
        with pytest.raises(Told), subscribe_sync() as subscription:
            next(iter(subscription))
    finally:
        logger.removeFilter(told)
    assert WARN_AFTER <= time.monotonic() - began < WARN_AFTER + PATIENCE
    assert subscription._socket.addresses == [f"ipc://{tmp_path}/run/feedbus/events.ipc"]
