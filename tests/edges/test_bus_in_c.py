"""The program in C of docs/bus.md, compiled with the nng of Debian, follows a service."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.edges.environments import environment, unpack
from tests.edges.processes import Start, line
from tests.places import DOCS

pytestmark = [pytest.mark.edge, pytest.mark.timeout(300)]  # it may have to fetch nng

PACKAGES = ("libnng-dev", "libnng1", "libmbedcrypto7", "libmbedtls14", "libmbedx509-1")
CONFIG = """\
bus: {{publish: "ipc://{folder}/events.ipc"}}
feeds:
  binance: {{venue: binance, url: {url}, symbols: [BTCUSDT], channels: [trade]}}
"""


@pytest.fixture(scope="module")
def flags() -> list[str]:
    """Where the compiler and the program find nng: on the machine, or else in a folder that is kept."""
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler here")
    if Path("/usr/include/nng/nng.h").exists():
        return ["-lnng"]
    root = environment("nng", partial(unpack, *PACKAGES))
    (libraries,) = {path.parent for path in root.glob("usr/lib/*/libnng.so")}
    paths = [f"-I{root / 'usr/include'}", f"-L{libraries}", f"-Wl,-rpath,{libraries}", f"-Wl,-rpath-link,{libraries}"]
    # So that nng's own libraries are found there, too.
    return [*paths, "-Wl,--disable-new-dtags", "-lnng"]


def test_the_program_in_c_receives_what_the_service_publishes(flags: list[str], start: Start, tmp_path: Path) -> None:
    (source,) = re.findall(r"```c\n(.*?)```", (DOCS / "bus.md").read_text(), re.DOTALL)
    (tmp_path / "trades.c").write_text(source)
    program = tmp_path / "trades"
    made = subprocess.run(
        ["cc", "-Wall", "-Wextra", "-Werror", "-o", program, tmp_path / "trades.c", *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.stderr == ""
    url = line(start("sim", "binance", "--listen", "127.0.0.1:0")).removeprefix("binance: ")
    (tmp_path / "c.yaml").write_text(CONFIG.format(folder=tmp_path, url=url))
    follower = start(f"ipc://{tmp_path}/events.ipc", program=[str(program)], log="c.log")  # before its publisher
    start("run", "c.yaml", log="run.log")
    assert re.fullmatch(r"trade\.binance: [1-9]\d* bytes of msgpack", line(follower))
