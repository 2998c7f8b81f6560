"""The measurement of a book's changes through the service: a small capture, real processes, and nothing lost."""

from __future__ import annotations

import gzip
from pathlib import Path

from tests.bench.depth_service import in_memory, turn
from tests.bench.depth_venue import WARM_UP
from tests.bench.replayed_depth import Capture
from tests.bench.test_parse_binance import SNAPSHOT, diff, lines


def test_every_change_comes_under_every_name(tmp_path: Path) -> None:
    sizes = (diff(update, f'["9","{update}"]', f'["10","{update}"]') for update in range(3, WARM_UP + 43))
    captured = lines([diff(1), diff(2), SNAPSHOT, *sizes])
    path = tmp_path / "capture.gz"
    path.write_bytes(gzip.compress(b"\n".join(captured)))
    capture = Capture("BTCUSDT", captured)
    for kept in ("plain", "books"):
        done = turn(path, capture, 3, (0.0, 8), kept)
        assert done.without_book == 0
        assert min(done.connector_us, done.subscriber_us, done.megabytes) > 0
    assert len(in_memory(capture, 1)) == 4
