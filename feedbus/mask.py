"""The mask: takes our secrets out of any text, however a venue repeats them. Pure.

A Mask is made once of all secrets of a feed, or of the process. Whatever comes from outside passes through one on its
way to people: log lines, the reasons of a connection, errors.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator

HIDDEN = "***"
"""What a secret is replaced by."""
SHORT = 4
"""A secret of fewer characters is hidden only where it stands alone, with no letter, digit or underscore beside it.
Inside of words it would be found by chance everywhere, and no text could be read any more."""
PREFIX = 8
"""So many characters of a secret are hidden even where the rest is missing, if they are half of it or more: a text may
have been cut within a secret."""
MAX_TEXT = 16_384
"""Characters; no text for people is longer. The worst text of this length takes some 50 ms."""
LAYERS = 2
"""How often a text is unescaped: a venue may quote in JSON a URL in which something is percent-encoded."""

# Runs of bytes in percent-encoding (RFC 3986), of UTF-16 units as JSON has them, and of bytes as Python has them; then
# single characters behind a backslash, and what HTML escapes.
_ESCAPED = re.compile(
    r"(?:%[0-9a-f]{2})+|(?:\\u[0-9a-f]{4})+|(?:\\x[0-9a-f]{2})+|\\[\"'\\/]"
    r"|&(?:#[0-9]{1,7}|#x[0-9a-f]{1,6}|amp|lt|gt|quot|apos);",
    re.IGNORECASE,
)
_SIGNS = ("%", "\\", "&")
"""One of these begins every escape."""
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


class Mask:
    """Hides these secrets: as they are, in capitals or small letters, percent-encoded, escaped as in JSON, Python or
    HTML, and in base64 (RFC 4648, either alphabet), there also as a part of what was encoded, as a password is in
    Basic authentication.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        """An empty secret hides nothing."""
        given = {secret for secret in secrets if secret}
        alone = [_folded(secret) for secret in given if len(secret) < SHORT]
        # A head finds the place. How far the secret goes on from there is looked up among those that begin so.
        self._by_head: dict[str, list[str]] = {}
        for secret in given:
            for form in map(_folded, (secret, *_in_base64(secret.encode(errors="surrogatepass")))):
                if len(form) >= SHORT:
                    self._by_head.setdefault(form[: _head(form)], []).append(form)
        heads = sorted(self._by_head, key=len, reverse=True)
        patterns = [*map(re.escape, heads), *(rf"(?<!\w){re.escape(each)}(?!\w)" for each in alone)]
        self._signs = (*heads, *alone)  # a text in which none of these is holds no secret
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def __repr__(self) -> str:
        return "Mask()"

    def hide(self, text: str) -> str:
        """The text with `***` in place of each secret. The cost is linear in the text, of which no more than MAX_TEXT
        characters are kept.
        """
        text = text[:MAX_TEXT]
        if self._pattern is None:
            return text
        found = list(self._found(text))
        shown, places = text, None
        for _ in range(LAYERS):
            if not any(sign in shown for sign in _SIGNS):
                break
            shown, inner = _unescaped(shown)
            places = inner if places is None else [places[at] for at in inner]
            found += [(places[start], places[end]) for start, end in self._found(shown)]
        return _without(text, sorted(found)) if found else text

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the secrets are that aren't escaped."""
        if self._pattern is None:
            return
        folded, done = _folded(text), 0
        if not any(sign in folded for sign in self._signs):
            return  # as nearly always: this is ten times as fast as the search below
        while (found := self._pattern.search(folded, done)) is not None:
            done = max((_end(folded, found, form) for form in self._by_head.get(found[0], ())), default=found.end())
            yield found.start(), done


NO_MASK = Mask(())
"""Hides nothing."""


def _end(text: str, found: re.Match[str], form: str) -> int:
    """Where the secret ends whose head was found: as far as the text goes on like it."""
    end = found.end()
    for char, known in zip(text[end : found.start() + len(form)], form[len(found[0]) :], strict=False):
        if char != known:
            break
        end += 1
    return end


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with HIDDEN in place of these parts, which are sorted and may overlap."""
    parts, done = [], 0
    for start, end in spans:
        if start >= done:
            parts += [text[done:start], HIDDEN]
        done = max(done, end)
    return "".join([*parts, text[done:]])


def _head(form: str) -> int:
    """How many characters of a secret are enough to hide them."""
    return min(len(form), max(PREFIX, (len(form) + 1) // 2))


def _folded(text: str) -> str:
    """The text in small letters and of the same length. A plus sign counts as a space, which forms encode as it."""
    small = text.casefold()
    if len(small) != len(text):  # some characters become two
        small = "".join(char.casefold() if len(char.casefold()) == 1 else char for char in text)
    return small.replace("+", " ")


def _unescaped(text: str) -> tuple[str, list[int]]:
    """The text with one layer of escapes undone, and where each of its characters, and its end, was."""
    parts: list[str] = []
    places: list[int] = []
    done = 0
    for found in _ESCAPED.finditer(text):
        parts.append(text[done : found.start()])
        places += range(done, found.start())
        at = found.start()
        for char, width in _characters(found[0]):
            parts.append(char)
            places.append(at)
            at += width
        done = found.end()
    parts.append(text[done:])
    places += range(done, len(text) + 1)
    return "".join(parts), places


def _characters(escaped: str) -> Iterator[tuple[str, int]]:
    """The characters that one match of _ESCAPED stands for, each with how many characters it is written in."""
    kind = escaped[:2].lower()
    if kind[0] == "%" or kind == r"\x":
        width = 3 if kind[0] == "%" else 4
        raw = bytes.fromhex(escaped.lower().replace("%", "").replace(r"\x", ""))
        for char in raw.decode(errors="surrogateescape"):
            yield char, width * len(char.encode(errors="surrogateescape"))
    elif kind == r"\u":
        units = bytes.fromhex(escaped.lower().replace(r"\u", ""))
        for char in units.decode("utf-16-be", errors="surrogatepass"):
            yield char, 12 if ord(char) > 0xFFFF else 6
    elif kind[0] == "\\":
        yield escaped[1], 2
    else:
        yield _html(escaped[1:-1].lower()), len(escaped)


def _html(name: str) -> str:
    if not name.startswith("#"):
        return _NAMED[name]
    code = int(f"0{name[1:]}", base=0) if name[1] == "x" else int(name[1:])
    return chr(code) if code <= 0x10FFFF else "?"


def _in_base64(secret: bytes) -> Iterator[str]:
    """What is in every base64 text of something that holds the secret, by its place within three bytes. What is too
    short to be told from chance is left out.
    """
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            whole = encode(bytes(before) + secret).decode()
            # The first character mixes the bytes before with the secret, and the last one what is behind it.
            start, stop = (before * 8 + 5) // 6, (before + len(secret)) * 8 // 6
            if stop - start >= PREFIX:
                yield whole[start:stop]
        if len(secret) >= SHORT:
            yield encode(secret).decode().rstrip("=")
