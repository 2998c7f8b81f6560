"""The checkout has the rivals and the made-up venue, and the rivals do the same work as feedbus."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from feedbus import venues
from feedbus.bench import rivals
from feedbus.bench.command import measure
from feedbus.bench.rivals import Rivals
from feedbus.bench.scenarios import RIVAL, SCENARIOS, TUNED, Overrides, chosen
from feedbus.errors import FeedbusError
from tests.in_process import untouched

ROOT = Path(__file__).resolve().parents[2]
HERE = Rivals(ROOT)


def test_this_is_a_checkout() -> None:
    assert rivals.find() == HERE
    assert (HERE.venues / "bench_trades" / "__init__.py").exists()


def test_a_missing_environment_and_a_missing_checkout_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FeedbusError, match=r"needs the environment \.venv-bench: `make bench` makes it"):
        Rivals(tmp_path).program("moex")
    monkeypatch.setattr(rivals, "__file__", str(tmp_path / "feedbus" / "bench" / "rivals.py"))
    assert rivals.find() is None
    with pytest.raises(FeedbusError, match="needs the checkout"):
        rivals.required()


@pytest.mark.skipif(not HERE.python.exists(), reason="there is no .venv-bench: `make bench` makes it")
@pytest.mark.parametrize(("name", "label"), [("burst", RIVAL), ("burst", TUNED), ("trades", RIVAL)])
def test_the_rival_passes_all_events_on(name: str, label: str) -> None:
    (scenario,) = chosen([name], Overrides(events=300, symbols=5), True)
    (rival,) = [one for one in scenario.contenders if one.label == label]
    alone = msgspec.structs.replace(scenario, contenders=(rival,), latency=SCENARIOS[name].protocol == "moex")
    (outcome,) = measure(alone, 1, HERE, lambda _: None)
    assert outcome.lossy == 0
    assert outcome.turns[0].received == 300


CONFIG = """
bus: {publish: "ipc:///tmp/x.ipc"}
feeds:
  bench: {venue: bench_trade, url: "ws://127.0.0.1:9/", symbols: [A]}
"""


def test_the_service_can_be_run_with_one_more_folder_of_venues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "bench.yaml"
    config.write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(venues, "__path__", list(venues.__path__))
    monkeypatch.setattr(sys, "argv", sys.argv)
    assert "bench_trades" not in venues.names()
    with untouched(), pytest.raises(SystemExit) as stopped:
        rivals.run_with_venues(str(HERE.venues), str(config))
    assert stopped.value.code == 2
    assert "bench_trades" in capsys.readouterr().err, "the configuration knows it"
    assert {"bench_trades", "moex"} <= set(venues.names())
    assert venues.account_class("bench_trades")({}, []).venue == "bench_trades"
