"""Rules of alerting that nothing in their configuration can ever meet. Pure.

A rule is good by itself, and yet fires never: about a symbol that no feed has, about trades of a venue that sends none,
about bars of a period that nobody makes. Whoever wrote it believes to be watched over, so it is refused.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Iterable

from feedbus.alerts.rules import WORDS, Pattern, Rule, judged_words
from feedbus.analytics.options import Options as AggregatorOptions
from feedbus.config.model import Config, FeedConfig
from feedbus.config.yaml_text import MAX_QUOTED, Node, place_of, quote
from feedbus.text import hinted, mistaken
from feedbus.venues import account_class

MAX_NEAR = 20_000
"""Names that the nearest one is looked for among; the cost is proportional to their number."""

_ENDS = ".:/"


class _Source:
    """A feed as a rule sees it: the names that its events have, and their kinds."""

    def __init__(self, feed: FeedConfig) -> None:
        account = account_class(feed.venue)(feed.credentials, feed.channels, feed.options)
        self.venue = feed.venue
        # Of a channel whose kinds aren't known, anything may come.
        self.words = {word for channel in account.channels for word in account.kinds.get(channel, ("*",))}
        self.periods = {account.bar_periods[channel] for channel in account.channels if channel in account.bar_periods}
        self.check_symbol = account.check_symbol
        self.lists = feed.selection is not None
        self.symbols = sorted(feed.symbols)
        self.connections = sorted(f"{feed.name}/{number}" for number in range(feed.sharding.connections))

    def names(self, rule: Rule) -> list[str]:
        """What a rule can be about here, sorted."""
        return self.connections if rule.kind == "connection_down" else self.symbols

    def has(self, rule: Rule, pattern: Pattern) -> bool:
        """Whether a pattern of a rule can mean something here. What a venue lists isn't known before the
        start."""
        if pattern.venue not in ("", self.venue):
            return False
        if self.lists and rule.kind != "connection_down":
            return pattern.is_prefix or self.check_symbol(pattern.symbol) is None
        names = self.names(rule)
        first = bisect_left(names, pattern.symbol)
        return first < len(names) and pattern.matches(self.venue, names[first])

    def sends(self, words: Iterable[str]) -> bool:
        """Whether one of these kinds of events may come from here."""
        return "*" in self.words or not self.words.isdisjoint(words)


def refuse_unmet_rules(config: Config, document: Node) -> None:
    """Raises ConfigError for the first rule that can't be met, with the place of the rule or of its symbol."""
    sources = [_Source(feed) for feed in config.feeds]
    for name, options in config.actors.items():
        for number, rule in enumerate(getattr(options, "rules", ())):
            if isinstance(rule, Rule):
                _refuse_unmet(config, rule, sources, document, ("actors", name, "rules", number))


def _refuse_unmet(
    config: Config, rule: Rule, sources: list[_Source], document: Node, at: tuple[str | int, ...]
) -> None:
    for index, text in enumerate(rule.symbols):
        if not any(source.has(rule, Pattern(text)) for source in sources):
            raise place_of(document, *at, "symbols", index).error(
                f"rule {rule.name}: {_nobody_has(rule, text, sources)}"
            )
    if (reason := _never(config, rule, sources)) is not None:
        raise place_of(document, *at).error(f"rule {rule.name}: {reason}")


def _nobody_has(rule: Rule, text: str, sources: list[_Source]) -> str:
    """Why a symbol or a name of a connection is refused, with the nearest that there is."""
    what = "connection" if rule.kind == "connection_down" else "symbol"
    read = mistaken(text)
    reason = f"no feed has the {what} {quote(text)}{f': {read[1]}' if read else ''}"
    pattern = Pattern(read[0] if read else text)
    venues = sorted({source.venue for source in sources})
    if pattern.venue and pattern.venue not in venues:
        return f"{reason}: no feed is of venue {pattern.venue}; there are: {', '.join(venues)}"
    names = (name for source in sources if pattern.venue in ("", source.venue) for name in source.names(rule))
    return hinted(reason, _nearest(pattern, names))


def _nearest(pattern: Pattern, names: Iterable[str]) -> str:
    """The name that is nearest to a pattern, written as it is; nothing when none is near."""
    known: dict[str, str] = {}
    for name, _ in zip(names, range(MAX_NEAR), strict=False):
        end = max(name.rfind(sign) for sign in _ENDS) + 1  # of the board, the exchange or the feed
        written = name[:end] + "*" if pattern.is_prefix else name
        known.setdefault(written.upper(), written)
        if not pattern.is_prefix:
            known.setdefault(name[end:].upper(), name)
    wanted = (pattern.symbol + "*" * pattern.is_prefix)[:MAX_QUOTED].upper()
    near = difflib.get_close_matches(wanted, known, 1, cutoff=0.7)
    prefix = f"{pattern.venue}:" if pattern.venue else ""
    return f"{prefix}{known[near[0]]}" if near else ""


def _never(config: Config, rule: Rule, sources: list[_Source]) -> str | None:
    """Why a rule never fires about anything that it is about, or None when it may."""
    patterns = [Pattern(text) for text in rule.symbols]
    about = [source for source in sources if not patterns or any(source.has(rule, pattern) for pattern in patterns)]
    if rule.kind == "connection_down" or not judged_words(rule):
        return None
    if rule.kind == "volume_spike":
        return _no_bars(config, rule, about)
    words = WORDS[rule.kind]
    if any(source.sends(words) for source in about):
        return None
    return f"{rule.kind} is judged by {' or '.join(words)}, and no feed that it is about has a channel that sends them"


def _no_bars(config: Config, rule: Rule, about: list[_Source]) -> str | None:
    if rule.source == "venue":
        if any("*" in source.words or rule.period_s in source.periods for source in about):
            return None
        sent = _periods(sorted({period for source in about for period in source.periods}))
        return f"no feed that it is about has a channel that sends bars of {rule.period_s} s{sent}"
    word = {"trades": "trade", "ticker": "ticker"}[rule.source]
    if not any(source.sends([word]) for source in about):
        return f"no feed that it is about sends {word} events, which bars with source {rule.source} are made of"
    aggregator = config.actors.get("aggregator")
    if not isinstance(aggregator, AggregatorOptions):
        return "the actor aggregator makes the bars that it judges, and isn't among the actors"
    if rule.period_s not in aggregator.periods:
        made = _periods(aggregator.periods)
        return f"the aggregator makes no bars of {rule.period_s} s{made}: use one of these, or add it to its periods"
    return None


def _periods(seconds: Iterable[int]) -> str:
    shown = ", ".join(map(str, seconds))
    return f"; there are: {shown}" if shown else ""
