"""What Binance writes of a book's changed levels and of a whole book, and what is refused."""

from __future__ import annotations

import pytest

from feedbus.errors import BadData
from feedbus.venues.binance.depth import DepthSnapshot, decode_update, snapshot_of, snapshot_request
from feedbus.venues.fields import DECODE_ERRORS
from feedbus.venues.protocol import FetchResponse

UPDATE = (
    b'{"e":"depthUpdate","E":1633998512568,"s":"NKNUSDT","U":499869753,"u":499869754,'
    b'"b":[["0.35170000","4265.00000000"],["0.35000000","0.00000000"]],"a":[["0.35290000","10968.00000000"]]}'
)
SNAPSHOT = b'{"lastUpdateId":160,"bids":[["0.0024","10"],["1e-3","5E0"]],"asks":[["0.0026","100"]]}'


def test_an_update_as_the_venue_writes_it() -> None:
    update = decode_update(UPDATE)
    assert (update.symbol, update.time, update.first, update.last) == ("NKNUSDT", 1633998512568, 499869753, 499869754)
    assert (update.bids, update.asks) == ([(0.3517, 4265.0), (0.35, 0.0)], [(0.3529, 10968.0)])


@pytest.mark.parametrize(
    "payload",
    [
        UPDATE.replace(b"4265.00000000", b"-1"),
        UPDATE.replace(b"4265.00000000", b"NaN"),
        UPDATE.replace(b"0.35170000", b"0.00000000"),
        UPDATE.replace(b"0.35170000", b"1e309"),
        UPDATE.replace(b'"U":499869753,', b""),
        UPDATE.replace(b'"U":499869753,', b'"U":-1,'),
        UPDATE.replace(b'["0.35170000","4265.00000000"]', b'["0.35170000"]'),
        UPDATE[:-9],
    ],
)
def test_an_update_with_anything_that_can_not_be_right_is_refused_as_a_whole(payload: bytes) -> None:
    with pytest.raises(DECODE_ERRORS):
        decode_update(payload)


def test_a_snapshot_and_its_request() -> None:
    found = snapshot_of(FetchResponse(200, SNAPSHOT, 1), "depth X")
    assert found == DepthSnapshot(160, [(0.0024, 10.0), (0.001, 5.0)], [(0.0026, 100.0)])
    weights = {levels: snapshot_request("X", levels).weight for levels in (5, 100, 101, 500, 501, 1000, 1001, 5000)}
    assert weights == {5: 5, 100: 5, 101: 25, 500: 25, 501: 50, 1000: 50, 1001: 250, 5000: 250}
    fetch = snapshot_request("币安人生USDT", 100)
    assert fetch.path == "/api/v3/depth?symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&limit=100"
    assert fetch.about == "币安人生USDT"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b"<html>busy</html>", "malformed"),
        (200, SNAPSHOT[:40], "truncated"),
        (200, b"{}", "missing required field"),
        (200, SNAPSHOT.replace(b'"10"', b'"0"'), "> 0"),
        (200, SNAPSHOT.replace(b"0.0026", b"0.0023"), "crossed"),
        (400, b'{"code":-1121,"msg":"Invalid symbol."}', "HTTP 400: "),
        (200, b'{"lastUpdateId":1,"bids":[' + b",".join([b'["1e9","1e9"]'] * 1000) + b'],"asks":[]}', "exponent"),
    ],
)
def test_what_is_no_snapshot_is_refused(status: int, body: bytes, reason: str) -> None:
    with pytest.raises(BadData, match=reason) as caught:
        snapshot_of(FetchResponse(status, body, 1), "depth X")
    assert caught.value.place == "depth X"
