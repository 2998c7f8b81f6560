"""The command from its arguments to its output. tests/edges has it measure real processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from feedbus import cli
from feedbus.bench import command
from feedbus.bench.figures import Latency, Memory, Outcome, Turn
from feedbus.bench.rivals import Rivals
from feedbus.bench.scenarios import RIVAL, Scenario


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["bench", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


class Fake:
    """Stands for measure: what it gives comes from a list of turns."""

    def __init__(self, *received: int) -> None:
        self.received = received

    def __call__(self, scenario: Scenario, turns: int, checkout: Rivals | None, note: command.Say) -> list[Outcome]:
        latency = Latency(1, 2, 3, 4)
        made = [Turn(1, 1, 2, 1.0, 10.0, 0.1, 0.1, 10, count, 0, latency, latency) for count in self.received]
        return [Outcome(one.label, made, Memory(40, 41), Memory(40, 41)) for one in scenario.contenders]


def test_a_loss_is_said_last_and_the_status_is_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "measure", Fake(10, 9))
    status, out, err = run(capsys, "burst")
    assert status == 1
    assert json.loads(out)["results"][0]["contenders"]["feedbus"]["lossy_turns"] == 1
    assert err.splitlines()[-1] == "feedbus: bench: lost: burst, feedbus: 1 events, 0 gaps, in 1 of 2 turns"


def test_the_json_may_go_to_a_file_and_the_table_be_markdown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "measure", Fake(10))
    path = tmp_path / "bench.json"
    status, out, err = run(capsys, "idle", "--json", str(path))
    assert (status, out) == (0, "")
    assert "idle" in err
    assert list(json.loads(path.read_text())["results"][0]["contenders"]) == ["feedbus", "feedbus pace latency"]
    _, out, _ = run(capsys, "idle", "--markdown")
    assert out.startswith("| scenario | who |")


def test_an_unknown_scenario_is_bad_usage(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "brust")
    assert status == 2
    assert err.startswith("feedbus: unknown scenario 'brust'; there are: burst, ")


def test_a_comparison_without_the_rivals_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rivals, "python", Path("/nowhere/python"))
    status, _, err = run(capsys, "burst", "--compare")
    assert (status, err) == (1, "feedbus: bench: --compare needs the environment .venv-bench: `make bench` makes it\n")


def test_rivals_are_measured_beside_feedbus_when_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rivals, "python", Path(__file__))
    monkeypatch.setattr(command, "measure", Fake(10))
    _, out, _ = run(capsys, "burst", "--compare")
    contenders = json.loads(out)["results"][0]["contenders"]
    assert contenders["feedbus"]["ratio"] == {"min": 1.0, "median": 1.0, "max": 1.0}
    assert contenders[RIVAL]["ratio"] is None
