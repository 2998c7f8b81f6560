"""The catalogue in CONNECTED's body: which streams this login may use. Pure.

{"structure":{"MXSE":{"streams":[{"name":"orderbooks",...},...],...},"SEARCH":{"queries":[...]},...},...}
"""

from __future__ import annotations

import msgspec

from feedbus.errors import BadData


class _CatalogueStream(msgspec.Struct):
    name: str


class _Market(msgspec.Struct):
    streams: list[_CatalogueStream] = []


class _Catalogue(msgspec.Struct):
    structure: dict[str, _Market]


_decode = msgspec.json.Decoder(_Catalogue).decode


def stream_names(body: bytes) -> frozenset[str]:
    """All streams, as destinations are written ("MXSE.orderbooks"). Raises BadData."""
    try:
        structure = _decode(body).structure
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadData("CONNECTED", str(error)) from None
    return frozenset(f"{market}.{stream.name}" for market, found in structure.items() for stream in found.streams)
