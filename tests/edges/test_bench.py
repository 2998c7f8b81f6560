"""`feedbus bench` with real processes and few events."""

from __future__ import annotations

import json

import pytest

from tests.in_process import Command

pytestmark = [pytest.mark.edge, pytest.mark.timeout(90)]


def test_trades_go_through_the_real_service_and_nothing_is_lost(command: Command) -> None:
    done = command("bench", "trades", "--events", "300", "--symbols", "4", "--turns", "2")
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert found["cores"] >= 1
    (result,) = found["results"]
    assert result["scenario"]["events"] == 300
    feedbus = result["contenders"]["feedbus"]
    assert [(turn["sent"], turn["received"], turn["gaps"]) for turn in feedbus["turns"]] == [(300, 300, 0)] * 2
    assert feedbus["sum_us"]["min"] > 0
    assert feedbus["receive_to_subscriber_us"] == dict.fromkeys(["p50", "p99", "p999", "max"])
    assert "trades 2/2  feedbus" in done.err


def test_the_table_is_drawn_in_a_process_of_its_own(command: Command) -> None:
    done = command("bench", "table")
    assert done.status == 0
    drawing = json.loads(done.out)["results"][0]["drawing"]
    assert drawing["instruments"] == 1500
    assert 0 < drawing["redraw_ms"]["min"] <= drawing["redraw_ms"]["max"]
    assert "of a core at one a second" in done.err
