"""All checks together: in order, whatever one of them meets, and with what the feeds log kept and not written."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import trio

from feedbus import config
from feedbus.commands.doctor import transport
from feedbus.doctor import network
from feedbus.doctor.examination import MACHINE, Examination, Wishes
from feedbus.errors import ConfigError
from feedbus.proxies import Proxies
from tests.doctor.examined import QUICK, examined, failed, found, shown, simulated
from tests.doctor.test_feed_checks import IMPATIENT, WRONG, feed

TWO = feed("moex", "ws://127.0.0.1:9/") + feed("binance", "ws://127.0.0.1:9/", channels="[trade]")
ONE_SECOND = QUICK.__class__(*[1.0] * len(QUICK.__struct_fields__))


async def test_only_some_feeds_are_looked_at(tmp_path: Path) -> None:
    report = await examined(tmp_path, TWO, wishes=Wishes(only=["binance"], ntp="none", patience=ONE_SECOND))
    assert [section.name for section in report.sections] == [MACHINE, "binance"]
    assert report.at_most_s == ONE_SECOND.for_feed


async def test_a_feed_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--only okx: no such feed; .*c\.yaml has moex, binance$"):
        await examined(tmp_path, TWO, wishes=Wishes(only=["okx"]))


async def test_a_check_that_crashes_is_a_finding_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = network.way_to

    async def crashes(url: str, proxies: Proxies, *rest: object) -> network.Way:
        if url.endswith("/stream"):
            raise KeyError("s3cr3t-l0gin")
        return await usual(url, proxies, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(network, "way_to", crashes)
    feeds = feed("binance", "ws://127.0.0.1:9/stream", channels="[trade]")
    feeds += feed("moex", "ws://127.0.0.1:9/", credentials=WRONG)
    report = await examined(tmp_path, feeds, wishes=IMPATIENT)
    assert failed(report) == ["doctor", "tcp"]
    assert found(report, "doctor")[0].said.startswith("the doctor failed: KeyError: '***' at test_examination.py:")
    assert all(section.is_done for section in report.sections)


async def test_what_a_feed_logs_is_kept_with_it_and_written_nowhere(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("feedbus")
    before = logger.handlers[:]
    async with simulated("moex") as (url, _):
        report = await examined(tmp_path, feed("moex", url, credentials=WRONG))
    assert any("login refused: Access denied" in line for line in report.sections[1].log)
    assert "        log: error feedbus.moex: login refused: Access denied" in shown(report)
    assert capfd.readouterr() == ("", "")
    assert logger.handlers == before


async def test_what_is_found_is_told_as_it_is_found(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"bus: {{publish: inproc://x}}\nfeeds:\n{TWO}")
    environ = {"HOME": str(tmp_path)}
    counts: list[int] = []

    def told() -> None:
        counts.append(sum(len(section.findings) for section in examination.report.sections))

    loaded = config.load(tmp_path / "c.yaml", environ)
    examination = Examination(loaded, environ, Wishes(ntp="none", patience=QUICK), transport, told)
    with trio.fail_after(20):
        await examination.run()
    assert counts == sorted(counts)
    assert len(set(counts)) > 3
