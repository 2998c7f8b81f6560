"""Bodies as the exchange writes them, and their agreement with the market."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus.sim.moex.candles import MINUTES, ROWS
from feedbus.sim.moex.catalogue import Security, search, securities
from feedbus.sim.moex.market import MoexMarket
from feedbus.sim.moex.wire import (
    CANDLE_COLUMNS,
    SECURITIES_COLUMNS,
    CandleBodies,
    InstrumentBodies,
    Sequencer,
    fixed,
    message,
    number,
    search_body,
)
from feedbus.venues.moex import stomp
from tests.places import CAPTURES

START_NS = 1_719_825_533_789_000_000
CAPTURE = CAPTURES / "moex" / "ws_orderbooks_SBER_20240701_1.frame"
CANDLES_START_NS = 1_769_065_132_000_000_000  # 2026-01-22 09:58:52 in Moscow
STEP_NS = 250_000_000
CANDLES_CAPTURE = CAPTURES / "moex" / "nb_candles_stdout.txt"
SBER, QUIET = securities()[0], securities()[-1]


def bodies_of(secid: str, seed: int = 1) -> tuple[MoexMarket, InstrumentBodies]:
    listed = [*securities()[:20], securities()[-1]]
    market = MoexMarket(seed, START_NS, 250_000_000, listed)
    market.open(0)
    security = next(security for security in listed if security.secid == secid)
    return market, InstrumentBodies(market.instruments[security.symbol], market, Sequencer(market))


def rows(body: bytes) -> list[dict[str, Any]]:
    decoded = msgspec.json.decode(body)
    return [dict(zip(decoded["columns"], row, strict=True)) for row in decoded["data"]]


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(32800, 2, "328.00"), (5, 2, "0.05"), (-37, 2, "-0.37"), (18012, 0, "18012"), (0, 3, "0.000"), (-1, 0, "-1")],
)
def test_numbers_are_printed_with_their_precision(value: int, decimals: int, text: str) -> None:
    assert number(value, decimals) == text
    assert fixed(value, decimals) == f"[{text},{decimals}]"


def test_a_message_has_four_headers_in_order_and_the_length_of_its_body() -> None:
    assert message("MXSE.orderbooks", "7", 12, "ж".encode()) == (
        b"MESSAGE\ncontent-length:2\ndestination:MXSE.orderbooks\nsubscription:7\nX-gateway-stamp:12\n\n\xd0\xb6\0"
    )


def test_a_book_is_three_lines_of_bids_then_asks_each_ascending() -> None:
    market, bodies = bodies_of("SBER")
    for _ in range(50):
        market.advance()
        properties, columns, _ = bodies.book().decode().split("\n")
        assert columns == '"columns":["BUYSELL","PRICE","QUANTITY","REPOVALUE"],'
        assert re.fullmatch(
            r'\{"properties":\{"type":"snapshot","seqnum":57\d{16},"published":(\d+),"timestamp":\1\},', properties
        )
        levels = rows(bodies.book())
        assert [level["BUYSELL"] for level in levels] == ["B"] * 10 + ["S"] * 10
        prices = [level["PRICE"][0] for level in levels]
        assert prices == sorted(set(prices))
        assert all(level["REPOVALUE"] is None for level in levels)


def shape(frame: bytes) -> tuple[Any, ...]:
    """What is alike in two books: headers, lines, columns and the kinds of cells."""
    head, _, body = frame.partition(b"\n\n")
    decoded = msgspec.json.decode(body.rstrip(b"\0"))
    cells = [
        [re.sub(r"\d+", "9", text) for text in row]
        for row in re.findall(r'\["[BS]",\[(\S+?)\],(\d+),(\w+)\]', body.decode())
    ]
    return (
        [line.split(b":")[0] for line in head.split(b"\n")],
        body.count(b"\n"),
        [line.split(b":")[0] for line in body.split(b"\n")],
        list(decoded),
        list(decoded["properties"]),
        decoded["columns"],
        cells,
        frame[-1:],
    )


def test_a_simulated_book_has_the_shape_of_a_captured_one() -> None:
    if not CAPTURE.exists():
        pytest.skip("the capture of the real feed isn't on this machine")
    _, bodies = bodies_of("SBER")
    simulated = message("MXSE.orderbooks", "", 1_719_825_533_790, bodies.book())
    assert shape(simulated) == shape(CAPTURE.read_bytes())
    captured = stomp.parse(CAPTURE.read_bytes())[0]
    assert captured.headers.keys() == stomp.parse(simulated)[0].headers.keys()


def test_published_is_not_after_the_gateways_stamp() -> None:
    market, bodies = bodies_of("GAZP")
    market.advance()
    properties = msgspec.json.decode(bodies.book())["properties"]
    assert properties["published"] == properties["timestamp"] == START_NS // 1_000_000 + 250
    assert Sequencer(market).stamp_ms() == properties["published"] + 1


def test_a_later_start_does_not_begin_with_lower_sequence_numbers() -> None:
    early = MoexMarket(1, START_NS, 250_000_000, securities()[:5])
    late = MoexMarket(1, START_NS + 100 * 1_000_000_000, 250_000_000, securities()[:5])
    for _ in range(399):
        early.advance()
    numbers = [re.findall(r"seqnum\":(\d+)", Sequencer(market).properties("snapshot", 0)) for market in (early, late)]
    assert int(numbers[0][0]) < int(numbers[1][0])


def test_the_first_securities_message_has_all_41_columns_in_order() -> None:
    _, bodies = bodies_of("SBER")
    decoded = msgspec.json.decode(bodies.snapshot(None))
    assert tuple(decoded["columns"]) == SECURITIES_COLUMNS
    assert len(SECURITIES_COLUMNS) == 41
    (row,) = rows(bodies.snapshot(None))
    assert row["TICKER"] == "MXSE.TQBR.SBER"
    assert row["CAPTION"] == "Sberbank"
    assert (row["TRADINGSTATUS"], row["STATUS"], row["LOTSIZE"]) == ("T", "A", 1)
    assert row["LCLOSEPRICE"] is row["BASEPRICE"] is row["SETTLEDATE2"] is None
    assert row["TIME"] == "12:18:53"
    assert row["SETTLEDATE1"] == "2024-07-02"
    assert row["MINSTEP"] == [0.01, 2]


def test_captions_are_russian_when_asked_for() -> None:
    _, bodies = bodies_of("SBER")
    assert rows(bodies.snapshot("ru"))[0]["CAPTION"] == "Сбербанк"
    assert rows(bodies.snapshot("en"))[0]["CAPTION"] == "Sberbank"


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    security=st.sampled_from([*securities()[:60:7], securities()[-1]]),
    waits=st.lists(st.integers(1, 9), min_size=20, max_size=20),
)
def test_merged_updates_equal_a_snapshot_and_agree_with_the_book(
    seed: int, security: Security, waits: list[int]
) -> None:
    market = MoexMarket(seed, START_NS, 250_000_000, [security])
    market.open(0)
    bodies = InstrumentBodies(market.instruments[security.symbol], market, Sequencer(market))
    (merged,) = rows(bodies.snapshot(None))
    row = bodies.row()
    for wait in waits:
        for _ in range(wait):
            market.advance()
        before = (merged["VOLTODAY"][0], merged["VALTODAY"], merged["NUMTRADES"])
        body = bodies.update(row)
        row = bodies.row()
        assert msgspec.json.decode(body)["properties"]["type"] == "updates"
        (update,) = rows(body)
        assert next(iter(update)) == "TICKER"
        assert len(update) > 1
        merged |= update
        assert merged == rows(bodies.snapshot(None))[0]
        book = rows(bodies.book())
        assert merged["BID"] == book[9]["PRICE"]
        assert merged["OFFER"] == book[10]["PRICE"]
        assert merged["LOW"][0] <= merged["LAST"][0] <= merged["HIGH"][0]
        assert (merged["VOLTODAY"][0], merged["VALTODAY"], merged["NUMTRADES"]) >= before
        assert merged["VOLTODAY"][0] >= before[0]
        assert merged["VALTODAY"] >= before[1]


def test_an_update_is_made_for_the_row_that_was_sent_before() -> None:
    market, bodies = bodies_of("SBER")
    for _ in range(20):
        old, (old_row,) = bodies.row(), rows(bodies.snapshot(None))
        for _ in range(10):
            market.advance()
        new, (new_row,) = bodies.row(), rows(bodies.snapshot(None))
        market.advance()
        (newest,) = rows(bodies.snapshot(None))
        assert new_row | rows(bodies.update(new))[0] == newest
        assert old_row | rows(bodies.update(old))[0] == newest


def test_updates_carry_few_columns_and_now_and_then_a_value_that_is_the_same() -> None:
    market, bodies = bodies_of("SBER")
    row, sizes, repeats = bodies.row(), [], 0
    for _ in range(200):
        market.advance()
        before, row, body = row, bodies.row(), bodies.update(row)
        (update,) = rows(body)
        sizes.append(len(update))
        depth = SECURITIES_COLUMNS.index("BIDDEPTHT")
        repeats += len(update) > 2 and "BIDDEPTHT" in update and before[depth] == row[depth]
    assert min(sizes) == 2
    assert max(sizes) < 25
    assert repeats > 0


def test_a_bonds_turnover_counts_its_face_value() -> None:
    market, bodies = bodies_of(securities()[-1].secid)
    for _ in range(200):
        market.advance()
    (row,) = rows(bodies.snapshot(None))
    assert row["FACEVALUE"] == [1000, 0]
    assert row["VALUE"][0] == pytest.approx(row["LAST"][0] / 100 * 1000 * row["QTY"])
    assert row["VALTODAY"] == pytest.approx(row["WAPRICE"][0] / 100 * 1000 * row["VOLTODAY"][0], rel=1e-3)


def test_a_search_answers_with_15_columns() -> None:
    decoded = msgspec.json.decode(search_body(search("SBER", 3)))
    assert list(decoded) == ["properties", "columns", "data"]
    assert len(decoded["columns"]) == 15
    first = dict(zip(decoded["columns"], decoded["data"][0], strict=True))
    assert (first["ticker"], first["secid"], first["boardid"]) == ("MXSE.TQBR.SBER", "SBER", "TQBR")
    assert first["isin"] == "RU0009029540"


def candle_bodies_of(security: Security = SBER, seed: int = 1) -> tuple[MoexMarket, CandleBodies]:
    market = MoexMarket(seed, CANDLES_START_NS, STEP_NS, [*securities()[:5], securities()[-1]])
    market.open(0)
    return market, CandleBodies(market.instruments[security.symbol], market, Sequencer(market), seed)


def read_candles(body: bytes) -> tuple[str, list[dict[str, Any]]]:
    decoded = msgspec.json.decode(body)
    assert tuple(decoded["columns"]) == CANDLE_COLUMNS
    rows = [dict(zip(CANDLE_COLUMNS, row, strict=True)) for row in decoded["data"]]
    return decoded["properties"]["type"], rows


def run_for(market: MoexMarket, seconds: int) -> None:
    for _ in range(seconds * 1_000_000_000 // STEP_NS):
        market.advance()


@pytest.mark.parametrize("interval", MINUTES)
@pytest.mark.parametrize("security", [SBER, QUIET])
def test_a_snapshot_is_256_candles_and_the_newest_closes_at_the_last_price(interval: str, security: Security) -> None:
    market, bodies = candle_bodies_of(security)
    for _ in range(3):
        kind, rows = read_candles(bodies.snapshot(interval))
        assert (kind, len(rows)) == ("snapshot", ROWS)
        froms = [row["FROM"] for row in rows]
        assert froms == sorted(set(froms))
        last = bodies.instrument.last / 10**security.decimals
        assert rows[-1]["CLOSE"][0] == pytest.approx(last)
        assert rows[-1]["LOW"][0] <= last <= rows[-1]["HIGH"][0]
        run_for(market, 45)


def test_a_row_is_written_as_the_exchange_writes_it() -> None:
    _, bodies = candle_bodies_of()
    line = bodies.snapshot("D1").decode().split("\n")[2]
    rows = re.findall(r"\[\"[^a-zA-Z]*?\",\"[^\"]*\"(?:,\[\d+\.\d\d,2\]){5},\d+\]", line)
    assert len(rows) == ROWS
    assert line == '"data":[' + ",".join(rows) + "]}"
    assert rows[-1].startswith('["2026-01-22 00:00:00","2026-01-22 09:58:52",[')
    assert rows[-2].startswith('["2026-01-21 00:00:00","2026-01-21 23:59:59",[')


def test_the_columns_are_those_of_the_captured_candles() -> None:
    if not CANDLES_CAPTURE.exists():
        pytest.skip("the captures aren't on this machine")
    heads = [line.split() for line in CANDLES_CAPTURE.read_text().splitlines() if re.fullmatch(r"[A-Za-z \\\\]+", line)]
    assert [*heads[0][:4], *heads[1][:4]] == list(CANDLE_COLUMNS)


def test_an_update_is_the_current_candle_and_till_moves() -> None:
    market, bodies = candle_bodies_of()
    kind, (first,) = read_candles(bodies.update("D1", 0))
    run_for(market, 5)
    _, (second,) = read_candles(bodies.update("D1", 0))
    assert kind == "updates"
    assert (first["TILL"], second["TILL"]) == ("2026-01-22 09:58:52", "2026-01-22 09:58:57")
    assert first["FROM"] == second["FROM"]
    assert second["OPEN"] == first["OPEN"]
    assert second["VOLUME"] > first["VOLUME"]


def test_when_the_period_rolls_the_update_ends_one_candle_and_begins_the_next() -> None:
    market, bodies = candle_bodies_of()
    run_for(market, 6)
    since = market.step
    run_for(market, 5)
    _, (ended, begun) = read_candles(bodies.update("M1", since))
    assert (ended["FROM"], ended["TILL"]) == ("2026-01-22 09:58:00", "2026-01-22 09:58:59")
    assert (begun["FROM"], begun["TILL"]) == ("2026-01-22 09:59:00", "2026-01-22 09:59:03")
    assert read_candles(bodies.snapshot("M1"))[1][-2:] == [ended, begun]


def test_an_update_of_a_quiet_paper_says_its_newest_candle_again() -> None:
    market, bodies = candle_bodies_of(QUIET)
    ended = 0
    for _ in range(60):
        since = market.step
        run_for(market, 5)
        rows = read_candles(bodies.update("M1", since))[1]
        assert rows
        assert rows[-1] == read_candles(bodies.snapshot("M1"))[1][-1]
        ended += rows[-1]["TILL"].endswith(":59")
    assert ended > 1


def test_whoever_merges_the_updates_holds_what_a_new_subscriber_is_told() -> None:
    market, bodies = candle_bodies_of()
    merged = {
        interval: {row["FROM"]: row for row in read_candles(bodies.snapshot(interval))[1]} for interval in MINUTES
    }
    sent = 0
    for seconds in (5, 5, 61, 5, 200, 700, 5):
        run_for(market, seconds)
        for interval, rows in merged.items():
            rows.update({row["FROM"]: row for row in read_candles(bodies.update(interval, sent))[1]})
            told = read_candles(bodies.snapshot(interval))[1]
            assert [rows[row["FROM"]] for row in told] == told
        sent = market.step


def test_candles_of_a_long_day_are_its_trades_alone() -> None:
    market, bodies = candle_bodies_of()
    run_for(market, 60 * (ROWS + 2))
    _, rows = read_candles(bodies.snapshot("M1"))
    live = bodies.instrument.candle_builder.candles("M1")
    assert len(rows) == len(live) == ROWS
    assert sum(row["VOLUME"] for row in rows) == sum(candle.volume for candle in live)


def test_no_two_bodies_of_a_step_share_a_sequence_number() -> None:
    market, _ = candle_bodies_of()
    market.advance()
    clock = Sequencer(market)
    bodies: list[bytes] = []
    for instrument in market.instruments.values():
        candles, others = CandleBodies(instrument, market, clock, 1), InstrumentBodies(instrument, market, clock)
        bodies += [others.book(), others.snapshot(None), *(candles.snapshot(interval) for interval in MINUTES)]
    numbers = [msgspec.json.decode(body)["properties"]["seqnum"] for body in bodies]
    market.advance()
    later = InstrumentBodies(market.instruments[SBER.symbol], market, clock).book()
    numbers.append(msgspec.json.decode(later)["properties"]["seqnum"])
    assert numbers == sorted(set(numbers))
    assert 5.6e17 < numbers[0] < 6.0e17
