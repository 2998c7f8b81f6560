"""Options of a venue that are good by themselves and yet do nothing in their feed. Pure.

An option may be about some of the venue's channels, and it may name symbols. When the feed has none of these channels,
or hasn't got such a symbol, nothing comes of it. Whoever wrote it believes that it works, so it is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from feedbus.config import symbols
from feedbus.config.judged import refuse_each
from feedbus.config.yaml_text import Node, YamlMapping, YamlReader, YamlScalar, YamlSequence
from feedbus.text import hinted
from feedbus.venues.listings import Names
from feedbus.venues.protocol import Account


def refuse_idle(reader: YamlReader, node: Node, account: Account, wanted: symbols.Wanted) -> None:
    """Raises ConfigError for the first option that does nothing in a feed of this account that wants these symbols.

    `node` is the mapping of the options, which is known to fit the struct of the account's options.
    """
    channels: Mapping[str, Collection[str]] = getattr(account.Options, "ABOUT_CHANNELS", {})
    naming: Collection[str] = getattr(account.Options, "NAMES_SYMBOLS", ())
    for name, child in reader.table(node).items():
        if reader.nothing(child):
            continue
        if name in channels and not set(channels[name]).intersection(account.channels):
            raise child.place.error(_without(channels[name]))
        if name in naming:
            refuse_each(lambda symbol: _problem(symbol, account, wanted), _named(reader, child), "symbol")


def _without(channels: Collection[str]) -> str:
    if len(channels) == 1:
        return f"has no effect without the channel {next(iter(channels))}: add it to channels, or leave this option out"
    shown = ", ".join(channels)
    return f"has no effect without one of the channels {shown}: add one of them to channels, or leave this option out"


def _named(reader: YamlReader, node: Node) -> dict[str, YamlScalar]:
    """The symbols of an option that is a list of them, or has a value for some of them. One that is neither is about
    all symbols."""
    if isinstance(node, YamlSequence):
        return symbols.listed(reader, node, "symbol")
    if isinstance(node, YamlMapping):
        return {name: YamlScalar(child.place, name) for name, child in node.entries.items()}
    return {}


def _problem(symbol: str, account: Account, wanted: symbols.Wanted) -> str | None:
    """Why an option can't be about this symbol. Which symbols a selection has isn't known before the start."""
    if (reason := account.check_symbol(symbol)) is not None:
        return reason
    if wanted.selection is not None or symbol in wanted.symbols:
        return None
    near = Names(wanted.symbols).nearest(symbol, 1)
    return hinted("is none of this feed's symbols", near[0] if near else "")
