"""ALOR's messages about an instrument: what it is and whether it is traded. Pure.

    {"data":{"sym":"SBER","ex":"MOEX","bd":"TQBR","st":17,"sti":"нормальный период торгов","pxmn":228.78,…},"guid":"i1"}
    {"data":{"sym":"SBER","pxmn":228.78,"pxmx":279.96},"guid":"i1"}

The first message of a subscription says everything, later ones what has changed. What is wanted of it for an
events.Instrument is the board and the trading status; the ISIN, the lot, the price step, the decimals, the currency and
the type aren't in it, and are those that the venue's list said, where this process has read it. An event is published
for the first message, and whenever the board or the status changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import UNSET
from msgspec.structs import replace

from feedbus.schema.events import Instrument
from feedbus.venues.alor.payloads import VENUE, SimpleInstrument, SlimInstrument

_UNKNOWN = Instrument(VENUE, "", 0, 0, None, None, None, None, None, None, None, None)


class InstrumentReader:
    """Reads the messages of one subscription. `listed` are the instruments of the venue's list, by symbol."""

    def __init__(self, listed: Mapping[str, Instrument]) -> None:
        self._listed = listed
        self._begun = False
        self._board: str | None = None
        self._status: str | None = None

    def begin(self) -> None:
        """The subscription is made anew."""
        self._begun = False
        self._board = self._status = None

    def events(self, body: SimpleInstrument | SlimInstrument, symbol: str, ts_recv: int) -> Sequence[Instrument]:
        """The instrument as it is known now; nothing when the message changes nothing of that."""
        board = self._board if body.board is UNSET else body.board
        status = self._status if body.status is UNSET else None if body.status is None else str(body.status)
        if self._begun and (board, status) == (self._board, self._status):
            return ()
        self._begun = True
        self._board, self._status = board, status
        listed = self._listed.get(symbol, _UNKNOWN)
        return (replace(listed, symbol=symbol, ts_recv=ts_recv, board=board or listed.board, status=status),)
