"""What an operator writes: the rules, the instruments that they are about, the topics that they need. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from feedbus.errors import BadAddress, ConfigError
from feedbus.schema.topics import Topic, topic_of

Kind = Literal["stale", "connection_down", "wide_spread", "large_trade", "price_jump", "volume_spike"]
Severity = Literal["info", "warning", "critical"]
Seconds = Annotated[float, Meta(ge=0, le=86400)]

MAX_RULES = 64
MAX_PATTERNS = 1000  # of one rule

WORDS: dict[str, tuple[str, ...]] = {
    "stale": ("trade", "quote", "book", "ticker"),
    "connection_down": ("feed",),
    "wide_spread": ("quote", "book", "ticker"),
    "large_trade": ("trade",),
    "price_jump": ("trade", "ticker"),
    "volume_spike": ("bar",),
}
"""The topic words that a kind of rule listens to."""

_OWN_KEYS: dict[str, tuple[str, ...]] = {
    "of": ("large_trade",),
    "window": ("price_jump",),
    "bars": ("volume_spike",),
    "period_s": ("volume_spike",),
    "source": ("volume_spike",),
    "for": ("stale", "connection_down", "wide_spread", "price_jump"),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
# A venue's name is in lower case, so that a symbol that has a colon itself ("MOEX:SBER") can be told from it.
_VENUE = re.compile(r"[a-z][a-z0-9_-]*")


class Rule(msgspec.Struct, frozen=True, rename={"for_": "for"}):
    """One rule. `threshold` is in the unit of its kind: seconds (stale), per cent (wide_spread, price_jump), the
    venue's unit of size or quote currency (large_trade), a factor (volume_spike); connection_down has none.

    `for_` (`for` in the file) is how long the condition must hold before it fires, `cooldown` how long nothing fires
    after it, `window` how far back a price_jump looks, all in seconds. `symbols`: `TQBR.SBER`, `moex:TQBR.SBER`,
    `TQBR.*`, `moex:*`; none means all. `bars` final bars of `period_s` seconds are what a volume is compared with.
    """

    kind: Kind
    threshold: Annotated[float, Meta(ge=0, le=1e15)] = 0.0
    name: str = ""
    severity: Severity = "warning"
    symbols: Annotated[tuple[str, ...], Meta(max_length=MAX_PATTERNS)] = ()
    for_: Seconds = 0.0
    cooldown: Seconds = 60.0
    of: Literal["size", "notional"] = "size"
    window: Annotated[float, Meta(ge=1, le=86400)] = 60.0
    bars: Annotated[int, Meta(ge=1, le=1000)] = 20
    period_s: Annotated[int, Meta(ge=1, le=86400)] = 60
    source: Literal["trades", "ticker", "venue"] = "trades"

    def __post_init__(self) -> None:
        if not self.name:
            msgspec.structs.force_setattr(self, "name", self.kind)


class Pattern:
    """What `symbols` has for one item: an exact symbol, or all that begin alike; of one venue, or of all."""

    __slots__ = ("is_prefix", "symbol", "venue")

    def __init__(self, text: str) -> None:
        """Raises ConfigError for a text that could never match."""
        before, colon, after = text.partition(":")
        self.venue, rest = (before, after) if colon and _VENUE.fullmatch(before) else ("", text)
        self.is_prefix = rest.endswith("*")
        self.symbol = rest.removesuffix("*")
        if not rest or "*" in self.symbol or not text.isprintable():
            raise ConfigError(f"symbols: {text[:40]!r} is neither SYMBOL nor PREFIX*, with VENUE: before it or without")

    def matches(self, venue: str, symbol: str) -> bool:
        """True when the instrument, or the connection of this name, is meant."""
        if self.venue and venue != self.venue:
            return False
        return symbol.startswith(self.symbol) if self.is_prefix else symbol == self.symbol

    def topic(self, word: str) -> str:
        """What has to be subscribed to: exactly this, or more."""
        if not self.venue:
            return word
        if not self.is_prefix:
            return topic_of(word, self.venue, self.symbol)
        # Only what ends in a dot is a prefix on the bus.
        whole, dot, _ = self.symbol.rpartition(".")
        return topic_of(word, self.venue, whole + dot)


def topics(rules: Iterable[Rule]) -> list[str]:
    """The topics that these rules need, and no more words than that."""
    wanted = {topic for rule in rules for word in WORDS[rule.kind] for topic in _topics(rule, word)}
    bare = {topic for topic in wanted if "." not in topic}
    return sorted(bare | {topic for topic in wanted if topic.partition(".")[0] not in bare})


def _topics(rule: Rule, word: str) -> list[str]:
    return [Pattern(text).topic(word) for text in rule.symbols] or [word]


def check_rules(rules: Iterable[Rule]) -> None:
    """Raises ConfigError for rules that can't be meant so; it names the rule."""
    names: set[str] = set()
    for count, rule in enumerate(rules, 1):
        if count > MAX_RULES:
            raise ConfigError(f"rules: at most {MAX_RULES}")
        if not _NAME.fullmatch(rule.name):
            raise ConfigError(f"rule {count}: a name has at most 64 of the characters A-Z, a-z, 0-9, '_', '.' and '-'")
        if rule.name in names:
            raise ConfigError(f"rule {rule.name}: is here twice: give one of them another name")
        names.add(rule.name)
        _check(rule)


def _check(rule: Rule) -> None:
    place = f"rule {rule.name}"
    if rule.kind == "connection_down" and rule.threshold:
        raise ConfigError(f"{place}: {rule.kind} has no threshold; `for` says how many seconds it may take")
    if rule.kind != "connection_down" and not rule.threshold:
        raise ConfigError(f"{place}: threshold must be more than 0")
    for field in msgspec.structs.fields(Rule):
        kinds = _OWN_KEYS.get(field.encode_name)
        if kinds and rule.kind not in kinds and getattr(rule, field.name) != field.default:
            raise ConfigError(f"{place}: {field.encode_name} is for {', '.join(kinds)}, not for {rule.kind}")
    if len(rule.symbols) > MAX_PATTERNS:
        raise ConfigError(f"{place}: at most {MAX_PATTERNS} symbols")
    try:
        for topic in topics([rule]):
            Topic(topic)
    except (BadAddress, ConfigError) as error:
        raise ConfigError(f"{place}: {error}") from None
