"""Every venue's Session, found by name: whatever comes, nothing is raised and what it yields is sound.

A venue's frames come from tests/properties/samples/<venue>.py: SYMBOLS and CHANNELS, FRAMES (the venue's part of a
conversation about them, in order) and OTHERS (frames that turn a conversation).
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus import venues
from feedbus.events import MarketEvent
from feedbus.session import Effect, Ready, Session
from feedbus.testing.strategies import conversations, examples
from tests.properties.soundness import sound

VENUES = venues.names()
PAUSES = st.sampled_from([0.0, 0.05, 1.0, 20.0, 1000.0])


@cache
def samples(name: str) -> Any:
    path = Path(__file__).parent / "samples" / f"{name}.py"
    assert path.exists(), f"a venue needs samples of its frames: write {path}"
    spec = importlib.util.spec_from_file_location(f"samples_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Conversation:
    """A Session whose every effect is looked at."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.symbols = samples(name).SYMBOLS
        self.session: Session = venues.account_class(name)({}, samples(name).CHANNELS).session(self.symbols)
        self.wanted = set(self.symbols)
        self.time = 0
        self.now = 0.0
        self.sound(self.session.opened(self.now))

    def sound(self, effects: Any) -> list[Effect]:
        return sound(effects, self.name, self.wanted, self.time)

    def frame(self, data: bytes | bytearray) -> list[Effect]:
        self.time += 1
        return self.sound(self.session.frame(data, self.time, self.now))

    def pause(self, seconds: float) -> list[Effect]:
        self.now += seconds
        return self.sound(self.session.tick(self.now))


def events(effects: list[Effect]) -> list[MarketEvent]:
    return [effect for effect in effects if isinstance(effect, MarketEvent)]


@pytest.mark.parametrize("name", VENUES)
def test_the_samples_are_a_conversation_that_goes_well(name: str) -> None:
    conversation = Conversation(name)
    effects = [effect for frame in samples(name).FRAMES for effect in conversation.frame(frame)]
    assert any(isinstance(effect, Ready) for effect in effects)
    assert {event.symbol for event in events(effects)} == conversation.wanted
    assert conversation.session.instruments() == {"live": len(conversation.wanted)}


@pytest.mark.parametrize("name", VENUES)
@examples(80)
@given(data=st.data())
def test_any_frames_in_any_order_are_taken_while_the_clock_goes_on(name: str, data: st.DataObject) -> None:
    conversation = Conversation(name)
    for frame in data.draw(conversations(samples(name).FRAMES, samples(name).OTHERS)):
        conversation.frame(frame)
        if data.draw(st.booleans()):
            conversation.pause(data.draw(PAUSES))
    assert sum(conversation.session.instruments().values()) == len(conversation.wanted)
    assert all(type(count) is int and count >= 0 for count in conversation.session.counters().values())
    conversation.sound(conversation.session.closing())


@pytest.mark.parametrize("name", VENUES)
@examples(60)
@given(data=st.data())
def test_a_frame_cut_anywhere_and_what_is_left_of_it_are_taken(name: str, data: st.DataObject) -> None:
    frames = samples(name).FRAMES
    count = data.draw(st.integers(0, len(frames) - 1))
    conversation = Conversation(name)
    for frame in frames[:count]:
        conversation.frame(frame)
    cut = data.draw(st.integers(0, len(frames[count])))
    conversation.frame(frames[count][:cut])
    conversation.frame(bytearray(frames[count][cut:]))
    conversation.frame(frames[count])


@pytest.mark.parametrize("name", VENUES)
@examples(30)
@given(data=st.data())
def test_what_was_given_up_is_not_heard_of_again_and_may_be_taken_up_again(name: str, data: st.DataObject) -> None:
    sample = samples(name)
    conversation = Conversation(name)
    for frame in data.draw(conversations(sample.FRAMES, tail=0)):
        conversation.frame(frame)
    gone = data.draw(st.sampled_from(sample.SYMBOLS))
    conversation.sound(conversation.session.unsubscribe([gone], conversation.now))
    conversation.wanted.discard(gone)
    for frame in data.draw(conversations(sample.FRAMES, sample.OTHERS)):
        conversation.frame(frame)
    conversation.pause(data.draw(PAUSES))
    assert sum(conversation.session.instruments().values()) == len(conversation.wanted)
    conversation.wanted.add(gone)
    conversation.sound(conversation.session.subscribe([gone], conversation.now))
    for frame in data.draw(conversations(sample.FRAMES, sample.OTHERS)):
        conversation.frame(frame)
    conversation.sound(conversation.session.unsubscribe(sample.SYMBOLS, conversation.now))
    assert conversation.session.instruments() == {}


@pytest.mark.parametrize("name", VENUES)
@examples(30)
@given(data=st.data())
def test_bytes_and_bytearrays_are_the_same_and_are_left_as_they_are(name: str, data: st.DataObject) -> None:
    first, second = Conversation(name), Conversation(name)
    for frame in data.draw(conversations(samples(name).FRAMES, samples(name).OTHERS)):
        same = bytearray(frame)
        assert list(map(repr, first.frame(frame))) == list(map(repr, second.frame(same)))
        assert same == frame
