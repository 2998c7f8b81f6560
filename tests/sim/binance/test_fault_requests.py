"""What /sim/faults takes, and what it refuses in words."""

from __future__ import annotations

import re

import msgspec
import pytest

from feedbus.sim.binance.fault_requests import ANSWERS, DEFAULT_LEVEL, DIFFS, QUOTES, FaultRequest, parse
from feedbus.sim.binance.spoiling import JUMP
from tests.places import ROOT

EVERYTHING = b"""{
    "clear": true, "cut_connections": true, "foreign_weight": 3000, "ban_s": 5.5,
    "drop_diffs": {"symbol": "BTCUSDT", "count": 3}, "wrong_level": {"symbol": "*", "level": 0},
    "stale_depth": {"symbol": "*", "count": null}, "refuse_rest": {"status": 418, "retry_after_s": 7, "count": 2},
    "delay_rest": {"delay_s": 1.5}, "status": {"symbol": "ETHUSDT", "status": "BREAK"}, "restart_ids": {"symbol": "*"}
}"""


def test_a_body_is_a_request_or_a_list_of_them() -> None:
    (one,) = parse(EVERYTHING)
    assert (one.clear, one.cut_connections, one.foreign_weight, one.ban_s) == (True, True, 3000, 5.5)
    assert (one.stale_depth and one.stale_depth.count, one.drop_diffs and one.drop_diffs.count) == (None, 3)
    assert parse(b"[%s, {}]" % EVERYTHING) == [one, FaultRequest()]
    assert parse("[]") == []


def test_each_kind_of_fault_is_a_field() -> None:
    for kind in (*DIFFS, *QUOTES, *ANSWERS):
        (request,) = parse(msgspec.json.encode({kind: {"symbol": "BTCUSDT"}}))
        assert getattr(request, kind).count == 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "Input data was truncated"),
        ("{", "Input data was truncated"),
        ("7", "Expected `object | array`"),
        (b"\xff", "no faults"),
        ("[" * 2000, "no faults"),
        ('{"drop_difs": {"symbol": "*"}}', "unknown field `drop_difs`"),
        ('{"drop_diffs": {"symbol": "*", "counts": 3}}', "unknown field `counts` - at `$.drop_diffs`"),
        ('{"drop_diffs": {}}', "missing required field `symbol`"),
        ('{"drop_diffs": {"symbol": ""}}', "length >= 1"),
        ('{"drop_diffs": {"symbol": "*", "count": 0}}', ">= 1"),
        ('{"drop_diffs": {"symbol": "*", "count": null}}', "Expected `int`"),
        ('{"drop_diffs": {"symbol": "*", "count": 1000001}}', "<= 1000000"),
        ('{"wrong_level": {"symbol": "*", "level": 5000}}', "<= 4999"),
        ('{"refuse_rest": {"status": 500}}', "Invalid enum value 500"),
        ('{"delay_rest": {"delay_s": 0}}', "> 0"),
        ('{"delay_rest": {"delay_s": 601}}', "<= 600"),
        ('{"status": {"symbol": "*", "status": "a b"}}', "matching regex"),
        ('{"ban_s": 1e9}', "<= 259200"),
        ("[" + ",".join(["{}"] * 101) + "]", "more than 100"),
    ],
)
def test_what_is_no_request_is_refused_in_words(body: str | bytes, said: str) -> None:
    with pytest.raises(ValueError, match=r"^no faults: ") as caught:
        parse(body)
    assert said in str(caught.value)


def test_the_page_names_every_fault_and_no_other() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    table = page.partition("<!-- faults -->")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines()[3:]]
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(
        FaultRequest.__struct_fields__
    )
    assert f"the default {DEFAULT_LEVEL}" in table
    assert f"{JUMP:,} updates" in table
