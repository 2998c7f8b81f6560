"""The symbols that a feed wants: a list, the lines of a file, or a selection of what the venue lists. Reads that
file."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from feedbus.config.yaml_text import Node, Place, YamlMapping, YamlReader, YamlScalar, YamlSequence, quote, read_text
from feedbus.errors import ConfigError
from feedbus.text import hinted
from feedbus.venues.listings import Selection, SelectionSize


class Wanted(msgspec.Struct, frozen=True):
    """Either symbols, or what they are chosen by from what the venue lists: `selection`, with the places of its boards
    and patterns."""

    symbols: dict[str, YamlScalar] = {}
    selection: Selection | None = None
    boards: dict[str, YamlScalar] = {}
    patterns: dict[str, YamlScalar] = {}


class _Ways(msgspec.Struct):
    """The keys of `symbols` when it is a mapping."""

    file: str | None = None
    boards: dict[str, YamlScalar] | None = None
    pattern: dict[str, YamlScalar] | None = None
    quote: str | None = None
    top: SelectionSize | None = None
    sample: SelectionSize | None = None


def read(reader: YamlReader, node: Node, directory: Path) -> Wanted:
    """The symbols of the key `symbols`, or what they are chosen by. Each is taken as text, also where YAML would see a
    number or a boolean.

    Raises ConfigError.
    """
    if isinstance(node, YamlScalar):
        raise node.place.error(_FORMS)
    if isinstance(node, YamlSequence):
        return Wanted(_some(listed(reader, node, "symbol"), node, "symbol"))
    ways = _ways(reader, node)
    if ways.file is not None:
        return Wanted(_some(_in_file(ways.file, node, directory), node, "symbol"))
    boards, patterns = ways.boards or {}, ways.pattern or {}
    selection = Selection(tuple(boards), tuple(patterns), ways.quote, ways.top, ways.sample)
    if selection == Selection(sample=ways.sample):
        if ways.sample is not None:
            raise node.entries["sample"].place.error("of what? Give boards, a pattern, a quote or top besides")
        raise node.place.error(_FORMS)
    return Wanted(selection=selection, boards=boards, patterns=patterns)


_FORMS = (
    "must be a list of symbols, {file: NAME}, or what the venue's list is searched for: boards, pattern, quote, top, "
    "sample"
)


def _ways(reader: YamlReader, node: YamlMapping) -> _Ways:
    special = {
        "file": reader.text,
        "boards": lambda child: _some(listed(reader, child, "board"), child, "board"),
        "pattern": lambda child: _patterns(reader, child),
        "quote": lambda child: _currency(reader, child),
    }
    ways = _Ways(**reader.fields(_Ways, node, special))
    if ways.file is not None:
        for key in ("boards", "pattern", "quote", "top", "sample"):
            if getattr(ways, key) is not None:
                reason = f"file and {key} exclude each other: give only one of them"
                raise node.entries[key].place.error(reason)
    return ways


def _patterns(reader: YamlReader, node: Node) -> dict[str, YamlScalar]:
    """One pattern or a list of them."""
    if isinstance(node, YamlScalar):
        return {reader.text(node): node}
    return _some(listed(reader, node, "pattern"), node, "pattern")


def _currency(reader: YamlReader, node: Node) -> str:
    text = reader.text(node)
    if not _CURRENCY.fullmatch(text):
        near = text.strip().upper()
        raise node.place.error(hinted("must be a currency, as USDT", near if _CURRENCY.fullmatch(near) else ""))
    return text


_CURRENCY = re.compile(r"[A-Z0-9]{1,16}")


def _some(found: dict[str, YamlScalar], node: Node, what: str) -> dict[str, YamlScalar]:
    if not found:
        raise node.place.error(f"there are no {what}s")
    return found


def listed(reader: YamlReader, node: Node, what: str) -> dict[str, YamlScalar]:
    """The texts of a list, each with its place. Raises ConfigError when one is empty or appears twice."""
    if not isinstance(node, YamlSequence):
        raise node.place.error(f"must be a list of {what}s")
    found: dict[str, YamlScalar] = {}
    for child in node.nodes:
        _add(found, reader.text(child), child, what)
    return found


def _add(found: dict[str, YamlScalar], text: str, node: Node, what: str) -> None:
    if not isinstance(node, YamlScalar) or not text:
        raise node.place.error(f"a {what} is empty")
    if (first := found.get(text)) is not None:
        raise node.place.error(f"{what} {quote(node.text)} appears twice; the first one is on line {first.place.line}")
    found[text] = node


def _in_file(name: str, node: YamlMapping, directory: Path) -> dict[str, YamlScalar]:
    """The symbols of a file with one symbol on a line, in which `#` begins a comment."""
    path = directory / name
    found: dict[str, YamlScalar] = {}
    try:
        text = read_text(path, str(path))
    except ConfigError as error:
        raise node.place.error(str(error)) from None
    for number, line in enumerate(text.split("\n"), 1):
        if symbol := line.partition("#")[0].strip():
            _add(found, symbol, YamlScalar(Place(str(path), number, node.place.path), symbol), "symbol")
    return found
