"""Reads the frames CONNECTED and ERROR of MOEX ISS+. Pure.

CONNECTED carries the catalogue, about 104 KB, of what this login may use:

    {"structure":{"MXSE":{"streams":[{"name":"orderbooks",...},...],...},"SEARCH":{"queries":[...]},...},...}

The documentation doesn't say where an ERROR carries the gateway's code, so the whole frame is searched for it.
"""

from __future__ import annotations

import msgspec

from feedbus.errors import BadData
from feedbus.venues.fields import DECODE_ERRORS
from feedbus.venues.moex.stomp import StompFrame

_TRANSIENT = ("gateway.timeout", "gateway.transport")


class _CatalogueStream(msgspec.Struct):
    name: str


class _CatalogueMarket(msgspec.Struct):
    streams: list[_CatalogueStream] = []


class _Catalogue(msgspec.Struct):
    structure: dict[str, _CatalogueMarket]


_decode = msgspec.json.Decoder(_Catalogue).decode


def stream_names(body: bytes) -> frozenset[str]:
    """All streams in the body of CONNECTED, written as destinations are ("MXSE.orderbooks"). Raises BadData."""
    try:
        structure = _decode(body).structure
    except DECODE_ERRORS as error:
        raise BadData("CONNECTED", str(error)) from None
    return frozenset(f"{market}.{stream.name}" for market, found in structure.items() for stream in found.streams)


def error_text(frame: StompFrame) -> str:
    """Returns all that an ERROR says: its `message`, headers that hold a code of the gateway, and its body."""
    headers = frame.headers
    codes = [value for name, value in headers.items() if name != "message" and value.startswith("gateway.")]
    return " ".join([headers.get("message", ""), *codes, frame.body.decode(errors="replace")])


def is_transient(said: str) -> bool:
    """True for a failure of the gateway itself, which doesn't mean that the credentials are wrong."""
    return any(word in said for word in _TRANSIENT)
