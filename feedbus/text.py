"""Text for people. Foreign text is made printable, put on one line, and bounded. Pure.

What a venue, a client or a library wrote ends up in log lines, in the status that systemd shows, on terminals and in
the errors that we raise. It passes through here on its way, so that no control character moves a cursor, no line feed
forges a log line, and nothing grows without a limit.
"""

from __future__ import annotations

import math
import re
import reprlib
import unicodedata
from collections.abc import Callable
from decimal import Decimal

MAX_LINE = 200
"""Characters of foreign text that are quoted in an error or a log line, where nothing else is said."""

_LOOKALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХԚԜавезѕіјкмнорсԁтухԛԝΑΒΕΖΗΙΚΜΝΟΡΤΥΧαικνορυχ",
    "ABESIJKMHOPCTYXQWabe3sijkmhopcdtyxqwABEZHIKMNOPTYXaikvopux",
)
_UNUSUAL = re.compile(r"[^\x20-\x7e]")


def one_line(text: str, limit: int = MAX_LINE, *, empty: str = "") -> str:
    """The text on one line of at most `limit` characters, or `empty` when nothing of it can be shown.

    Every run of white space and of characters that can't be printed becomes one space. No more than the first
    twice `limit` characters are looked at, so the cost is bounded whatever a peer sends.
    """
    printed = " ".join(text[: 2 * limit].split())
    if not printed.isprintable():
        printed = " ".join(replaced(printed, " ").split())
    return printed[:limit] or empty


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


def plain_decimal(value: float, digits: int | None = None) -> str:
    """A number as people write it, whatever its size: without an exponent and without a zero after the point. 1e15
    becomes 1000000000000000, 1.5e-07 becomes 0.00000015. It is rounded to so many significant digits; without `digits`
    it has all that Python needs to tell it from others.
    """
    if not math.isfinite(value):
        return str(value)
    if not value:
        return "0"
    text = f"{Decimal(repr(value) if digits is None else f'{value:.{digits}g}'):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


HINT = ": did you mean "


def hinted(reason: str, near: str) -> str:
    """Why something is refused, with what was probably meant, where there is anything near."""
    return f"{reason}{HINT}{near}?" if near else reason


def mistaken(text: str) -> tuple[str, str] | None:
    """What a text reads like in Latin letters, and which letter isn't one, in words; None for any other text.

    Cyrillic, Greek and full-width letters look like Latin ones in most fonts, so a symbol or a name that was typed on
    another keyboard is another one than the one that is seen. A text in which a letter remains that isn't ASCII is a
    word of another language, and none that was written so by mistake.
    """
    if text.isascii():
        return None
    latin = unicodedata.normalize("NFKC", text).translate(_LOOKALIKES)
    if not latin.isascii():
        return None
    odd = next(char for char in text if not char.isascii())
    return latin, f"{odd!r} is a {unicodedata.name(odd, 'foreign sign').lower()}"


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


def _escape(text: str, how: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return _UNUSUAL.sub(lambda found: found[0] if found[0].isprintable() else how(found[0]), text)


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
