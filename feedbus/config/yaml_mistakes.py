"""What is wrong where a YAML parser gives up, in words for people and with the line of the mistake. Pure.

A parser says where it could go on no longer, which is often a line too late, and in the terms of its grammar. The usual
mistakes are recognised here: a colon or a quote that is missing, a bracket that isn't closed, a wrong indentation.
Nothing of the text is quoted, because it may be a passcode that should have been in quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import yaml

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what ends a line in YAML 1.1
_ODD_INDENT = re.compile(r"^[ \t]*[^\S \t\n\r]", re.MULTILINE)  # a no-break space, or another that isn't YAML's
_KEY = re.compile(r"""\s*(?:- +)*(?:"[^"]*"|'[^']*'|[^\s"'#\[{][^#]*?):(?:\s|$)""")
_TIGHT_KEY = re.compile(r"\s*(?:- +)*[A-Za-z_][A-Za-z0-9_-]*:[^\s/0-9]")  # `venue:moex`, but not `ws://` and `host:80`
_NO_COLON = re.compile(r"\s*[A-Za-z_][A-Za-z0-9_-]*\s+[\[{]")  # `sharding {connections: 4}`
_CLOSING = ("]", "}")


class Mistake(NamedTuple):
    """A line, counted from 1 (0: unknown), and what is wrong there."""

    line: int
    reason: str


class Progress(NamedTuple):
    """How far a parser had come: the line in which the innermost open list or mapping began, and its last event."""

    opened: int
    last: Any


class _Stop(NamedTuple):
    """Where a parser gave up, and what it said. `began` is the mark of the construct that it was in."""

    text: str
    lines: list[str]
    mark: Any
    began: Any
    progress: Progress

    @property
    def number(self) -> int:
        return int(self.mark.line) + 1

    @property
    def char(self) -> str:
        """The character at which it stopped; nothing at the end."""
        return self.text[self.mark.index : self.mark.index + 1].strip("\0")


def explained(text: str, error: yaml.YAMLError, progress: Progress) -> Mistake:
    """The mistake that made a parser of `text` raise this error."""
    mark, problem = getattr(error, "problem_mark", None), str(getattr(error, "problem", None) or "broken")
    context = str(getattr(error, "context", None) or "")
    # What the parser's own words quote is left out.
    in_its_words = "not YAML: " + re.sub(r"'[^']{2,}'", "...", problem)
    if mark is None:
        return Mistake(0, in_its_words)
    stop = _Stop(text, [*_BREAK.split(text), ""], mark, getattr(error, "context_mark", None) or mark, progress)
    if stop.char == "\t":
        return Mistake(stop.number, "a tab can't indent: use spaces")
    for in_problem, in_context, answer in _ANSWERS:
        if in_problem in problem and in_context in context:
            found = answer if isinstance(answer, str) else answer(stop)
            return Mistake(stop.number, found) if isinstance(found, str) else found
    return Mistake(stop.number, in_its_words)


def odd_indentation(text: str) -> Mistake | None:
    """The first line that begins with a space that isn't one of YAML's, which editors and web pages show alike."""
    if (found := _ODD_INDENT.search(text)) is None:
        return None
    return Mistake(text.count("\n", 0, found.start()) + 1, "begins with a no-break space or the like: use plain spaces")


def not_a_mapping(text: str) -> str:
    """Why this text is no mapping of keys, though it stands where one has to be."""
    return "must be a mapping of keys" + (": is a space missing after a colon?" if _TIGHT_KEY.match(text) else "")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _is_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _is_lone(line: str) -> bool:
    """Whether a line has text that is neither a key, nor an item of a list, nor a part of one in brackets."""
    text = line.strip()
    closes = text.count("]") + text.count("}") > text.count("[") + text.count("{")
    return _is_content(line) and not _KEY.match(line) and text[:1] not in "-[{" and text[-1:] != "," and not closes


def _lacks_its_colon(line: str) -> bool:
    """Whether a line that has a colon somewhere lacks the one, or the space, after its key."""
    return bool(_TIGHT_KEY.match(line) or _NO_COLON.match(line))


def _no_colon(lines: list[str], at: int) -> Mistake:
    """The line `at` has to be a key, and isn't."""
    tight = _TIGHT_KEY.match(lines[at])
    return Mistake(at + 1, "a space is missing after the colon?" if tight else "a colon is missing?")


def _simple_key(stop: _Stop) -> Mistake:
    return _no_colon(stop.lines, stop.began.line)


def _no_key(stop: _Stop) -> Mistake | str:
    """A colon belongs to no key: what comes before it, on its line or those above, is a value."""
    lines, at = stop.lines, stop.mark.line
    first = at
    while first > 0 and _is_lone(lines[first - 1]):
        first -= 1
    if first < at or _lacks_its_colon(lines[at]):
        return _no_colon(lines, first)
    key = _KEY.match(lines[at])
    if key is not None and stop.mark.column < key.end():
        return "is indented deeper than the line above it, which has a value already"
    return "text with a colon and a space in it needs quotes"


def _misplaced(stop: _Stop) -> str:
    """A line begins in a column in which nothing above it does that is still open."""
    found: list[int] = []
    for line in reversed(stop.lines[: stop.mark.line]):
        if _is_content(line) and (not found or _indent(line) < found[-1]):
            found.append(_indent(line))
    shown = ", ".join(map(str, reversed(found)))
    return f"is indented by {_indent(stop.lines[stop.mark.line])} spaces, what is above it by {shown}"


def _second_document(stop: _Stop) -> Mistake | str:
    """The first key of the file was indented, and this one isn't; or a `%` or `...` above ended the document."""
    number, first = next(((number, line) for number, line in enumerate(stop.lines, 1) if _is_content(line)), (0, ""))
    if first.startswith("%"):
        return Mistake(number, _PERCENT)
    indented = _indent(stop.lines[stop.mark.line]) < _indent(first)
    return _misplaced(stop) if indented else "a second document begins here"


def _in_brackets(stop: _Stop) -> Mistake | str:
    """Something within […] or {…} is wrong."""
    if stop.text[max(0, stop.mark.index - 1) : stop.mark.index + 1] == "${":
        return 'quote ${…} inside braces and brackets: "${…}"'
    opened = stop.text[stop.began.index]
    if stop.char in _CLOSING:
        return f"a {opened} is closed by {stop.char}"
    if stop.char and stop.began.line == stop.mark.line:
        return f"a comma is missing between two values, or text after the {opened} needs quotes"
    return Mistake(stop.began.line + 1, f"a {opened} is never closed, or a comma is missing after it")


def _no_item(stop: _Stop) -> Mistake | str:
    if not stop.char:
        return Mistake(stop.progress.opened, "a [ or { is never closed")
    return "a value is missing before a comma or a bracket"


def _no_next_key(stop: _Stop) -> Mistake | str:
    """Something stands where the next key of a mapping has to be."""
    lines, at, last = stop.lines, stop.mark.line, stop.progress.last
    is_scalar, start = isinstance(last, yaml.ScalarEvent), last.start_mark.line
    if not lines[at][: stop.mark.column].strip():
        if is_scalar and not last.style and _is_lone(lines[start]):
            return _no_colon(lines, start)
        is_item = lines[at].lstrip().startswith("- ")
        return (
            "an item of a list stands where a key has to be: is its indentation right?" if is_item else _misplaced(stop)
        )
    if _lacks_its_colon(lines[at]):
        return _no_colon(lines, at)
    if is_scalar and last.style in ("'", '"') and start < at:
        return Mistake(start + 1, f"a quote is opened, and closed by the next one, on line {stop.number}")
    return f"there is a {stop.char} too many" if stop.char in _CLOSING else _FOLLOWS


def _no_next_item(stop: _Stop) -> str:
    """Something stands where the next item of a list has to be."""
    if stop.lines[stop.mark.line][: stop.mark.column].strip():
        return _FOLLOWS
    return "a key stands where an item of the list (- …) has to be: is its indentation right?"


def _open_quote(stop: _Stop) -> Mistake:
    return Mistake(stop.began.line + 1, "a quote is opened and never closed")


_FOLLOWS = "something follows a closing quote or bracket: is a quote too many?"
_SIGN = "text that begins with @, %, `, a comma or a closing bracket needs quotes"
_ALIAS = "text that begins with *, & or ! needs quotes: aliases, anchors and tags aren't supported"
_PERCENT = "a line can't begin with %"
_BLOCK = "text that begins with | or > needs quotes"
_DASH = "an item of a list begins on a line of its own; other text that begins with - needs quotes"
_ESCAPE = "in double quotes a backslash begins an escape: use single quotes"

# What libyaml and PyYAML's own parser say (a part of the problem, a part of the context), and what to say instead.
_ANSWERS: tuple[tuple[str, str, str | Callable[[_Stop], Mistake | str]], ...] = (
    ("mapping values", "", _no_key),
    ("expected ':'", "simple key", _simple_key),
    ("end of stream", "quoted scalar", _open_quote),
    ("escape", "", _ESCAPE),
    ("", "flow node", _no_item),
    ("", "flow", _in_brackets),
    ("", "block mapping", _no_next_key),
    ("", "block collection", _no_next_item),
    ("", "an alias", _ALIAS),
    ("", "an anchor", _ALIAS),
    ("", "a tag", _ALIAS),
    ("tag handle", "", _ALIAS),
    ("", "a directive", _PERCENT),
    ("", "block scalar", _BLOCK),
    ("sequence entries", "", _DASH),
    ("cannot start any token", "", _SIGN),
    ("", "block node", _SIGN),
    ("document start", "", _second_document),
)
