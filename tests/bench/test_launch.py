"""The launcher adds a folder of venues to `feedbus run`, and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from feedbus import venues
from feedbus.bench import launch

VENUES = Path(__file__).parent / "venues"
CONFIG = """
bus: {publish: "ipc:///tmp/x.ipc"}
feeds:
  bench: {venue: bench_trade, url: "ws://127.0.0.1:9/", symbols: [A]}
"""


def test_the_service_is_run_with_the_throw_away_venue_among_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "bench.yaml"
    config.write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(venues, "__path__", list(venues.__path__))
    monkeypatch.setattr(sys, "argv", sys.argv)
    assert "bench_trades" not in venues.names()
    with pytest.raises(SystemExit) as stopped:
        launch.main(str(VENUES), str(config))
    assert stopped.value.code == 2
    assert "bench_trades" in capsys.readouterr().err, "the configuration knows it"
    assert {"bench_trades", "moex"} <= set(venues.names())
    assert venues.account_class("bench_trades")({}, []).venue == "bench_trades"
