"""What was learnt of silences is kept from one life of the process to the next."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest

from feedbus.feed import tempo_file
from feedbus.feed.tempo_file import TempoFile
from feedbus.trust.silence import LineEvidence, SilenceVerdict, Speakers, verdict
from feedbus.trust.tempo import StaleRules
from feedbus.trust.tempos import Tempos

NS = 1_000_000_000
NAME = "moex.tempos"
SILENT = 100.0
SYMBOLS = [f"TQBR.S{number}" for number in range(250)]


def unlearnt(venue: str = "moex") -> Tempos:
    return Tempos(venue, StaleRules())


def learnt() -> Tempos:
    """Each word has its own pace."""
    found = unlearnt()
    for number, symbol in enumerate(SYMBOLS):
        for _ in range(120):
            found.of(symbol, "book").gap(1.5 + number, 12 * 3600 * NS)
    return found


def verdicts(tempos: Tempos) -> list[SilenceVerdict]:
    """On each word, after so long a silence, while some neighbours speak."""
    speakers = Speakers(0.0)
    bounds = [tempos.of(symbol, "book").look(SILENT, 12) for symbol in SYMBOLS]
    for each in bounds[:50]:
        speakers.count(1.0, True, each, "trading")
    return [verdict(SILENT, each, LineEvidence(speakers, speakers), "trading", False) for each in bounds]


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


async def test_after_a_restart_the_verdicts_are_the_same(tmp_path: Path) -> None:
    first, second = learnt(), unlearnt()
    await TempoFile(tmp_path / "new", "moex", first).save()
    await TempoFile(tmp_path / "new", "moex", second).load()
    assert verdicts(second) == verdicts(first)
    assert {state for state, _ in verdicts(second)} == {"live", "quiet", "stale"}
    assert verdicts(unlearnt()) != verdicts(first)


async def test_the_file_is_replaced_whole_and_is_ours_alone(tmp_path: Path) -> None:
    file = TempoFile(tmp_path, "moex", learnt())
    await file.save()
    await file.save()
    assert modes(tmp_path) == {NAME: 0o600}


async def test_where_there_is_none_nothing_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await TempoFile(tmp_path, "moex", unlearnt()).load()
    without = TempoFile("", "moex", learnt())
    await without.load()
    await without.save()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("venue", "damage", "reason"),
    [
        ("moex", lambda data: b"", "truncated"),
        ("moex", lambda data: data[: len(data) // 2], "truncated"),
        ("moex", lambda data: b"\x94\x02" + data[2:], "it is of format 2, and this is 1"),
        ("alor", lambda data: data, "it is of another venue"),
        ("moex", lambda data: data + bytes(500_000), "over 400000 bytes"),
    ],
)
async def test_a_file_that_cannot_be_used_means_unlearnt_and_one_line_says_so(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    venue: str,
    damage: object,
    reason: str,
) -> None:
    monkeypatch.setattr(tempo_file, "MAX_FILE", 400_000)
    await TempoFile(tmp_path, "moex", learnt()).save()
    path = tmp_path / NAME
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))
    found = unlearnt(venue)
    await TempoFile(tmp_path, "moex", found).load()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("what was learnt of silences can't be used, and is learnt anew: ")
    assert reason in record.getMessage()
    assert len(found) == 0


async def test_what_is_no_file_is_not_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / NAME).mkdir()
    await TempoFile(tmp_path, "moex", unlearnt()).load()
    assert "Is a directory" in caplog.records[0].getMessage() or "not a regular file" in caplog.records[0].getMessage()


async def test_a_file_that_cannot_be_written_is_logged_once_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "cache"
    folder.write_text("a file where the directory should be")
    file = TempoFile(folder, "moex", learnt())
    await file.save()
    await file.save()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    folder.unlink()
    await file.save()
    assert (folder / NAME).exists()
    (folder / NAME).unlink()
    folder.rmdir()
    folder.write_text("again")
    await file.save()
    assert len(caplog.records) == 2
