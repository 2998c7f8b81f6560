"""One conversation with the throw-away venue: see tests/properties/talks.py."""

from __future__ import annotations

from feedbus.venues.protocol import Fetch, FetchResponse

SYMBOLS = ["AAA", "B.C"]
CHANNELS = ["trades"]
CREDENTIALS = {"key": "s3cr3t-key"}
SECRETS = ["s3cr3t-key", "90210"]
FRAMES = [b"yes AAA", b"yes B.C", b"AAA 1.5 10", b"B.C 2.5 1"]
OTHERS = [b"no AAA", b"AAA 1.5 -10", b"AAA NaN 1", b"DDD 1 1", b"yes 90210"]


def answer(fetch: Fetch) -> FetchResponse:
    assert fetch.body == CREDENTIALS["key"].encode()
    return FetchResponse(200, b"90210", 1)
