"""The symbols that a feed wants: a list, the lines of a file, or what the venue lists on boards. Reads that file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from feedbus.config.model import BoardsConfig, Sample
from feedbus.config.yaml_text import Node, Place, YamlMapping, YamlReader, YamlScalar, YamlSequence, quote, read_text
from feedbus.errors import ConfigError


class Wanted(msgspec.Struct, frozen=True):
    """Either symbols or boards, each with the place where it is written. `sample` is for boards only."""

    symbols: dict[str, YamlScalar] = {}
    boards: dict[str, YamlScalar] = {}
    sample: int | None = None

    def chosen(self) -> BoardsConfig | None:
        """The boards as a part of the configuration; None when symbols are given."""
        return BoardsConfig(tuple(self.boards), self.sample) if self.boards else None


class _Ways(msgspec.Struct):
    """The keys of `symbols` when it is a mapping."""

    file: str | None = None
    boards: dict[str, YamlScalar] | None = None
    sample: Sample | None = None


def read(reader: YamlReader, node: Node, directory: Path) -> Wanted:
    """The symbols or boards of the key `symbols`. Each is taken as text, also where YAML would see a number or a
    boolean.

    Raises ConfigError.
    """
    if isinstance(node, YamlScalar):
        raise node.place.error(_FORMS)
    if isinstance(node, YamlSequence):
        return Wanted(_some(listed(reader, node, "symbol"), node, "symbol"))
    ways = _ways(reader, node)
    if ways.boards is not None:
        return Wanted(boards=_some(ways.boards, node.entries["boards"], "board"), sample=ways.sample)
    if ways.file is None:
        raise node.place.error(_FORMS)
    return Wanted(_some(_in_file(ways.file, node, directory), node, "symbol"))


_FORMS = "must be a list of symbols, {file: NAME} or {boards: [BOARD, ...]}"


def _ways(reader: YamlReader, node: YamlMapping) -> _Ways:
    special = {
        "file": reader.text,
        "boards": lambda child: listed(reader, child, "board"),
        "sample": lambda child: reader.value(Sample, child),
    }
    ways = _Ways(**reader.fields(_Ways, node, special))
    if ways.file is not None and ways.boards is not None:
        raise node.entries["boards"].place.error("file and boards exclude each other: give only one of them")
    if ways.sample is not None and ways.boards is None:
        raise node.entries["sample"].place.error("is only for boards, and no boards are given")
    return ways


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
