"""The measurement of Binance's frames: what is measured, and that nothing is lost on the way."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest

from tests.bench.parse_binance import Turn, compare, frames_of, lines_of, measure, measure_depth, renamed, turn
from tests.bench.replayed_depth import LATER, Capture, best_at_end, replay

TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
    b'"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)
QUOTE = (
    b'{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",'
    b'"a":"61837.64000000","A":"1.54698000"}}'
)
SAYS = "import sys, json; n = len(sys.stdin.read().splitlines()); print(json.dumps({}))"


def diff(update: int, bids: str = "", asks: str = "") -> bytes:
    """A message of one update, as the venue writes it."""
    return (
        b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT",'
        b'"U":%d,"u":%d,"b":[%b],"a":[%b]}}' % (update, update, bids.encode(), asks.encode())
    )


SNAPSHOT = b'{"lastUpdateId":2,"bids":[["9","1"],["8","1"]],"asks":[["10","1"],["11","1"]]}'
DEPTH = [diff(1), diff(2), SNAPSHOT, diff(3, '["9.5","2"]'), diff(4, asks='["10","0"]')]


def lines(frames: list[bytes]) -> list[bytes]:
    return [b"%d %b" % (17 * 10**17 + number * 10**8, frame) for number, frame in enumerate(frames)]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "capture.gz"
    path.write_bytes(gzip.compress(b"\n".join(lines([DEPTH[0], TRADE, *DEPTH[1:], QUOTE, TRADE]))))
    return path


def test_the_frames_of_a_channel_are_taken_as_they_were(capture: Path) -> None:
    captured = lines_of(capture)
    assert frames_of(captured, "trade") == [TRADE, TRADE]
    assert frames_of(captured, "bookTicker") == [QUOTE]


def test_for_the_rival_trades_are_aggregated_ones() -> None:
    assert renamed(TRADE) == TRADE.replace(b'"e":"trade"', b'"e":"aggTrade"').replace(b'"t":', b'"a":')
    assert renamed(QUOTE) == QUOTE


def test_every_frame_becomes_an_event() -> None:
    found = measure([TRADE, QUOTE] * 10)
    assert (found["frames"], found["events"]) == (20, 20)
    assert found["cpu_ns"] > 0


def test_the_book_is_kept_from_the_snapshot_of_the_capture_on() -> None:
    found = measure_depth(lines(DEPTH))
    assert (found["frames"], found["events"], found["best"]) == (4, 2, (9.5, 11.0))
    assert found["cpu_ns"] > 0


def test_a_snapshot_that_the_capture_lacks_is_made_of_all_that_was_shown() -> None:
    """Most bids of the snapshot go. One beyond them was shown before."""
    bids = ",".join(f'["{2000 - number}","1"]' for number in range(1000))
    gone = ",".join(f'["{2000 - number}","0"]' for number in range(990))
    snapshot = b'{"lastUpdateId":2,"bids":[%b],"asks":[["2001","1"]]}' % bids.encode()
    frames = [diff(1), diff(2), snapshot, diff(3, '["40","7"]'), diff(4, gone), *map(diff, range(5, 9))]
    played = Capture("BTCUSDT", lines(frames))
    assert list(played.answers) == [2, 3 + LATER]
    made = played.answers[3 + LATER]
    assert made.startswith(b'{"lastUpdateId":6,"bids":[["1010","1"],')
    assert made.endswith(b'["1001","1"],["40","7"]],"asks":[["2001","1"]]}')
    assert replay(played).unanswered is None
    assert best_at_end(played) == (1010.0, 2001.0)


def saying(events: str, best: str = "[9.5, 11.0]") -> list[str]:
    said = f'{{"name": "cryptofeed 9", "frames": n, "events": {events}, "cpu_ns": n * 2000, "best": {best}}}'
    return [sys.executable, "-c", SAYS.replace("{}", said)]


def test_a_turn_is_microseconds_a_frame_and_a_lost_frame_ends_it() -> None:
    assert turn(saying("n"), [TRADE, QUOTE]) == Turn("cryptofeed 9", 2.0, (9.5, 11.0))
    assert turn(saying("n - 1"), [TRADE, QUOTE], may_lack=1).cpu_us == 2.0
    with pytest.raises(SystemExit, match="made 1 events of 2 frames"):
        turn(saying("n - 1"), [TRADE, QUOTE])


def rival(tmp_path: Path, best: str) -> str:
    path = tmp_path / "python"
    path.write_text(f"#!{sys.executable}\n{saying('n', best)[2]}\n")
    path.chmod(0o755)
    return str(path)


def test_a_comparison_is_a_line_a_channel_and_a_rival(capture: Path, tmp_path: Path) -> None:
    found = compare(capture, [rival(tmp_path, "[9.5, 11.0]")], 1)
    assert [line[:25] for line in found] == [
        "trade            2 frames",
        "bookTicker       1 frames",
        "depth@100ms      4 frames",
    ]
    assert all("cryptofeed 9   2.00 us" in line for line in found)


def test_rivals_that_have_another_book_are_no_rivals(
    capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.bench.parse_binance.KINDS", ())
    with pytest.raises(SystemExit, match="the books differ"):
        compare(capture, [rival(tmp_path, "[9.5, 10.0]")], 1)
