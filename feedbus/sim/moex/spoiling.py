"""How the simulated exchange spoils a body on purpose, in one respect only. Pure."""

from __future__ import annotations

import msgspec

FAULTY_STREAMS = ("orderbooks", "securities", "candles")
OTHERS = ("MXSE.TQBR.SBER", "MXSE.TQBR.GAZP")
"""Tickers that a row may name in place of its own."""

_SUMS = ("NUMTRADES", "VOLTODAY")


class _RawTable(msgspec.Struct):
    properties: msgspec.Raw
    columns: list[str]
    data: list[list[msgspec.Raw]]


_decode = msgspec.json.Decoder(_RawTable).decode


def changed(stream: str, ticker: str, kind: str, body: bytes) -> bytes | None:
    """A body of this stream and ticker with a fault of this kind; None where it can't have it."""
    match kind, stream:
        case "other_ticker", "securities":
            other = next(each for each in OTHERS if each != ticker)
            return body.replace(f'"{ticker}"'.encode(), f'"{other}"'.encode())
        case "cross", "orderbooks":
            return body.replace(b'["B"', b'["?"').replace(b'["S"', b'["B"').replace(b'["?"', b'["S"')
        case "sums_back", "securities":
            return _sums_back(body)
    return None


def _sums_back(body: bytes) -> bytes | None:
    """The count of trades is the half of what it is, or else the volume."""
    table = _decode(body)
    column = next((name for name in _SUMS if name in table.columns), None)
    if column is None or not table.data:
        return None
    at = table.columns.index(column)
    before = bytes(table.data[0][at])
    value = msgspec.json.decode(before)
    half = f"[{value[0] // 2},{value[1]}]" if isinstance(value, list) else f"{value // 2}"
    table.data[0][at] = msgspec.Raw(half.encode())
    columns = '","'.join(table.columns)
    rows = ",".join([f"[{','.join([bytes(cell).decode() for cell in row])}]" for row in table.data])
    return f'{{"properties":{bytes(table.properties).decode()},\n"columns":["{columns}"],\n"data":[{rows}]}}'.encode()
