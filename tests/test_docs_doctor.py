"""The page about the doctor is held to the code: its example is made again, and its tables name what there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import trio

from feedbus import config
from feedbus.commands.doctor import transport
from feedbus.doctor import rendering
from feedbus.doctor.examination import Examination, Wishes
from feedbus.doctor.findings import Report
from feedbus.doctor.rendering import SHAPE
from tests.doctor.examined import simulated
from tests.doctor.test_clock import honest, time_server
from tests.places import DOCS, ROOT

PAGE = (DOCS / "doctor.md").read_text()
EXAMPLE = re.search(r"<!-- example -->\n```\n(.*?)```", PAGE, re.DOTALL)
CONFIG = """\
bus: {publish: "ipc://${XDG_RUNTIME_DIR}/events.ipc"}
feeds:
  moex:
    venue: moex
    url: URL
    symbols: [TQBR.SBER, TQBR.GAZP]
    rest: REST
    credentials: {domain: passport, login: name@example.org, passcode_file: moex-passcode}
"""


def table(marker: str) -> list[str]:
    """The names in the first column of a table."""
    rows = PAGE.partition(f"<!-- {marker} -->\n")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(\w+)` \|", rows, re.MULTILINE)


@pytest.fixture
async def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """The example, as it is now."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "moex-passcode").write_text("wrong")
    (tmp_path / "cache" / "feedbus").mkdir(parents=True)
    (tmp_path / "moex-passcode").chmod(0o640)
    with trio.fail_after(25):
        async with simulated("moex") as (url, rest), time_server(lambda packet, _: [honest(packet, -0.003)]) as port:
            (tmp_path / "feedbus.yaml").write_text(CONFIG.replace("URL", url).replace("REST", rest))
            (tmp_path / "feedbus.yaml").chmod(0o640)
            environ = {"XDG_RUNTIME_DIR": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
            loaded = config.load("feedbus.yaml", environ)
            examination = Examination(loaded, environ, Wishes(ntp=f"127.0.0.1:{port}"), transport)
            await examination.run()
    return examination.report


def shape(line: str) -> str:
    """A line without what differs from machine to machine: numbers, paths, users, and where logs go."""
    if line.startswith("feedbus 0"):
        return re.sub(r" [^,]*", "", line.partition(", OS ")[0])
    line = re.sub(r"read as .*?;", "read as USER;", line)
    line = re.sub(r"(ipc://|  )/\S+:", r"\1PATH:", line)
    line = re.sub(r"(  log  *)standard error is .*; (?=[\d,]+ MiB)", r"\1standard error is somewhere; ", line)
    line = re.sub(r"/var/log\S*: ", "", line)
    line = re.sub(r"(pool\.ntp\.org|127\.0\.0\.1:\d+): (ahead|behind) ", "SERVER: off ", line)
    return re.sub(r" +", " ", re.sub(r"\d[\d,.:TZ-]*", "N", line))


async def test_the_example_is_what_the_doctor_prints(made: Report) -> None:
    assert EXAMPLE is not None
    lines = rendering.Lines(made)
    now = [*lines.head(), *lines.due(), *lines.foot(0.1)]
    assert [shape(line) for line in now] == [shape(line) for line in EXAMPLE[1].splitlines()]


async def test_the_tables_name_every_part_of_the_json(made: Report) -> None:
    value = json.loads(rendering.as_json(made, 1.0))
    assert table("report") == list(value)
    assert table("section") == list(value["sections"][0])
    assert table("finding") == list(value["sections"][0]["findings"][0])
    assert f"the version of this shape: {SHAPE} |" in PAGE


def test_the_table_of_checks_has_each_check_that_the_code_makes_and_no_other() -> None:
    text = "".join(path.read_text() for path in (ROOT / "feedbus" / "doctor").glob("*.py"))
    made = set(re.findall(r'(?:CheckFinding|skipped|_note|_step|_room)\(\s*"([a-z]+)"', text))
    made |= {"account", "handshake"}  # these are skipped by name, too
    assert set(table("checks")) == made
