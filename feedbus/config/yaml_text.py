"""YAML text, read into frozen structs so that every error names its file, line and key.

This file knows YAML, substitution and msgspec types; which keys there are is feedbus.config's business. Every scalar
is kept as the text that was written (`NO` is a ticker), nesting is bounded, and tags and aliases aren't taken.
Errors quote what the file says, never what a variable put in its place: that may be a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
import yaml

from feedbus.errors import ConfigError
from feedbus.text import escaped

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 16
MAX_QUOTED = 40
MAX_REASON = 400

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What YAML doesn't take, surrogates among them.
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,40}")
# `{passcode:hunter2}` is one key in YAML, with a secret in it: what follows a name is not shown.
_AFTER_NAME = re.compile(r"(?<=[:=]).+", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?::-((?:[^$}]|\$\$)*))?\}|)")
_NULLS = ("", "~", "null", "Null", "NULL")
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

S = TypeVar("S", bound=msgspec.Struct)


def quote(text: str) -> str:
    """The text in quotes, cut when it is long."""
    return escaped(repr(text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 3] + "..."))


class Place(msgspec.Struct, frozen=True):
    """Where something is written. Line 0 and path "" mean that there is none to name."""

    file: str
    line: int = 0
    path: str = ""

    def error(self, reason: str) -> ConfigError:
        """FILE:LINE: path: reason, on one line."""
        line = f":{self.line}" if self.line else ""
        path = f"{self.path}: " if self.path else ""
        return ConfigError(escaped(f"{self.file}{line}: {path}{reason[:MAX_REASON]}"))

    def key(self, key: str, line: int | None = None) -> Place:
        """The place of a key in the mapping that is here."""
        shown = key if _PLAIN_KEY.fullmatch(key) else quote(_AFTER_NAME.sub("...", key, count=1))
        return Place(self.file, self.line if line is None else line, f"{self.path}.{shown}" if self.path else shown)


class YamlScalar(msgspec.Struct, frozen=True):
    """A text as written, before substitution. `plain` is False when it is in quotes or a block."""

    place: Place
    text: str
    plain: bool = True


class YamlSequence(msgspec.Struct, frozen=True):
    """A YAML sequence. Its items have its path and lines of their own."""

    place: Place
    nodes: list[Node]


class YamlMapping(msgspec.Struct, frozen=True):
    """A YAML mapping. What a key holds has the key's line."""

    place: Place
    entries: dict[str, Node]


Node = YamlScalar | YamlSequence | YamlMapping


def read_text(path: Path, file: str) -> str:
    """A whole file as text; `file` is how errors call it. The cause of a ConfigError is the OSError, if any."""
    place = Place(file)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise place.error(f"can't be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_BYTES:
        raise place.error(f"is larger than {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Place(file, data.count(b"\n", 0, error.start) + 1).error("is not UTF-8") from None


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """Put variables in their places: `${NAME}`, `${NAME:-default}` (unset or empty), `$$` for a dollar sign.

    What comes in isn't looked at again. Raises ConfigError, which never holds the text or a value.
    """

    def replacement(match: re.Match[str]) -> str:
        name, default = match.group(1), match.group(2)
        if match.group() == "$$":
            return "$"
        if name is None:
            raise ConfigError("a $ begins neither ${NAME} nor ${NAME:-default}: write $$ for a dollar sign")
        value = environ.get(name)
        if default is not None:
            return value or default.replace("$$", "$")
        if value is None:
            raise ConfigError(f"the environment variable {name[:MAX_QUOTED]} is not set")
        return value

    return _VARIABLE.sub(replacement, text)


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The reason for a name that isn't one of the known ones, with the nearest of them."""
    names = sorted(known)
    near = difflib.get_close_matches(name[:MAX_QUOTED], names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
    return f"unknown {what}; {hint}"


def compose(text: str, file: str) -> Node:
    """The document as nodes. Raises ConfigError."""
    if len(text) > MAX_BYTES:
        raise Place(file).error(f"is larger than {MAX_BYTES} bytes")
    if (found := _NO_CHARACTER.search(text)) is not None:
        raise Place(file, text.count("\n", 0, found.start()) + 1).error("holds a control character")
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or "broken"
        # The problem may quote the file, and a passcode that isn't in quotes could be the cause.
        problem = re.sub(r"'[^']{2,}'", "...", problem)
        if mark and text[mark.index : mark.index + 1] == "\t":
            problem = "a tab can't indent: use spaces"
        raise Place(file, mark.line + 1 if mark else 0).error(f"not YAML: {problem}") from None
    if builder.root is None:
        raise Place(file).error("is empty")
    return builder.root


class _Builder:
    """Makes nodes of the parser's events with a stack of its own, so that no nesting overflows Python's."""

    def __init__(self, file: str) -> None:
        self.root: Node | None = None
        self._top = Place(file)
        self._open: list[YamlSequence | YamlMapping] = []
        self._key: list[Place | None] = []
        self._name = ""

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise self._at(event).error("a second document begins here")
        if isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._key.pop()
        elif isinstance(event, yaml.NodeEvent):
            self._check(event)
            if self._open and isinstance(self._open[-1], YamlMapping) and self._key[-1] is None:
                self._begin_entry(self._open[-1], event)
            else:
                self._add(event)

    def _at(self, event: Any) -> Place:
        """The place of a value: its path is the innermost key's, and so is its line unless it is in a list."""
        if self._key and (key := self._key[-1]) is not None:
            return key
        return msgspec.structs.replace(
            self._open[-1].place if self._open else self._top, line=event.start_mark.line + 1
        )

    def _check(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._at(event).error("aliases and anchors (* and &) aren't taken: put text in quotes")
        if not isinstance(event, yaml.AliasEvent) and event.tag is not None:
            raise self._at(event).error("tags (!) aren't taken: put text in quotes")

    def _begin_entry(self, table: YamlMapping, event: Any) -> None:
        line = event.start_mark.line + 1
        if not isinstance(event, yaml.ScalarEvent):
            raise msgspec.structs.replace(table.place, line=line).error("a key must be plain text")
        place = table.place.key(event.value, line)
        if (first := table.entries.get(event.value)) is not None:
            raise place.error(f"is here twice; first on line {first.place.line}")
        self._key[-1], self._name = place, event.value

    def _add(self, event: Any) -> None:
        place = self._at(event)
        if isinstance(event, yaml.ScalarEvent):
            node: Node = YamlScalar(place, event.value, plain=not event.style)
        else:
            if len(self._open) == MAX_DEPTH:
                raise place.error(f"is nested deeper than {MAX_DEPTH} levels")
            node = YamlSequence(place, []) if isinstance(event, yaml.SequenceStartEvent) else YamlMapping(place, {})
        parent = self._open[-1] if self._open else None
        if isinstance(parent, YamlMapping):
            parent.entries[self._name] = node
            self._key[-1] = None
        elif isinstance(parent, YamlSequence):
            parent.nodes.append(node)
        else:
            self.root = node
        if not isinstance(node, YamlScalar):
            self._open.append(node)
            self._key.append(None)


class YamlReader:
    """Turns nodes into values and structs, taking variables from `environ`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, node: Node) -> str:
        """The text of a scalar, substituted."""
        if not isinstance(node, YamlScalar):
            raise node.place.error(f"must be text, not {_shown(node)}")
        try:
            return substitute(node.text, self._environ)
        except ConfigError as error:
            raise node.place.error(str(error)) from None

    def nothing(self, node: Node) -> bool:
        """True for a key that has no value, a null, or a variable that is empty."""
        return isinstance(node, YamlScalar) and node.plain and (node.text in _NULLS or not self.text(node))

    def table(self, node: Node) -> dict[str, Node]:
        """The entries of a mapping."""
        if not isinstance(node, YamlMapping):
            # A text isn't quoted: a .env file in place of the YAML would show its secrets.
            raise node.place.error("must be a mapping of keys")
        return node.entries

    def struct(self, cls: type[S], node: Node) -> S:
        """A struct out of a mapping."""
        return cls(**self.fields(cls, node, {}))

    def fields(
        self, cls: type[S], node: Node, special: Mapping[str, Callable[[Node], Any]], given: Collection[str] = ()
    ) -> dict[str, Any]:
        """The fields of a struct that a mapping holds; those that it leaves out have defaults, or it is an error.

        `special` reads some of them its own way. `given` are fields that don't come from the file. What a struct with a
        true SECRET holds is never quoted.
        """
        entries = self.table(node)
        fields = {field.encode_name: field for field in msgspec.structs.fields(cls) if field.name not in given}
        for name, child in entries.items():
            if name not in fields:
                raise child.place.error(unknown("key", name, fields))
        values = {}
        for name, field in fields.items():
            entry = entries.get(name)
            if entry is not None and not self.nothing(entry):
                read = special[name] if name in special else partial(self.value, field.type)
                values[field.name] = _unquoted(read, field.type, entry) if _is_secret(cls) else read(entry)
            elif field.required:
                place = node.place.key(name) if entry is None else entry.place
                raise place.error("is missing" if entry is None else "has no value")
        return values

    def value(self, kind: Any, node: Node) -> Any:
        """A value of a type: a struct, a list of values, or whatever msgspec makes of a text."""
        if (item := _item_kind(kind)) is not None:
            return self._several(kind, item, node)
        if (struct := _struct_kind(kind)) is not None:
            return self.struct(struct, node)
        try:
            if isinstance(node, YamlScalar):
                text = self.text(node)
                # msgspec would take 1 and tRuE for true.
                return msgspec.convert(_BOOLEANS.get(text) if kind is bool else text, kind, strict=False)
        except msgspec.ValidationError:
            pass
        raise node.place.error(f"must be {_wanted(kind)}, not {_shown(node)}")

    def _several(self, kind: Any, item: Any, node: Node) -> Any:
        """A tuple of values; its own type may bound how many."""
        if not isinstance(node, YamlSequence):
            raise node.place.error(f"must be a list, not {_shown(node)}")
        values = tuple(self.value(item, child) for child in node.nodes)
        try:
            return msgspec.convert(values, kind)
        except msgspec.ValidationError as error:
            raise node.place.error(str(error).partition(" - at")[0]) from None


def _is_secret(cls: type[msgspec.Struct]) -> bool:
    """Whether a mapping of this struct may hold a secret, and so in a wrong place too."""
    return bool(getattr(cls, "SECRET", False))


def _unquoted(read: Callable[[Node], Any], kind: Any, node: Node) -> Any:
    """Read a value; what is wrong with it is said without quoting it."""
    try:
        return read(node)
    except ConfigError:
        raise node.place.error(f"must be {_wanted(kind)}") from None


def _bare(kind: Any) -> Any:
    """The type without what bounds it."""
    return _bare(kind.__origin__) if get_origin(kind) is Annotated else kind


def _struct_kind(kind: Any) -> type[msgspec.Struct] | None:
    """The struct that a value is, or is if it is there at all."""
    for each in get_args(kind) if isinstance(kind, UnionType) else (kind,):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return each
    return None


def _item_kind(kind: Any) -> Any:
    """What the items of `tuple[X, ...]` are; None for other types."""
    bare = _bare(kind)
    return get_args(bare)[0] if get_origin(bare) is tuple else None


def _shown(node: Node) -> str:
    if isinstance(node, YamlScalar):
        return quote(node.text)
    return "a list" if isinstance(node, YamlSequence) else "a mapping"


def _wanted(kind: Any) -> str:
    """What a type takes, in words."""
    info = msgspec.inspect.type_info(kind)
    match info:
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.IntType():
            return f"a whole number from {info.ge} to {info.le}"
        case msgspec.inspect.FloatType() if info.ge is None:
            return f"a number above {info.gt} and at most {info.le}"
        case msgspec.inspect.FloatType():
            return f"a number from {info.ge} to {info.le}"
        case msgspec.inspect.LiteralType():
            return f"one of {', '.join(str(value) for value in info.values)}"
        case _:
            return "text"
