"""The measurement of Binance's frames: what is measured, and that nothing is lost on the way."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest

from tests.bench.parse_binance import compare, frames_of, measure, renamed, turn

TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
    b'"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)
QUOTE = (
    b'{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",'
    b'"a":"61837.64000000","A":"1.54698000"}}'
)
DIFF = b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate"}}'
SAYS = "import sys, json; n = len(sys.stdin.read().splitlines()); print(json.dumps({}))"


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "capture.gz"
    path.write_bytes(gzip.compress(b"".join(b"17 " + raw + b"\n" for raw in (DIFF, TRADE, QUOTE, TRADE))))
    return path


def test_the_frames_of_a_channel_are_taken_as_they_were(capture: Path) -> None:
    assert frames_of(capture, "trade") == [TRADE, TRADE]
    assert frames_of(capture, "bookTicker") == [QUOTE]


def test_for_the_rival_trades_are_aggregated_ones() -> None:
    assert renamed(TRADE) == TRADE.replace(b'"e":"trade"', b'"e":"aggTrade"').replace(b'"t":', b'"a":')
    assert renamed(QUOTE) == QUOTE


def test_every_frame_becomes_an_event() -> None:
    found = measure([TRADE, QUOTE] * 10)
    assert (found["frames"], found["events"]) == (20, 20)
    assert found["cpu_ns"] > 0


def saying(events: str) -> list[str]:
    return [sys.executable, "-c", SAYS.replace("{}", f'{{"frames": n, "events": {events}, "cpu_ns": 4000}}')]


def test_a_turn_is_microseconds_a_frame_and_a_lost_frame_ends_it() -> None:
    assert turn(saying("n"), [TRADE, QUOTE]) == 2.0
    with pytest.raises(SystemExit, match="made 1 events of 2 frames"):
        turn(saying("n - 1"), [TRADE, QUOTE])


def test_a_comparison_is_a_line_a_channel(capture: Path, tmp_path: Path) -> None:
    rival = tmp_path / "python"
    rival.write_text(f"#!{sys.executable}\n{saying('n')[2]}\n")
    rival.chmod(0o755)
    trades, quotes = compare(capture, str(rival), 1)
    assert trades.startswith("trade           2 frames  feedbus ")
    assert "cryptofeed   2.00 us" in trades
    assert quotes.startswith("bookTicker      1 frames  feedbus ")
