"""Reads YAML text into frozen structs, so that every error names its file, line and key.

This file knows YAML, the substitution of variables and msgspec types; the structs that it is given say which keys there
are. Every scalar is kept as it was written (`NO` is a ticker and no boolean), the depth of nesting is limited, and tags
and aliases are refused. Errors quote what the file says and never the content of a variable, which may be a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec
import yaml

from feedbus.config.files import reason_of
from feedbus.config.yaml_mistakes import Progress, explained, not_a_mapping, odd_indentation
from feedbus.errors import ConfigError
from feedbus.text import escaped, hinted, mistaken, plain_decimal

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 16
MAX_QUOTED = 40
MAX_REASON = 400

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Characters that YAML doesn't allow, surrogates among them (YAML 1.1, section 5.1).
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,40}")
# `{passcode:hunter2}`, without a space, is one key in YAML, with a secret in it: what follows a name isn't shown.
_AFTER_NAME = re.compile(r"(?<=[:=]).+", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\$|\{([A-Za-z_][A-Za-z0-9_]*)(?::-((?:[^$}]|\$\$)*))?\}|)")
_TYPOGRAPHIC = "\u2018\u2019\u201c\u201d\u201e\u00ab"  # what word processors make of quotes
_NULLS = ("", "~", "null", "Null", "NULL")
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

S = TypeVar("S", bound=msgspec.Struct)


def quote(text: str) -> str:
    """The text in quotes and with control characters escaped, cut to MAX_QUOTED characters."""
    return escaped(repr(text if len(text) <= MAX_QUOTED else text[: MAX_QUOTED - 3] + "..."))


class Place(msgspec.Struct, frozen=True):
    """Where something is written: the file, the line, and the path of keys. Line 0 and path "" stand for the whole
    file.
    """

    file: str
    line: int = 0
    path: str = ""

    def error(self, reason: str) -> ConfigError:
        """A ConfigError that says `FILE:LINE: path: reason`, on one line."""
        line = f":{self.line}" if self.line else ""
        path = f"{self.path}: " if self.path else ""
        return ConfigError(escaped(f"{self.file}{line}: {path}{reason[:MAX_REASON]}"))

    def key(self, key: str, line: int | None = None) -> Place:
        """The place of a key in the mapping at this place."""
        shown = key if _PLAIN_KEY.fullmatch(key) else quote(_AFTER_NAME.sub("...", key, count=1))
        return Place(self.file, self.line if line is None else line, f"{self.path}.{shown}" if self.path else shown)


class YamlScalar(msgspec.Struct, frozen=True):
    """A text as it is written, before substitution. `plain` is False when it is in quotes or in a block."""

    place: Place
    text: str
    plain: bool = True


class YamlSequence(msgspec.Struct, frozen=True):
    """A YAML sequence. Its items have the sequence's path, and each its own line."""

    place: Place
    nodes: list[Node]


class YamlMapping(msgspec.Struct, frozen=True):
    """A YAML mapping. A value has the line of its key."""

    place: Place
    entries: dict[str, Node]


Node = YamlScalar | YamlSequence | YamlMapping


def place_of(node: Node, *keys: str | int) -> Place:
    """Where a key, or an item by its number, is written. When the file doesn't have it, the place of the innermost
    mapping or list that could hold it.
    """
    for key in keys:
        if isinstance(node, YamlMapping) and key in node.entries:
            node = node.entries[str(key)]
        elif isinstance(node, YamlSequence) and isinstance(key, int) and key < len(node.nodes):
            node = node.nodes[key]
        else:
            break
    return node.place


def read_text(path: Path, file: str) -> str:
    """The text of a UTF-8 file of at most MAX_BYTES, which errors call `file`.

    Raises ConfigError; its cause is the OSError when the file can't be read.
    """
    place = Place(file)
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise place.error(f"can't be read: {reason_of(error)}") from error
    if len(data) > MAX_BYTES:
        raise place.error(f"is larger than {MAX_BYTES} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Place(file, data.count(b"\n", 0, error.start) + 1).error("is not UTF-8") from None


def substitute(text: str, environ: Mapping[str, str]) -> str:
    """Replace `${NAME}` by the variable NAME, `${NAME:-default}` by the default when NAME is unset or empty, and `$$`
    by a dollar sign. A dollar sign in a variable's content is left as it is.

    Raises ConfigError, whose text contains neither this text nor the content of a variable.
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
    """The reason for refusing an unknown name: it proposes the most similar known name, or else lists all of them."""
    names = sorted(known)
    read = mistaken(name[:MAX_QUOTED])
    near = difflib.get_close_matches(read[0] if read else name[:MAX_QUOTED], names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
    if read and read[0] in names:
        hint = f"{read[1]}: {hint}"
    return f"unknown {what}; {hint}"


def compose(text: str, file: str) -> Node:
    """The single document of a YAML text as a tree of nodes. Errors call it `file`. Raises ConfigError."""
    if len(text) > MAX_BYTES:
        raise Place(file).error(f"is larger than {MAX_BYTES} bytes")
    if (found := _NO_CHARACTER.search(text)) is not None:
        raise Place(file, text.count("\n", 0, found.start()) + 1).error("holds a control character")
    if (mistake := odd_indentation(text)) is not None:
        raise Place(file, mistake.line).error(mistake.reason)
    builder = _Builder(file)
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.YAMLError as error:
        mistake = explained(text, error, builder.progress())
        raise Place(file, mistake.line).error(mistake.reason) from None
    if builder.root is None:
        raise Place(file).error("is empty")
    return builder.root


class _Builder:
    """Builds nodes from the parser's events. It has its own stack and doesn't recurse, so deep nesting can't overflow
    Python's.
    """

    def __init__(self, file: str) -> None:
        self.root: Node | None = None
        self._top = Place(file)
        self._open: list[YamlSequence | YamlMapping] = []
        self._key: list[Place | None] = []
        self._name = ""
        self._last: Any = None

    def progress(self) -> Progress:
        """How far it has come."""
        return Progress(self._open[-1].place.line if self._open else 1, self._last)

    def take(self, event: Any) -> None:
        self._last = event
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
        """The place of a value: the path is that of the innermost key, and so is the line unless the value is in a
        list.
        """
        if self._key and (key := self._key[-1]) is not None:
            return key
        return msgspec.structs.replace(
            self._open[-1].place if self._open else self._top, line=event.start_mark.line + 1
        )

    def _check(self, event: Any) -> None:
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._at(event).error("aliases and anchors (* and &) aren't supported: put text in quotes")
        if not isinstance(event, yaml.AliasEvent) and event.tag is not None:
            raise self._at(event).error("tags (!) aren't supported: put text in quotes")

    def _begin_entry(self, table: YamlMapping, event: Any) -> None:
        line = event.start_mark.line + 1
        if not isinstance(event, yaml.ScalarEvent):
            raise msgspec.structs.replace(table.place, line=line).error("a key must be plain text")
        place = table.place.key(event.value, line)
        if (first := table.entries.get(event.value)) is not None:
            raise place.error(f"appears twice; the first one is on line {first.place.line}")
        self._key[-1], self._name = place, event.value

    def _add(self, event: Any) -> None:
        place = self._at(event)
        if isinstance(event, yaml.ScalarEvent):
            if not event.style and event.value[:1] in _TYPOGRAPHIC and event.value:
                raise place.error("typographic quotes are letters in YAML: use ' or \"")
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
    """Turns nodes into values and structs. `environ` has the variables to substitute. Every method raises
    ConfigError.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def text(self, node: Node) -> str:
        """The text of a scalar, with variables substituted."""
        if not isinstance(node, YamlScalar):
            raise node.place.error(f"must be text, not {_shown(node)}")
        try:
            return substitute(node.text, self._environ)
        except ConfigError as error:
            raise node.place.error(str(error)) from None

    def nothing(self, node: Node) -> bool:
        """Whether a key has no value: nothing follows it, or a null, or a variable that is empty."""
        return isinstance(node, YamlScalar) and node.plain and (node.text in _NULLS or not self.text(node))

    def table(self, node: Node) -> dict[str, Node]:
        """The entries of a mapping."""
        if not isinstance(node, YamlMapping):
            # A text isn't quoted: a .env file in place of the YAML would show its secrets.
            raise node.place.error(not_a_mapping(node.text if isinstance(node, YamlScalar) else ""))
        return node.entries

    def struct(self, cls: type[S], node: Node) -> S:
        """A struct of this type, whose fields are the keys of a mapping."""
        return cls(**self.fields(cls, node, {}))

    def fields(
        self, cls: type[S], node: Node, special: Mapping[str, Callable[[Node], Any]], given: Collection[str] = ()
    ) -> dict[str, Any]:
        """The values of a struct's fields that a mapping has. A key may be missing only when its field has a default.

        `special` has functions that read certain fields; the others are read by their types. The fields in `given`
        don't come from the file and aren't allowed in it. When the struct's SECRET is true, errors don't quote values.
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
        """A value of this type: a struct, a tuple or a mapping of values, or what msgspec converts a text to. Of a type
        that may be a mapping or something else, such as `int | dict[str, int]`, the node decides which it is."""
        if (each := _entry_kind(kind)) is not None and isinstance(node, YamlMapping):
            return {name: self.value(each, child) for name, child in node.entries.items()}
        if (item := _item_kind(kind)) is not None:
            return self._several(kind, item, node)
        if (struct := _struct_kind(kind)) is not None:
            return self.struct(struct, node)
        try:
            if isinstance(node, YamlScalar):
                text = self.text(node)
                # By itself msgspec would also read 1 and tRuE as true.
                return msgspec.convert(_BOOLEANS.get(text) if kind is bool else text, kind, strict=False)
        except msgspec.ValidationError:
            pass
        reason, near = f"must be {_wanted(kind)}, not {_shown(node)}", ""
        if isinstance(node, YamlScalar):
            read = mistaken(node.text)
            reason += f": {read[1]}" if read else ""
            near = _nearest(kind, read[0] if read else node.text)
        raise node.place.error(hinted(reason, near))

    def _several(self, kind: Any, item: Any, node: Node) -> Any:
        """A tuple of values. Its type may limit their number."""
        if not isinstance(node, YamlSequence):
            raise node.place.error(f"must be a list, not {_shown(node)}")
        values = tuple(self.value(item, child) for child in node.nodes)
        try:
            return msgspec.convert(values, kind)
        except msgspec.ValidationError:
            raise node.place.error(f"must be {_length(kind)}, not {len(values)}") from None


def _is_secret(cls: type[msgspec.Struct]) -> bool:
    """Whether a mapping of this struct may contain a secret: then any of its keys may have it, by a mistake."""
    return bool(getattr(cls, "SECRET", False))


def _unquoted(read: Callable[[Node], Any], kind: Any, node: Node) -> Any:
    """Read a value so that an error doesn't quote it."""
    try:
        return read(node)
    except ConfigError:
        raise node.place.error(f"must be {_wanted(kind)}") from None


def _bare(kind: Any) -> Any:
    """The type without its annotations, which are the bounds."""
    return _bare(kind.__origin__) if get_origin(kind) is Annotated else kind


def _struct_kind(kind: Any) -> type[msgspec.Struct] | None:
    """The struct type of a type that is one, also of an optional one; None for other types."""
    for each in get_args(kind) if isinstance(kind, UnionType) else (kind,):
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            return each
    return None


def _item_kind(kind: Any) -> Any:
    """X for the type `tuple[X, ...]`; None for other types."""
    bare = _bare(kind)
    return get_args(bare)[0] if get_origin(bare) is tuple else None


def _entry_kind(kind: Any) -> Any:
    """X for a type that may be `dict[str, X]`; None for other types."""
    for each in get_args(kind) if isinstance(kind, UnionType) or get_origin(kind) is Union else (kind,):
        if get_origin(_bare(each)) is dict:
            return get_args(_bare(each))[1]
    return None


def _shown(node: Node) -> str:
    """What a node is, for an error: a text in quotes, or the kind of the node."""
    if isinstance(node, YamlScalar):
        return quote(node.text)
    return "a list" if isinstance(node, YamlSequence) else "a mapping"


def _wanted(kind: Any) -> str:
    """Which values a type accepts, in words."""
    info = msgspec.inspect.type_info(kind)
    if isinstance(info, msgspec.inspect.UnionType):  # an optional one
        info = info.types[0]
    match info:
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.IntType():
            return f"a whole number from {info.ge} to {info.le}"
        case msgspec.inspect.FloatType():
            least, most = info.gt if info.ge is None else info.ge, info.le
            bounds = ["any" if bound is None else plain_decimal(bound) for bound in (least, most)]
            return ("a number above {} and at most {}" if info.ge is None else "a number from {} to {}").format(*bounds)
        case msgspec.inspect.LiteralType():
            return f"one of {', '.join(str(value) for value in info.values)}"
        case _:
            return "text"


def _nearest(kind: Any, text: str) -> str:
    """The one of a choice of words that is nearest to a text; "" where there is none, or it is no choice."""
    info = msgspec.inspect.type_info(kind)
    words = [str(value) for value in info.values] if isinstance(info, msgspec.inspect.LiteralType) else []
    near = difflib.get_close_matches(text[:MAX_QUOTED].lower(), words, 1)
    return near[0] if near else ""


def _length(kind: Any) -> str:
    """How many items a list of this type may have, in words."""
    info = msgspec.inspect.type_info(kind)
    least, most = getattr(info, "min_length", None) or 0, getattr(info, "max_length", None)
    return f"a list of at least {least}" if most is None else f"a list of {least} to {most}"
