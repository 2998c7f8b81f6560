"""Says why a subscription has received nothing, in words for whoever waits. To find out, it tries the sockets that the
subscription dials; none of these tries waits.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

from feedbus.schema.events import Event, MarketData, kind_of
from feedbus.schema.topics import Topic, topic_of
from feedbus.text import one_line
from feedbus.urls import usual_bus

MOST_NAMED = 3
"""How many addresses, publishers or topics are named."""
MAX_KNOWN = 20
"""How many known texts are listed where none is like the one in question."""
IPC = "ipc://"

_KINDS: tuple[type[Event], ...] = get_args(MarketData)
WORDS = sorted({each.WORD for each in _KINDS})
"""The first parts of all topics on which events come."""
WORD_OF_KIND = {kind_of(each): each.WORD for each in _KINDS}


def why_silent(
    addresses: Sequence[str],
    connected: Collection[str],
    *,
    publishers: Collection[str],
    topics: Sequence[str],
    spoken: Collection[str],
) -> str:
    """Why nothing has come from these addresses, of which some are connected.

    `publishers` are the names of those whose heartbeats have come, `topics` what was subscribed, and `spoken` topics on
    which there have been events lately.
    """
    parts = _not_connected(addresses, connected)
    if publishers and connected:
        asked = "yet" if "" in topics else f"on {_listed(topics)} so far"
        parts.append(f"connected to {_listed(publishers)}, where nothing has come {asked}")
    elif connected:
        parts.append(f"connected to {_listed(connected)}, where no publisher has said anything, not even a heartbeat")
    else:
        parts += _elsewhere(addresses)
    if not addresses:
        parts.append("no address is subscribed")
    return "; ".join([*parts, *_corrections(topics, spoken)])


def why_away(addresses: Iterable[str], connected: Collection[str]) -> str:
    """Why there is no connection to those of the addresses that aren't connected; "" when all of them are."""
    return "; ".join(_not_connected(addresses, connected))


def _not_connected(addresses: Iterable[str], connected: Collection[str]) -> list[str]:
    """Why each of these addresses that isn't connected isn't."""
    away = [address for address in addresses if address not in connected]
    parts = [_unreachable(address) for address in away[:MOST_NAMED]]
    if len(away) > MOST_NAMED:
        parts.append(f"{len(away) - MOST_NAMED} more addresses aren't connected either")
    return parts


def _listed(names: Collection[str]) -> str:
    shown = [one_line(name) for name in list(names)[:MOST_NAMED]]
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(shown) + more


def _unreachable(address: str) -> str:
    """Why there is no connection to this address. Only local sockets are tried, because no other try is immediate."""
    if not address.startswith(IPC):
        return f"nobody answers at {address}"
    path = address.removeprefix(IPC)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except FileNotFoundError:
            return f"nobody listens at {address}: there is no such socket"
        except ConnectionRefusedError:
            reason = "its publisher has ended" if Path(path).is_socket() else "what is there is no socket"
            return f"nobody listens at {address}: {reason}"
        except PermissionError:
            return f"permission denied at {address}{_owners(path)}"
        except OSError as error:
            return f"can't connect to {address}: {error.strerror or error}"
    return f"whoever listens at {address} doesn't answer as a publisher"


def _owners(path: str) -> str:
    """Who may open the socket at this path, as far as we can see it."""
    try:
        return f": it belongs to the user {Path(path).owner()} and the group {Path(path).group()}"
    except (OSError, KeyError):  # in a directory that we may not search, or of somebody without a name
        return ""


def _elsewhere(addresses: Sequence[str]) -> Iterator[str]:
    """The usual addresses, of the user and of the system, where there is a socket though it isn't the one dialled."""
    for usual in dict.fromkeys((usual_bus(os.environ), usual_bus({}))):
        with suppress(OSError):  # we may not search the directory
            if usual not in addresses and Path(usual.removeprefix(IPC)).exists():
                yield f"there is a socket at {usual}"


def _corrections(topics: Iterable[str], spoken: Iterable[str]) -> Iterator[str]:
    """What may have been meant by the topics on which there have been no events."""
    heard: dict[str, dict[str, set[str]]] = {}
    """The symbols by venue and word."""
    for text in spoken:
        word, venue, symbol = (*text.split(".", 2), "", "")[:3]
        if symbol:  # heartbeats are foreign data
            heard.setdefault(venue, {}).setdefault(word, set()).add(symbol)
    for topic in [Topic(text) for text in topics if text][:MOST_NAMED]:
        if topic.word not in WORDS:
            yield f"no topic begins with {_meant(topic.word, WORDS, WORD_OF_KIND.get(topic.word))}"
        elif topic.venue and heard and topic.venue not in heard:
            yield f"nobody publishes the venue {_meant(topic.venue, heard)}"
        elif topic.venue and heard and topic.word not in heard[topic.venue]:
            others = _listed(sorted(heard[topic.venue]))
            yield f"there have been no {topic.word} events of {topic.venue} lately, only {others}"
        elif topic.exact and heard and topic.symbol not in heard[topic.venue][topic.word]:
            near = _nearest(topic.symbol, heard[topic.venue][topic.word])
            if near is not None:
                yield f"did you mean {topic_of(topic.word, topic.venue, one_line(near))}?"


def _meant(text: str, known: Collection[str], found: str | None = None) -> str:
    """The text, and which known text was probably meant by it; all of them when none is like it."""
    near = found or _nearest(text, known)
    hint = (
        f"did you mean {one_line(near)}?"
        if near
        else f"there are {', '.join(map(one_line, sorted(known)[:MAX_KNOWN]))}"
    )
    return f"{one_line(text)!r}: {hint}"


def _nearest(text: str, known: Iterable[str]) -> str | None:
    """The known text that is most similar to this one in any case of its letters; None when none is similar."""
    folded = {each.casefold(): each for each in known}
    found = get_close_matches(text.casefold(), folded, 1)
    return folded[found[0]] if found else None
