"""Text for people. Foreign text is made printable, put on one line, bounded, and freed of our secrets. Pure.

What a venue, a client or a library wrote ends up in log lines, in the status that systemd shows, on terminals and in
the errors that we raise. It passes through here on its way, so that no control character moves a cursor, no line feed
forges a log line, and nothing grows without a limit.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Iterable

MAX_LINE = 200
"""Characters of foreign text that are quoted in an error or a log line, where nothing else is said."""

HIDDEN = "***"
"""What a secret is replaced by."""

_UNUSUAL = re.compile(r"[^\x20-\x7e]")


def one_line(text: str, limit: int = MAX_LINE, *, empty: str = "") -> str:
    """The text on one line of at most `limit` characters, or `empty` when nothing of it can be shown.

    Every run of white space and of characters that can't be printed becomes one space. No more than the first
    twice `limit` characters are looked at, so the cost is bounded whatever a peer sends.
    """
    printed = replaced(text[: 2 * limit], " ")
    return " ".join(printed.split())[:limit] or empty


def shortened(text: str, limit: int) -> str:
    """The text, with an ellipsis as its last character where it was longer than `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


class _BoundedRepr(reprlib.Repr):
    """Python's repr with bounds: of a list its first items, of a long text its begin and end, nothing below level 2."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 2

    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to write a number of more than 4300 digits."""
        return super().repr_int(x, level) if x.bit_length() < 1024 else f"<a number of {x.bit_length()} bits>"


_bounded_repr = _BoundedRepr().repr


def quoted(value: object, limit: int = 40) -> str:
    """Foreign data as Python writes it, on one line, cut after `limit` characters.

    What is long or nested is shortened first, so the cost is bounded whatever the value is.
    """
    return (repr(value[: limit + 1]) if isinstance(value, str | bytes) else _bounded_repr(value))[:limit]


def time_span(seconds: float) -> str:
    """A length of time, rounded in the largest unit in which it is at least 2, otherwise in seconds: 90 s, 15 min."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def replaced(text: str, mark: str = "?") -> str:
    """The text with `mark` in place of each character that can't be printed: its width on a terminal stays the same."""
    return text if text.isprintable() else "".join(char if char.isprintable() else mark for char in text)


def escaped(text: str) -> str:
    r"""The text with every character that can't be printed written as Python escapes it: a line feed becomes `\n`.

    Line separators of all alphabets and lone surrogates are escaped too. Printable text stays as it is.
    """
    return _escape(text, lambda char: char.encode("unicode_escape").decode())


def escaped_json(text: str) -> str:
    r"""A JSON text of the same value, in which every character that can't be printed is escaped as `\uXXXX`.

    The JSON must have no line feeds or tabs between its parts, because they would be escaped too.
    """
    return _escape(text, _json_escape)


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` in place of each of these secrets; an empty secret hides nothing."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, HIDDEN)
    return text


def _escape(text: str, how: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return _UNUSUAL.sub(lambda found: found[0] if found[0].isprintable() else how(found[0]), text)


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
