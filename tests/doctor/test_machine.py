"""The checks of this machine, each of them good and failing."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from feedbus import config
from feedbus.bus.nng import PubSocket
from feedbus.config import Config
from feedbus.doctor import machine
from feedbus.doctor.findings import CheckFinding
from feedbus.doctor.patience import Patience
from tests.doctor.test_clock import honest, time_server
from tests.free_port import free_port

FEED = "feeds: {moex: {venue: moex, url: 'ws://127.0.0.1:9/', symbols: [TQBR.SBER, TQBR.GAZP]}}\n"
PATIENCE = Patience(ntp=2.0)


def load(folder: Path, text: str = "", *, publish: str = "inproc://x", feed: str = FEED, **environ: str) -> Config:
    (folder / "c.yaml").write_text(f"bus: {{publish: '{publish}'}}\n{feed}{text}")
    return config.load(folder / "c.yaml", {"HOME": str(folder), **environ})


def addresses(folder: Path, text: str = "", publish: str = "inproc://x") -> list[CheckFinding]:
    return list(machine.of_addresses(load(folder, text, publish=publish)))


def test_versions_say_what_a_helper_would_ask() -> None:
    found = machine.versions()
    assert list(found)[:3] == ["feedbus", "Python", "OpenSSL"]
    assert {"trio", "pynng", "websockets", "OS"} <= found.keys()
    assert all(found.values())


# The bus, and what is served


def test_a_bus_address_that_is_free_stays_as_it_was(tmp_path: Path) -> None:
    publish = f"ipc://{tmp_path}/bus.ipc"
    (found,) = addresses(tmp_path, publish=publish)
    assert (found.verdict, found.said) == ("good", "free")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml"]


@pytest.mark.parametrize("kind", ["ipc", "tcp"])
def test_a_bus_address_that_is_occupied(kind: str, tmp_path: Path) -> None:
    publish = f"ipc://{tmp_path}/bus.ipc" if kind == "ipc" else f"tcp://127.0.0.1:{free_port()}"
    other = PubSocket(publish)
    try:
        (found,) = addresses(tmp_path, publish=publish)
    finally:
        other.close()
    assert found.verdict == "failed"
    assert found.subject == publish
    assert found.remedy.startswith("Something publishes there already. If it is this very service, all is well")


def test_a_folder_of_the_bus_is_not_made(tmp_path: Path) -> None:
    (found,) = addresses(tmp_path, publish=f"ipc://{tmp_path}/run/feedbus/bus.ipc")
    assert (found.verdict, found.said) == ("good", f"free; {tmp_path}/run/feedbus will be made")
    assert not (tmp_path / "run").exists()


def test_a_folder_of_the_bus_that_can_not_be_made(tmp_path: Path) -> None:
    (found,) = addresses(tmp_path, publish="ipc:///proc/nowhere/bus.ipc")
    assert found.verdict == "failed"
    assert "RuntimeDirectory=feedbus" in found.remedy


def test_a_file_in_the_place_of_the_bus(tmp_path: Path) -> None:
    (tmp_path / "bus.ipc").write_text("precious")
    (found,) = addresses(tmp_path, publish=f"ipc://{tmp_path}/bus.ipc")
    assert found.verdict == "failed"
    assert "isn't a socket" in found.said
    assert (tmp_path / "bus.ipc").read_text() == "precious"


def test_addresses_that_are_served(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = (
            f"actors: {{metrics: {{listen: '127.0.0.1:{port}'}}}}\ntelemetry: {{listen: '127.0.0.1:{free_port()}'}}\n"
        )
        found = addresses(tmp_path, text)
        chosen = addresses(tmp_path, "telemetry: {listen: '127.0.0.1:0'}\n")
    assert [finding.verdict for finding in found] == ["good", "good", "failed"]
    assert found[0].said == "within the process alone, so nobody else has it"
    assert found[2].subject == f"actors.metrics 127.0.0.1:{port}"
    assert "ss -ltnp" in found[2].remedy
    assert chosen[1].said == "the system chooses a port"


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    (_, found) = addresses(tmp_path, "telemetry: {listen: '192.0.2.1:9469', insecure: true}\n")
    assert found.verdict == "failed"
    assert "Choose an address of this machine" in found.remedy


# Disks


def disks(loaded: Config) -> tuple[CheckFinding, CheckFinding]:
    cache, log = machine.of_disks(loaded)
    return cache, log


def test_a_cache_that_is_there_and_one_that_will_be_made(tmp_path: Path) -> None:
    there, _ = disks(load(tmp_path, f"cache_dir: {tmp_path}\n"))
    later, _ = disks(load(tmp_path, f"cache_dir: {tmp_path}/a/b\n"))
    assert there.said.startswith("writable; ")
    assert later.said.startswith(f"will be made in {tmp_path}; ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml"]


@pytest.mark.parametrize("where", ["file", "proc"])
def test_a_cache_that_can_not_be_written(where: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = {"file": str(tmp_path / "file"), "proc": "/proc"}[where]
    found, _ = disks(load(tmp_path, XDG_CACHE_HOME=home))
    assert found.verdict == "failed"
    assert found.subject == f"{home}/feedbus"
    assert "can't write in" in found.said
    assert "CacheDirectory=feedbus" in found.remedy


def test_no_cache_at_all(tmp_path: Path) -> None:
    found, _ = disks(load(tmp_path, HOME=""))
    assert (found.verdict, found.said) == ("warning", "there is no cache_dir")


@pytest.mark.parametrize(
    ("free_mib", "inodes", "verdict"), [(2048, 9, "good"), (500, 9, "warning"), (50, 9, "failed"), (2048, 0, "failed")]
)
def test_room_on_a_disk(free_mib: int, inodes: int, verdict: str) -> None:
    found = os.statvfs_result((4096, 1 << 20, 10000, free_mib, free_mib, 100, inodes, inodes, 0, 255))
    finding = machine._room("cache", found, "writable", "/x")
    assert finding.verdict == verdict
    assert ("df -i" in finding.remedy) == (verdict != "good")


def test_the_disk_of_the_log(tmp_path: Path) -> None:
    before = os.dup(2)
    try:
        with (tmp_path / "log").open("w") as file:
            os.dup2(file.fileno(), 2)
            _, found = disks(load(tmp_path))
    finally:
        os.dup2(before, 2)
        os.close(before)
    assert found.said.startswith("standard error is a file; ")


# Descriptors


@contextmanager
def at_most(descriptors: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_descriptors_for_the_connections_that_are_wanted(tmp_path: Path) -> None:
    symbols = ", ".join(f"TQBR.A{number}" for number in range(300))
    many = (
        f"feeds: {{moex: {{venue: moex, url: 'ws://127.0.0.1:9/', symbols: [{symbols}], "
        "sharding: {connections: 300, per_connection: 1}}}\n"
    )
    with at_most(400):
        few, lots = (machine.of_descriptors(load(tmp_path, feed=feed)) for feed in (FEED, many))
    assert (few.verdict, few.facts["connections"]) == ("good", 1)  # one of 50 symbols carries both
    assert lots.verdict == "failed"
    assert lots.said.startswith("400 may be open (at most ")
    assert lots.said.endswith("), and 300 connections with all else take up to 436")
    assert lots.remedy == "Raise the limit: `ulimit -n 1024` in a shell, LimitNOFILE= in the unit of systemd."


# The clock


@pytest.mark.parametrize(
    ("shift", "verdict", "said"),
    [(0.0, "good", "by 0.0"), (-30.0, "failed", "ahead by 30."), (7300.0, "failed", "which is 2 h")],
)
async def test_the_clock_beside_a_time_server(shift: float, verdict: str, said: str) -> None:
    async with time_server(lambda packet, _: [honest(packet, shift)]) as port:
        found = await machine.of_clock(f"127.0.0.1:{port}", PATIENCE)
    assert found.verdict == verdict
    assert said in found.said
    assert ("chronyc tracking" in found.remedy) == (verdict != "good")


async def test_a_time_server_that_does_not_answer_is_no_failure() -> None:
    found = await machine.of_clock(f"127.0.0.1:{free_port()}", PATIENCE)
    assert found.verdict == "skipped"
    assert "no fault by itself" in found.said
    assert (await machine.of_clock("none", PATIENCE)).said == "not tried: no time server is to be asked"
