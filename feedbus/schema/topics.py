"""Topics: `<word>.<venue>.<symbol>`, and what a subscriber's topic means. Pure.

A topic that ends in "." or is a bare word is a prefix; anything else is one instrument exactly, so that
`book.moex.TQBR.SBER` never matches `TQBR.SBERP`. "" is everything.

On the wire a message begins with `<word>.<venue>` and a NUL byte. nng filters by that (`wire_prefix`), at the
subscriber's socket; symbols are filtered by the subscriber library (`TopicFilter`).
"""

from __future__ import annotations

from collections.abc import Iterable

from feedbus.errors import BadAddress

HEARTBEAT = "heartbeat"
MAX_TOPIC = 256
MAX_RULES = 1024  # remembered by a TopicFilter; words and venues come from the wire


def topic_of(word: str, venue: str, symbol: str) -> str:
    """The topic of one instrument: `topic_of("book", "moex", "TQBR.SBER") == "book.moex.TQBR.SBER"`."""
    return f"{word}.{venue}.{symbol}"


class Topic:
    """One topic that a subscriber asked for."""

    __slots__ = ("exact", "symbol", "text", "venue", "wire_prefix", "word")

    def __init__(self, text: str) -> None:
        """Raises BadAddress for a topic that could never match: not text for the wire, or without a venue or symbol."""
        if "\0" in text or len(text) > MAX_TOPIC or not _is_unicode(text):
            raise BadAddress(f"not a topic: {text[:40]!r}")
        parts = text.split(".", 2)
        self.text = text
        self.word = parts[0]
        self.venue = parts[1] if len(parts) > 1 else ""
        self.symbol = parts[2] if len(parts) > 2 else ""
        self.exact = "." in text and not text.endswith(".")
        if "." in text and not self.word:
            raise BadAddress(f"topic {text!r} has no word before its first dot")
        if len(parts) > 2 and not self.venue:
            raise BadAddress(f"topic {text!r} names no venue between its dots")
        if self.exact and len(parts) < 3:
            raise BadAddress(f"topic {text!r} names a venue and no symbol: write {text + '.'!r} for all its symbols")
        if len(parts) > 2:
            self.wire_prefix = f"{self.word}.{self.venue}\0".encode()
        else:
            self.wire_prefix = f"{self.word}.".encode() if self.word else b""

    def matches(self, word: str, venue: str, symbol: str) -> bool:
        """True when the topic `word.venue.symbol` was asked for."""
        if self.exact:
            return symbol == self.symbol and word == self.word and venue == self.venue
        if self.word and word != self.word:
            return False
        if self.venue and venue != self.venue:
            return False
        return symbol.startswith(self.symbol)


class TopicFilter:
    """All the topics of one subscriber; answers are cached per word and venue."""

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = [Topic(text) for text in topics]
        self._rules: dict[tuple[str, str], tuple[bool, frozenset[str], tuple[str, ...]]] = {}

    @property
    def wire_prefixes(self) -> list[bytes]:
        """The prefixes by which the receiving socket keeps messages: none twice."""
        return sorted({topic.wire_prefix for topic in self.topics})

    def rule(self, word: str, venue: str) -> tuple[bool, frozenset[str], tuple[str, ...]]:
        """For the messages of one word and venue: (all symbols?, exact symbols, symbol prefixes)."""
        rule = self._rules.get((word, venue))
        if rule is None:
            here = [topic for topic in self.topics if topic.word in ("", word) and topic.venue in ("", venue)]
            everything = any(not topic.exact and not topic.symbol for topic in here)
            exact = frozenset(topic.symbol for topic in here if topic.exact)
            prefixes = tuple(topic.symbol for topic in here if not topic.exact and topic.symbol)
            rule = (everything, exact, prefixes)
            if len(self._rules) < MAX_RULES:
                self._rules[(word, venue)] = rule
        return rule

    def matches(self, word: str, venue: str, symbol: str) -> bool:
        """True when any of the topics matches."""
        everything, exact, prefixes = self.rule(word, venue)
        return everything or symbol in exact or (bool(prefixes) and symbol.startswith(prefixes))


def _is_unicode(text: str) -> bool:
    """False for the halves of surrogate pairs that a command line or a config file may smuggle in."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
