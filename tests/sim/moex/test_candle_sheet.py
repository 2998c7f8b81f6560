"""Candles as the exchange writes them, and their agreement with the market."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from feedbus.sim.moex.wire import CANDLE_COLUMNS, UPDATE_S, CandleBodies
from feedbus.sim.moex.candles import MINUTES, ROWS
from feedbus.sim.moex.catalogue import Security, securities
from feedbus.sim.moex.market import MoexMarket
from feedbus.sim.moex.wire import Sequencer, InstrumentBodies
from tests.places import CAPTURES

START_NS = 1_769_065_132_000_000_000  # 2026-01-22 09:58:52 in Moscow
STEP_NS = 250_000_000
CAPTURE = CAPTURES / "moex" / "nb_candles_stdout.txt"
SBER, QUIET = securities()[0], securities()[-1]


def bodies_of(security: Security = SBER, seed: int = 1) -> tuple[MoexMarket, CandleBodies]:
    market = MoexMarket(seed, START_NS, STEP_NS, [*securities()[:5], securities()[-1]])
    market.open(0)
    return market, CandleBodies(market.instruments[security.symbol], market, Sequencer(market), seed)


def read(body: bytes) -> tuple[str, list[dict[str, Any]]]:
    decoded = msgspec.json.decode(body)
    assert tuple(decoded["columns"]) == CANDLE_COLUMNS
    rows = [dict(zip(CANDLE_COLUMNS, row, strict=True)) for row in decoded["data"]]
    return decoded["properties"]["type"], rows


def run(market: MoexMarket, seconds: int) -> None:
    for _ in range(seconds * 1_000_000_000 // STEP_NS):
        market.advance()


@pytest.mark.parametrize("interval", MINUTES)
@pytest.mark.parametrize("security", [SBER, QUIET])
def test_a_snapshot_is_256_candles_and_the_newest_closes_at_the_last_price(interval: str, security: Security) -> None:
    market, bodies = bodies_of(security)
    for _ in range(3):
        kind, rows = read(bodies.snapshot(interval))
        assert (kind, len(rows)) == ("snapshot", ROWS)
        froms = [row["FROM"] for row in rows]
        assert froms == sorted(set(froms))
        last = bodies.instrument.last / 10**security.decimals
        assert rows[-1]["CLOSE"][0] == pytest.approx(last)
        assert rows[-1]["LOW"][0] <= last <= rows[-1]["HIGH"][0]
        run(market, 45)


def test_a_row_is_written_as_the_exchange_writes_it() -> None:
    _, bodies = bodies_of()
    line = bodies.snapshot("D1").decode().split("\n")[2]
    rows = re.findall(r"\[\"[^a-zA-Z]*?\",\"[^\"]*\"(?:,\[\d+\.\d\d,2\]){5},\d+\]", line)
    assert len(rows) == ROWS
    assert line == '"data":[' + ",".join(rows) + "]}"
    assert rows[-1].startswith('["2026-01-22 00:00:00","2026-01-22 09:58:52",[')
    assert rows[-2].startswith('["2026-01-21 00:00:00","2026-01-21 23:59:59",[')


def test_the_columns_are_those_of_the_captured_candles() -> None:
    if not CAPTURE.exists():
        pytest.skip("the captures aren't on this machine")
    heads = [line.split() for line in CAPTURE.read_text().splitlines() if re.fullmatch(r"[A-Za-z \\\\]+", line)]
    assert [*heads[0][:4], *heads[1][:4]] == list(CANDLE_COLUMNS)


def test_an_update_is_the_current_candle_and_till_moves() -> None:
    market, bodies = bodies_of()
    kind, (first,) = read(bodies.update("D1", 0))
    run(market, 5)
    _, (second,) = read(bodies.update("D1", 0))
    assert kind == "updates"
    assert (first["TILL"], second["TILL"]) == ("2026-01-22 09:58:52", "2026-01-22 09:58:57")
    assert first["FROM"] == second["FROM"]
    assert second["OPEN"] == first["OPEN"]
    assert second["VOLUME"] > first["VOLUME"]


def test_when_the_period_rolls_the_update_ends_one_candle_and_begins_the_next() -> None:
    market, bodies = bodies_of()
    run(market, 6)
    since = market.step
    run(market, 5)
    _, (ended, begun) = read(bodies.update("M1", since))
    assert (ended["FROM"], ended["TILL"]) == ("2026-01-22 09:58:00", "2026-01-22 09:58:59")
    assert (begun["FROM"], begun["TILL"]) == ("2026-01-22 09:59:00", "2026-01-22 09:59:03")
    assert read(bodies.snapshot("M1"))[1][-2:] == [ended, begun]


def test_an_update_of_a_quiet_paper_says_its_newest_candle_again() -> None:
    market, bodies = bodies_of(QUIET)
    ended = 0
    for _ in range(60):
        since = market.step
        run(market, 5)
        rows = read(bodies.update("M1", since))[1]
        assert rows
        assert rows[-1] == read(bodies.snapshot("M1"))[1][-1]
        ended += rows[-1]["TILL"].endswith(":59")
    assert ended > 1


def test_whoever_merges_the_updates_holds_what_a_new_subscriber_is_told() -> None:
    market, bodies = bodies_of()
    merged = {interval: {row["FROM"]: row for row in read(bodies.snapshot(interval))[1]} for interval in MINUTES}
    sent = 0
    for seconds in (5, 5, 61, 5, 200, 700, 5):
        run(market, seconds)
        for interval, rows in merged.items():
            rows.update({row["FROM"]: row for row in read(bodies.update(interval, sent))[1]})
            told = read(bodies.snapshot(interval))[1]
            assert [rows[row["FROM"]] for row in told] == told
        sent = market.step


def test_ten_minutes_add_up_to_a_candle_of_ten() -> None:
    market, bodies = bodies_of()
    run(market, 1000)
    minutes = read(bodies.snapshot("M1"))[1]
    tens = read(bodies.snapshot("M10"))[1]
    for ten in tens[-20:]:
        within = [minute for minute in minutes if minute["FROM"][:15] == ten["FROM"][:15]]
        assert within[0]["OPEN"] == ten["OPEN"]
        assert within[-1]["CLOSE"] == ten["CLOSE"]
        assert max(minute["HIGH"] for minute in within) == ten["HIGH"]
        assert min(minute["LOW"] for minute in within) == ten["LOW"]
        assert sum(minute["VOLUME"] for minute in within) == ten["VOLUME"]


def test_candles_of_a_long_day_are_its_trades_alone() -> None:
    market, bodies = bodies_of()
    run(market, 60 * (ROWS + 2))
    _, rows = read(bodies.snapshot("M1"))
    live = bodies.instrument.candle_builder.candles("M1")
    assert len(rows) == len(live) == ROWS
    assert sum(row["VOLUME"] for row in rows) == sum(candle.volume for candle in live)


def test_updates_fall_due_every_five_seconds() -> None:
    market, bodies = bodies_of()
    due = set()
    for _ in range(100):
        market.advance()
        due.add(bodies.due_at)
    steps = sorted(due)
    assert {later - earlier for earlier, later in pairwise(steps)} == {UPDATE_S * 4}


def test_no_two_bodies_of_a_step_share_a_sequence_number() -> None:
    market, _ = bodies_of()
    market.advance()
    clock = Sequencer(market)
    bodies = []
    for instrument in market.instruments.values():
        candles, bodies = CandleBodies(instrument, market, clock, 1), InstrumentBodies(instrument, market, clock)
        bodies += [bodies.book(), bodies.snapshot(None), *(candles.snapshot(interval) for interval in MINUTES)]
    numbers = [msgspec.json.decode(body)["properties"]["seqnum"] for body in bodies]
    market.advance()
    numbers.append(
        msgspec.json.decode(InstrumentBodies(market.instruments[SBER.symbol], market, clock).book())["properties"]["seqnum"]
    )
    assert numbers == sorted(set(numbers))


def test_the_same_seed_gives_the_same_bytes_and_another_one_others() -> None:
    def bodies(seed: int) -> list[bytes]:
        market, bodies = bodies_of(seed=seed)
        run(market, 70)
        return [bodies.snapshot("M1"), bodies.update("H1", 3)]

    assert bodies(1) == bodies(1)
    assert bodies(1) != bodies(2)
