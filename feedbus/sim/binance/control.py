"""Control messages of the simulated Binance: a client's requests on its WebSocket, and the answers. Pure.

The texts of the errors are the venue's, as its documentation prints them (binance-spot-api-docs,
web-socket-streams.md); of them "Unknown property" alone has the request's id. Where the documentation has no text for
an error (no `params`, a stream's name that is not a string), the text is a guess in the manner of the venue's parser.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
Id = int | str | None

_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
_BYTE = re.compile(r"\(byte (\d+)\)")
_INT64 = 2**63


class ControlRequest(NamedTuple):
    """A control message that is well formed."""

    method: str
    params: list[Any]
    id: Id


class BinanceRefusal(Exception):
    """A request that is refused; `answer` is the error that the client is sent."""

    def __init__(self, code: int, text: str, **more: Id) -> None:
        super().__init__(text)
        self.answer = encode({"code": code, "msg": text, **more})


def encode(value: object) -> str:
    """JSON as the venue writes it, without blanks."""
    return msgspec.json.encode(value).decode()


def result(value: object, request_id: Id) -> str:
    """The answer to a request that was carried out."""
    return encode({"result": value, "id": request_id})


def parse(text: str) -> ControlRequest:
    """Parse a control message. Raises BinanceRefusal for anything else."""
    try:
        message = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise BinanceRefusal(3, f"Invalid JSON: expected value at {_place(text, error)}") from None
    if not isinstance(message, dict) or "method" not in message:
        raise BinanceRefusal(2, f"Invalid request: missing field `method` at line 1 column {len(text)}")
    method, request_id = message["method"], message.get("id")
    if method not in METHODS:
        known = ", ".join(f"`{name}`" for name in METHODS)
        name = method if isinstance(method, str) else encode(method)
        column = text.find(name) + len(name) + 1
        text = f"unknown variant `{name[:100]}`, expected one of {known} at line 1 column {column}"
        raise BinanceRefusal(2, f"Invalid request: {text}")
    if not _is_id(request_id):
        raise BinanceRefusal(2, "Invalid request: request ID must be an unsigned integer")
    params = message.get("params", [])
    if not isinstance(params, list):
        raise BinanceRefusal(2, f"Invalid request: invalid type, expected a sequence at line 1 column {len(text)}")
    return ControlRequest(method, params, request_id)


def stream_names(request: ControlRequest) -> list[str]:
    """The names in a SUBSCRIBE or UNSUBSCRIBE. Raises BinanceRefusal when there are none, or one is not a string."""
    if not all(isinstance(name, str) for name in request.params):
        raise BinanceRefusal(2, "Invalid request: invalid type, expected a string")
    if not request.params:
        raise BinanceRefusal(2, "Invalid request: missing field `params`")
    return request.params


def check_property(request: ControlRequest, values: int) -> None:
    """Check the parameters of SET_PROPERTY (one value) or GET_PROPERTY (none). Raises BinanceRefusal."""
    if len(request.params) > 1 + values:
        raise BinanceRefusal(2, "Invalid request: too many parameters")
    if not request.params or not isinstance(request.params[0], str):
        raise BinanceRefusal(2, "Invalid request: property name must be a string")
    if request.params[0] != "combined":
        raise BinanceRefusal(0, "Unknown property", id=request.id)
    if values and (len(request.params) == 1 or not isinstance(request.params[1], bool)):
        raise BinanceRefusal(1, "Invalid value type: expected Boolean")


def _is_id(value: object) -> bool:
    """An id is a signed 64-bit integer, null, or a string of up to 36 characters; the venue's client sends UUIDs."""
    if isinstance(value, str):
        return _ID.fullmatch(value) is not None
    if isinstance(value, int) and not isinstance(value, bool):
        return -_INT64 <= value < _INT64
    return value is None


def _place(text: str, error: Exception) -> str:
    """Where in the text the parser gave up, in the venue's words."""
    found = _BYTE.search(str(error))
    before = text.encode("utf-8", "replace")[: int(found[1]) if found else len(text)]
    return f"line {before.count(10) + 1} column {len(before) - before.rfind(10)}"
