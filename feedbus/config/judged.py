"""Texts of the file that a venue judges: symbols, boards, patterns and channels. Pure.

A refusal quotes what the file says, and never the content of a variable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from feedbus.config.yaml_text import YamlScalar, quote
from feedbus.text import HINT, hinted, mistaken


def refuse_each(check: Callable[[str], str | None], written: Mapping[str, YamlScalar], what: str) -> None:
    """Raises ConfigError for the first of these texts that `check` gives a reason against."""
    for text, scalar in written.items():
        if (reason := _seen(scalar, check) or check(text)) is not None:
            raise scalar.place.error(f"{what} {quote(scalar.text)}: {unsubstituted(reason, text, scalar)}")


def unsubstituted(reason: str, value: str, scalar: YamlScalar) -> str:
    """A venue's reason, in which a value is written as the file has it. A variable's content may be a secret, so what
    the venue proposes instead of it is left out, too.
    """
    if value == scalar.text:
        return reason
    return reason.partition(HINT)[0].replace(value, scalar.text)


def _seen(scalar: YamlScalar, check: Callable[[str], str | None]) -> str | None:
    """Why a text that holds look-alikes of Latin letters is refused, or None for any other."""
    read = mistaken(scalar.text)
    if read is None:
        return None
    latin, odd = read
    reason = check(latin)
    return f"{odd}; {reason}" if reason else hinted(odd, latin)
