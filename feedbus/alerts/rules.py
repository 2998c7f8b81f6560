"""The rules as an operator writes them in the configuration.

A rule has a kind, a threshold and patterns of symbols. This module says what a rule may hold, checks that it makes
sense, matches its patterns against instruments, and works out which topics have to be subscribed to. It is pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from feedbus.errors import BadAddress, ConfigError
from feedbus.schema.events import UNUSABLE_STATES, Status
from feedbus.schema.topics import Topic, topic_of

RuleKind = Literal[
    "stale", "not_live", "connection_down", "wide_spread", "crossed_book", "large_trade", "price_jump", "volume_spike"
]
NotLiveState = Literal["unsubscribed", "resyncing", "gapped", "stale", "delayed", "closed", "quiet"]
"""The states of trust but live, the worst first."""
Severity = Literal["info", "warning", "critical"]
RuleSeconds = Annotated[float, Meta(ge=0, le=86400)]

MAX_RULES = 64
MAX_PATTERNS = 1000
"""Symbols of one rule."""

WORDS: dict[str, tuple[str, ...]] = {
    "stale": ("trade", "quote", "book", "ticker"),
    "not_live": (),
    "connection_down": ("feed",),
    "wide_spread": ("quote", "book", "ticker"),
    "crossed_book": ("book",),
    "large_trade": ("trade",),
    "price_jump": ("trade", "ticker"),
    "volume_spike": ("bar",),
}
"""The topic words of the events that each kind of rule judges. Rules about instruments read the word `status` besides,
since what may not be used isn't judged; `stale` without a threshold reads that alone."""

KNOWS_OUTAGES = frozenset({"price_jump"})
"""The kinds of rules that read the word `feed` besides, because they compare nothing over an outage."""

JUDGE_BOOKS = frozenset({"wide_spread", "crossed_book"})
"""The kinds of rules for which books are kept."""

DEFAULT_STATES = tuple(state for state in get_args(NotLiveState) if state in UNUSABLE_STATES)
"""The states that not_live is about where its rule names none."""

NO_THRESHOLD: dict[str, str] = {
    "connection_down": "`for` says how many seconds it may take",
    "crossed_book": "a book is crossed or it isn't",
    "not_live": "`states` says which states it is about, and `for` how many seconds they may last",
}
"""The kinds of rules that have no threshold, and why."""

MAY_HAVE_THRESHOLD = frozenset({"stale"})
"""The kinds of rules that do without a threshold as well."""

NOTIONAL = "notional"
"""A rule of this `of` reads the word `instrument` besides, for the lots."""

# The keys that only some kinds of rules take, and these kinds. Other keys are for every kind.
_OWN_KEYS: dict[str, tuple[str, ...]] = {
    "of": ("large_trade",),
    "window": ("price_jump",),
    "bars": ("volume_spike",),
    "period_s": ("volume_spike",),
    "source": ("volume_spike",),
    "states": ("not_live",),
    "for": ("stale", "not_live", "connection_down", "wide_spread", "crossed_book", "price_jump"),
    "resolve_at": ("wide_spread", "price_jump"),
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
# A venue's name is in lower case, so that a symbol that has a colon itself ("MOEX:SBER") can be told from it.
_VENUE = re.compile(r"[a-z][a-z0-9_-]*")


class Rule(msgspec.Struct, frozen=True, rename={"for_": "for"}):
    """One rule of the configuration.

    threshold  in the unit of the kind: seconds (stale, where 0 is no bound beside the status), per cent (wide_spread,
               price_jump), the venue's unit of size or the quote currency (large_trade), a factor (volume_spike);
               connection_down, crossed_book and not_live have none
    name       what alerts call the rule; the kind when nothing is given
    severity   is passed on to the alerts as it is
    symbols    the instruments that the rule is about, such as `TQBR.SBER`, `moex:TQBR.SBER`, `TQBR.*` or `moex:*`; for
               connection_down names of connections; none means all
    for_       `for` in the file: seconds for which the condition must hold before the rule fires
    resolve_at wide_spread, price_jump: what the value must fall to before the alert is resolved, in the unit of the
               threshold and below it; None is the threshold itself. It keeps a value that swings around the threshold
               from firing again and again
    keep_firing_for  seconds for which the condition must have ended before the alert is resolved
    cooldown   seconds after a resolve in which the rule doesn't fire; of large_trade and volume_spike, after which they
               are resolved
    states     not_live: the states of trust in which it fires
    of         large_trade: whether the size or the notional value (price times size times lot) of a trade is compared
    window     price_jump: how many seconds it looks back
    bars       volume_spike: how many final bars make the mean
    period_s   volume_spike: the length in seconds of the bars that are judged
    source     volume_spike: what the bars that are judged are made of
    """

    kind: RuleKind
    threshold: Annotated[float, Meta(ge=0, le=1e15)] = 0.0
    name: str = ""
    severity: Severity = "warning"
    symbols: Annotated[tuple[str, ...], Meta(max_length=MAX_PATTERNS)] = ()
    for_: RuleSeconds = 0.0
    resolve_at: Annotated[float, Meta(ge=0, le=1e15)] | None = None
    keep_firing_for: RuleSeconds = 0.0
    cooldown: RuleSeconds = 60.0
    of: Literal["size", "notional"] = "size"
    window: Annotated[float, Meta(ge=1, le=86400)] = 60.0
    bars: Annotated[int, Meta(ge=1, le=1000)] = 20
    period_s: Annotated[int, Meta(ge=1, le=86400)] = 60
    source: Literal["trades", "ticker", "venue"] = "trades"
    states: Annotated[tuple[NotLiveState, ...], Meta(min_length=1, max_length=7)] = DEFAULT_STATES

    def __post_init__(self) -> None:
        if not self.name:
            msgspec.structs.force_setattr(self, "name", self.kind)


class Pattern:
    """One entry of `symbols`: an exact symbol or a prefix, of one venue or of all."""

    __slots__ = ("is_prefix", "symbol", "venue")

    def __init__(self, text: str) -> None:
        """Raises ConfigError for a text that could never match anything."""
        before, colon, after = text.partition(":")
        self.venue, rest = (before, after) if colon and _VENUE.fullmatch(before) else ("", text)
        self.is_prefix = rest.endswith("*")
        self.symbol = rest.removesuffix("*")
        if not rest or "*" in self.symbol or not text.isprintable():
            raise ConfigError(f"symbols: {text[:40]!r} is neither SYMBOL nor PREFIX*, with VENUE: before it or without")

    def matches(self, venue: str, symbol: str) -> bool:
        """Whether the instrument or connection of this name is meant."""
        if self.venue and venue != self.venue:
            return False
        return symbol.startswith(self.symbol) if self.is_prefix else symbol == self.symbol

    def topic(self, word: str) -> str:
        """Returns the topic to subscribe to for a topic word. It brings everything that the pattern matches, and more
        where the bus can't be asked so exactly."""
        if not self.venue:
            return word
        if not self.is_prefix:
            return topic_of(word, self.venue, self.symbol)
        # On the bus only a topic that ends in a dot is a prefix, so what follows the last dot is left out.
        whole, dot, _ = self.symbol.rpartition(".")
        return topic_of(word, self.venue, whole + dot)


def judged_words(rule: Rule) -> tuple[str, ...]:
    """Returns the topic words of the events that a rule judges, without statuses."""
    return () if rule.kind in MAY_HAVE_THRESHOLD and not rule.threshold else WORDS[rule.kind]


def topics(rules: Iterable[Rule]) -> list[str]:
    """Returns the topics that these rules need, sorted. Where one rule needs all of a topic word, the narrower topics
    of that word are left out."""
    wanted = {topic for rule in rules for word in _words(rule) for topic in _topics(rule, word)}
    bare = {topic for topic in wanted if "." not in topic}
    return sorted(bare | {topic for topic in wanted if topic.partition(".")[0] not in bare})


def _words(rule: Rule) -> tuple[str, ...]:
    besides = ("feed",) * (rule.kind in KNOWS_OUTAGES) + (Status.WORD,) * (rule.kind != "connection_down")
    return judged_words(rule) + besides + ("instrument",) * (rule.of == NOTIONAL)


def _topics(rule: Rule, word: str) -> list[str]:
    patterns = [Pattern(text) for text in rule.symbols]
    if word == "feed" and rule.kind != "connection_down":
        # The rule is about instruments, and any connection of their venues may carry them.
        return [topic_of(word, pattern.venue, "") if pattern.venue else word for pattern in patterns] or [word]
    return [pattern.topic(word) for pattern in patterns] or [word]


def check_rules(rules: Iterable[Rule]) -> None:
    """Raises ConfigError, which names the rule, when a rule makes no sense or two rules have the same name."""
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
    if rule.kind in NO_THRESHOLD and rule.threshold:
        raise ConfigError(f"{place}: {rule.kind} has no threshold; {NO_THRESHOLD[rule.kind]}")
    if rule.kind not in NO_THRESHOLD and rule.kind not in MAY_HAVE_THRESHOLD and not rule.threshold:
        raise ConfigError(f"{place}: threshold must be more than 0")
    if rule.resolve_at is not None and rule.resolve_at >= rule.threshold:
        raise ConfigError(f"{place}: resolve_at must be below the threshold")
    for field in msgspec.structs.fields(Rule):
        kinds = _OWN_KEYS.get(field.encode_name)
        if kinds and rule.kind not in kinds and getattr(rule, field.name) != field.default:
            raise ConfigError(f"{place}: {field.encode_name} is for {', '.join(kinds)}, not for {rule.kind}")
    if len(set(rule.states)) < len(rule.states):
        raise ConfigError(f"{place}: states: one is there twice")
    if len(rule.symbols) > MAX_PATTERNS:
        raise ConfigError(f"{place}: at most {MAX_PATTERNS} symbols")
    try:
        for topic in topics([rule]):
            Topic(topic)
    except (BadAddress, ConfigError) as error:
        raise ConfigError(f"{place}: {error}") from None
