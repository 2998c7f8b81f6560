"""Foreign text in one line: control characters, line separators of all alphabets and lone surrogates are escaped. Pure.

What an exchange or a client wrote ends up in logs, in STATUS and in answers that are read line by line.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_CANDIDATE = re.compile(r"[^\x20-\x7e]")


def printable(text: str) -> str:
    r"""For people: "a\nb" with a line feed becomes "a\\nb" with a backslash. Printable text stays as it is."""
    return escape(text, lambda char: char.encode("unicode_escape").decode())


def printable_json(text: str) -> str:
    r"""For a JSON text without blanks or line feeds between its parts: the same value, in `\uXXXX`."""
    return escape(text, _json_escape)


def escape(text: str, how: Callable[[str], str]) -> str:
    """The text with `how` in place of each character that str.isprintable() denies."""
    if text.isprintable():
        return text
    return _CANDIDATE.sub(lambda found: found[0] if found[0].isprintable() else how(found[0]), text)


def _json_escape(char: str) -> str:
    units = char.encode("utf-16-be").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
