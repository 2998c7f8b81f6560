"""What may be asked of the simulated Binance at /sim/faults: types alone. Pure.

    POST /sim/faults   {"drop_diffs": {"symbol": "BTCUSDT", "count": 3}, "delay_rest": {"delay_s": 2, "count": 1}}

A body is one FaultRequest, or a list of them, which are armed in their order. A symbol `*` is every pair, and a count
is for each pair. A fault that is armed again has the new count. The file of `feedbus sim binance --faults` is such a
body, too, armed before the market opens.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from feedbus.sim.message_faults import MessageFaults

EVERY = "*"
MAX_REQUESTS = 100  # of one body
DEFAULT_LEVEL = 70

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
_Symbol = Annotated[str, Meta(min_length=1, max_length=50)]
_Weight = Annotated[int, Meta(ge=0, le=1_000_000)]
_Seconds = Annotated[float, Meta(gt=0, le=259_200)]


class _Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class CountedFault(_Fault, frozen=True):
    """The next messages of a pair."""

    symbol: _Symbol
    count: Count = 1


class WrongLevel(CountedFault, frozen=True):
    """The next diffs of a pair say a wrong size of the bid at this level of the book, 0 the best."""

    level: Annotated[int, Meta(ge=0, lt=5000)] = DEFAULT_LEVEL


class DepthAnswers(_Fault, frozen=True):
    """The next answers to requests for a pair's book. `count` null: all of them."""

    symbol: _Symbol
    count: Count | None = 1


class RefusedRequests(_Fault, frozen=True):
    """The next REST requests are refused with this HTTP status."""

    status: Literal[429, 418] = 429
    retry_after_s: Annotated[int, Meta(ge=0, le=259_200)] = 1
    count: Count = 1


class SlowAnswers(_Fault, frozen=True):
    """The next REST answers come this much later. Others go on meanwhile."""

    delay_s: Annotated[float, Meta(gt=0, le=600)]
    count: Count = 1


class PairStatus(_Fault, frozen=True):
    """A pair gets another trading status; it trades only while that is TRADING."""

    symbol: _Symbol
    status: Annotated[str, Meta(pattern="^[A-Z_]{1,32}$")]


class RestartedIds(_Fault, frozen=True):
    """The update ids of a pair go on from much smaller numbers: in diffs, quotes and snapshots."""

    symbol: _Symbol


class FaultRequest(MessageFaults, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to do from now on, besides to messages of any stream. `clear` lets every pair trade, too. Each diff takes
    one fault of its pair: of those armed, the one that was armed first."""

    drop_diffs: CountedFault | None = None
    duplicate_diffs: CountedFault | None = None
    jump_back_diffs: CountedFault | None = None
    """Their update ids are those of a thousand updates before."""
    cross_diffs: CountedFault | None = None
    """They have a bid above the best ask, which the market never takes back."""
    exponent_diffs: CountedFault | None = None
    """Their numbers are written with an exponent, like 1E-8, and are right."""
    nan_diffs: CountedFault | None = None
    """A size is the text NaN."""
    negative_diffs: CountedFault | None = None
    """A size is below 0."""
    unknown_removals: CountedFault | None = None
    """They remove levels that there never were, which is harmless."""
    wrong_level: WrongLevel | None = None
    """A level has twice its size, and nothing says so."""
    wrong_quote: CountedFault | None = None
    """The best bid of a bookTicker has twice its size."""
    stale_depth: DepthAnswers | None = None
    """The answer is the book as it was when this was armed."""
    html_depth: DepthAnswers | None = None
    """The answer is an HTML page with status 200."""
    cut_depth: DepthAnswers | None = None
    """The answer's JSON ends in the middle."""
    other_depth: DepthAnswers | None = None
    """The answer is the book of another pair."""
    refuse_rest: RefusedRequests | None = None
    delay_rest: SlowAnswers | None = None
    cut_connections: bool = False
    """Every open WebSocket is cut, without a closing frame."""
    restart_ids: RestartedIds | None = None
    foreign_weight: _Weight | None = None
    """Request weight that somebody else uses at this address, in this minute and every later one."""
    ban_s: _Seconds | None = None
    """The address is banned for so long."""
    status: PairStatus | None = None


DIFFS = (
    "drop_diffs", "duplicate_diffs", "jump_back_diffs", "cross_diffs", "exponent_diffs", "nan_diffs", "negative_diffs",
    "unknown_removals", "wrong_level",
)  # fmt: skip
QUOTES = ("wrong_quote",)
ANSWERS = ("stale_depth", "html_depth", "cut_depth", "other_depth")

_decode = msgspec.json.Decoder(FaultRequest | list[FaultRequest]).decode


def parse(body: bytes | str) -> list[FaultRequest]:
    """The requests in a body. Raises ValueError, which says what is wrong."""
    try:
        read = _decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise ValueError(f"no faults: {error}") from None
    requests = read if isinstance(read, list) else [read]
    if len(requests) > MAX_REQUESTS:
        raise ValueError(f"no faults: more than {MAX_REQUESTS} requests at once")
    return requests
