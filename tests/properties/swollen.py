"""Messages that are blown up to a size: what costs a decoder the most, put at each place of a JSON document."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

HOLE = "@hole@"
SEEN = 2  # items of a list that are looked at

Path = tuple[int | str, ...]


def _fill(unit: str) -> Callable[[int], str]:
    return lambda size: f"[{','.join([unit] * (size // (len(unit) + 1)))}]"


UNITS = [
    *("[]", "{}", "[[]]", "[{}]", '{"a":[]}', '""', "null", '"x"', '"1e308"'),
    *("1.5", "-1", "1e308", "1e23", "1E-308", "5e-324"),
]
FILLINGS: dict[str, Callable[[int], str]] = {
    "a long text": lambda size: f'"{"x" * size}"',
    "a text of escapes": lambda size: '"' + r"\u0001" * (size // 6) + '"',
    "a text of letters of two bytes": lambda size: f'"{"я" * (size // 2)}"',
    "a long number": lambda size: "9" * size,
    "a long fraction": lambda size: f"0.{'9' * size}",
    "an exponent": lambda size: f"1e{'0' * size}9",
    "deep lists": lambda size: "[" * size,
    "deep objects": lambda size: '{"a":' * (size // 5),
    "lists within lists": _fill("[" * 80 + "]" * 80),
    "many keys": lambda size: "{" + ",".join(f'"{at:x}":0' for at in range(size // 10)) + "}",
    "many numbers of 300 digits": _fill("9" * 300),
    **{f"many {unit}": _fill(unit) for unit in UNITS},
}
"""JSON of about so many bytes, which is not always whole."""

BAD: dict[str, Any] = {"texts": "?", "negative numbers": -1, "zeros": 0, "nulls": None, "huge numbers": 1e308}
BYTES = (b"[", b"{", b"\0", b"\n", b" ", b"x", b"9", b'"', b"\\", b"\xff", b'{"a":', b"[[],", b"1e308,")


def places(document: Any, path: Path = ()) -> Iterator[Path]:
    """The place of every value in a document; of lists, those in the first items."""
    yield path
    inner: Any = ()
    if isinstance(document, dict):
        inner = document.items()
    elif isinstance(document, list):
        inner = enumerate(document[:SEEN])
    for key, value in inner:
        yield from places(value, (*path, key))


def value_at(document: Any, path: Path) -> Any:
    """What is at a place."""
    for key in path:
        document = document[key]
    return document


def with_filling(document: Any, path: Path, filling: str) -> bytes:
    """The document with this JSON in place of a value."""

    def put(value: Any, rest: Path) -> Any:
        if not rest:
            return HOLE
        copy = dict(value) if isinstance(value, dict) else list(value)
        copy[rest[0]] = put(value[rest[0]], rest[1:])  # type: ignore[index] # a key fits its container
        return copy

    text = json.dumps(put(document, path), separators=(",", ":"), ensure_ascii=False)
    return text.replace(f'"{HOLE}"', filling).encode()


def repeated(value: Any) -> dict[str, Callable[[int], str]]:
    """A list or an object whose first entry comes again and again, as it is and made of what can't be used."""
    if isinstance(value, dict) and value:
        entry = json.dumps(value)[1:-1]
        return {"the same keys": lambda size: "{" + ",".join([entry] * (size // (len(entry) + 1))) + "}"}
    if not isinstance(value, list) or not value:
        return {}
    items = {"the same": value[0]}
    for name, bad in BAD.items():
        if isinstance(value[0], list):
            items[f"all {name}"] = [bad] * len(value[0])
            items[f"one of {name}"] = [*value[0][:-1], bad]
        elif isinstance(value[0], dict):
            items[f"all {name}"] = dict.fromkeys(value[0], bad)
    return {name: _fill(json.dumps(item, separators=(",", ":"))) for name, item in items.items()}


def whole(size: int) -> Iterator[tuple[str, bytes]]:
    """Messages of bytes that are no document of anybody, and what they are called."""
    for unit in (*BYTES, b'"guid":"', b',"data":', b"eyJ.", b"eyJ "):
        yield f"{unit!r} again and again", (unit * (size // len(unit) + 1))[:size]
