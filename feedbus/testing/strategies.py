"""Hypothesis strategies for what feedbus reads: frames that were damaged on the way, messages that were lost, repeated
or reordered, and events of every kind. They know no venue. No other module of feedbus imports hypothesis, which is
installed for development only.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import NoneType
from typing import Any, TypeVar, get_type_hints

import msgspec
from hypothesis import settings
from hypothesis import strategies as st

from feedbus.schema.events import Event, MarketData

T = TypeVar("T")

USUAL_EXAMPLES = 100  # max_examples of hypothesis's default profile
MARKET_DATA: tuple[type[Event], ...] = MarketData.__args__
MAX_UINT = 2**64 - 1
TELLING = b'0129-+.eE,:;[]{}"\\ntu \n\r\0\x7f'  # bytes that text protocols such as JSON and STOMP give a meaning to

_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=8),
    int: st.integers(-(2**63), MAX_UINT),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    NoneType: st.none(),
}


def examples(count: int) -> settings:
    """Settings for `count` examples in the usual profile. With ten times its examples there are ten times as many."""
    profile = settings.default
    factor = 1.0 if profile is None else profile.max_examples / USUAL_EXAMPLES
    return settings(max_examples=max(1, round(count * factor)))


# Frames


@st.composite
def mutated(draw: st.DrawFn, frames: Sequence[bytes]) -> bytes:
    """One of these frames with a few bytes changed, inserted, left out or replaced by another frame's; it may also be
    cut short, doubled, or end in random bytes. Sometimes it is undamaged."""
    data = bytearray(draw(st.sampled_from(frames)))
    for _ in range(draw(st.integers(0, 3))):
        _damage(draw, data, frames)
    match draw(st.sampled_from(["whole", "whole", "cut", "tail", "double"])):
        case "cut":
            del data[draw(st.integers(0, len(data))) :]
        case "tail":
            data[draw(st.integers(0, len(data))) :] = draw(st.binary(max_size=20))
        case "double":
            data *= 2
    return bytes(data)


def _damage(draw: st.DrawFn, data: bytearray, frames: Sequence[bytes]) -> None:
    start = draw(st.integers(0, len(data)))
    stop = min(len(data), start + draw(st.integers(0, 4)))
    match draw(st.sampled_from(["overwrite", "overwrite", "replace", "move", "splice"])):
        case "overwrite":  # the length stays, so a decoder that only checks lengths notices nothing
            data[start:stop] = draw(_bytes(stop - start, stop - start))
        case "replace":
            data[start:stop] = draw(_bytes(0, 4))
        case "move":
            piece = bytes(data[start:stop])
            del data[start:stop]
            at = draw(st.integers(0, len(data)))
            data[at:at] = piece
        case "splice":
            other = draw(st.sampled_from(frames))
            at = draw(st.integers(0, len(other)))
            data[start:stop] = other[at : at + draw(st.integers(1, 32))]


def _bytes(least: int, most: int) -> st.SearchStrategy[bytes]:
    """Any bytes, or bytes with a meaning in text protocols, which get further into a decoder."""
    telling = st.lists(st.sampled_from(TELLING), min_size=least, max_size=most).map(bytes)
    return st.binary(min_size=least, max_size=most) | telling


def conversations(
    frames: Sequence[bytes], others: Sequence[bytes] = (), *, tail: int = 6
) -> st.SearchStrategy[list[bytes]]:
    """The beginning of a conversation as it should be, and then up to `tail` further frames: frames of it or of
    `others` in any order, some of them repeated or mutated, or random bytes."""
    anything = [*frames, *others]
    later = st.sampled_from(anything) | mutated(anything) | st.binary(max_size=60)
    begun = st.integers(0, len(frames)).map(lambda count: list(frames[:count]))
    return st.builds(lambda first, rest: first + rest, begun, st.lists(later, max_size=tail))


# Messages


@st.composite
def unreliable(draw: st.DrawFn, messages: Sequence[T]) -> list[T]:
    """These messages as an unreliable network might deliver them: some are lost, some come twice, some come late."""
    fates = draw(
        st.lists(
            st.tuples(st.sampled_from([1, 1, 1, 1, 0, 0, 2]), st.sampled_from([0, 0, 0, 1, 2, 5, len(messages)])),
            min_size=len(messages),
            max_size=len(messages),
        )
    )
    brought: list[tuple[int, T]] = []
    for at, (message, (times, late)) in enumerate(zip(messages, fates, strict=True)):
        if times:
            brought.append((at + late, message))
        if times == 2:
            brought.append((at + draw(st.integers(0, len(messages))), message))
    return [message for _, message in sorted(brought, key=lambda pair: pair[0])]


# Events


def values(wanted: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type (a type annotation) that the bus can carry. Texts and lists are kept short."""
    if wanted in _BY_TYPE:
        return _BY_TYPE[wanted]
    arguments: Any = getattr(wanted, "__args__", ())
    origin = getattr(wanted, "__origin__", None)
    if origin is list:
        return st.lists(values(arguments[0]), max_size=3)
    if origin is tuple:
        return st.tuples(*map(values, arguments))
    if origin is dict:
        return st.dictionaries(*map(values, arguments), max_size=3)
    if arguments and all(isinstance(argument, str) for argument in arguments):
        return st.sampled_from(arguments)  # a Literal
    return st.one_of(*map(values, arguments))


def events(of: type[Event]) -> st.SearchStrategy[Any]:
    """Events of one type, with any values that their fields may have."""
    hints: dict[str, Any] = get_type_hints(of)
    return st.builds(of, **{name: values(hints[name]) for name in of.__struct_fields__})


def any_event() -> st.SearchStrategy[Any]:
    """Market data of any type."""
    return st.sampled_from(MARKET_DATA).flatmap(events)


def plain(event: Event) -> list[Any]:
    """The event as a program sees it that reads msgpack and knows nothing of feedbus's types."""
    decoded: list[Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(event))
    return decoded
