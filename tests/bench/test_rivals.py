"""Where the rivals are, and that they do the same work as feedbus."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from feedbus.bench import rivals
from feedbus.bench.command import measure
from feedbus.bench.rivals import Rivals
from feedbus.bench.scenarios import RIVAL, SCENARIOS, TUNED, Overrides, chosen
from feedbus.errors import FeedbusError

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
