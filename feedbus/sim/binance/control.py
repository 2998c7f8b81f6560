"""Control messages of the simulated Binance: what a client asks on its WebSocket, and the answers. Pure.

The texts of the errors are the venue's, as its documentation prints them (binance-spot-api-docs,
web-socket-streams.md); only "Unknown property" tells the id. Where the documentation has no text for a fault (no
`params`, a stream that is no text) the message is one of the venue's parser's, made up in the same way.
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


class Asked(NamedTuple):
    """A control message that can be carried out."""

    method: str
    params: list[Any]
    id: Id


class BinanceRefusal(Exception):
    """What the client asked can't be done; `answer` is what it is sent."""

    def __init__(self, code: int, text: str, **more: Id) -> None:
        super().__init__(text)
        self.answer = encode({"code": code, "msg": text, **more})


def encode(value: object) -> str:
    """As the venue writes JSON: no blanks."""
    return msgspec.json.encode(value).decode()


def result(value: object, request_id: Id) -> str:
    """The answer to what was done."""
    return encode({"result": value, "id": request_id})


def parse(text: str) -> Asked:
    """What a message asks for. Raises Refusal."""
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
    return Asked(method, params, request_id)


def streams(asked: Asked) -> list[str]:
    """The names in a SUBSCRIBE or UNSUBSCRIBE. Raises Refusal."""
    if not all(isinstance(name, str) for name in asked.params):
        raise BinanceRefusal(2, "Invalid request: invalid type, expected a string")
    if not asked.params:
        raise BinanceRefusal(2, "Invalid request: missing field `params`")
    return asked.params


def check_property(asked: Asked, values: int) -> None:
    """The parameters of SET_PROPERTY (one value) or GET_PROPERTY (none) are right. Raises Refusal."""
    if len(asked.params) > 1 + values:
        raise BinanceRefusal(2, "Invalid request: too many parameters")
    if not asked.params or not isinstance(asked.params[0], str):
        raise BinanceRefusal(2, "Invalid request: property name must be a string")
    if asked.params[0] != "combined":
        raise BinanceRefusal(0, "Unknown property", id=asked.id)
    if values and (len(asked.params) == 1 or not isinstance(asked.params[1], bool)):
        raise BinanceRefusal(1, "Invalid value type: expected Boolean")


def _is_id(value: object) -> bool:
    """A signed 64-bit number, null, or a text of up to 36 characters, as a UUID: the venue's own client sends those."""
    if isinstance(value, str):
        return _ID.fullmatch(value) is not None
    if isinstance(value, int) and not isinstance(value, bool):
        return -_INT64 <= value < _INT64
    return value is None


def _place(text: str, error: Exception) -> str:
    found = _BYTE.search(str(error))
    before = text.encode("utf-8", "replace")[: int(found[1]) if found else len(text)]
    return f"line {before.count(10) + 1} column {len(before) - before.rfind(10)}"
