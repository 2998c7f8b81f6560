"""Every venue's Session, found by name: whatever comes, nothing is raised and what it yields is sound.

What is in the samples of a venue is said in tests/properties/talks.py.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus import venues
from feedbus.errors import BadData, TimedOut, VenueError
from feedbus.schema.events import MarketEvent
from feedbus.testing.strategies import conversations, examples, mutated
from feedbus.venues.protocol import Effect, Fetch, FetchResponse, Ready, Resync, Subscription
from tests.properties.talks import Talk, answering, body_of, samples, with_body

VENUES = venues.names()
NUMBER = re.compile(rb"""(?<=[\[,:"])(-?[0-9]+\.?[0-9]*)(?=[\],}"])""")
PAUSES = st.sampled_from([0.0, 0.05, 1.0, 20.0, 1000.0])


def events(effects: list[Effect]) -> list[MarketEvent]:
    return [effect for effect in effects if isinstance(effect, MarketEvent)]


@pytest.mark.parametrize("name", VENUES)
def test_the_samples_are_a_conversation_that_goes_well(name: str) -> None:
    talk = Talk(name)
    effects = [*talk.opened, *(effect for frame in samples(name).FRAMES for effect in talk.frame(frame))]
    assert any(isinstance(effect, Ready) for effect in effects)
    assert {event.symbol for event in events(effects)} == talk.wanted
    assert talk.session.instruments() == {"live": len(talk.wanted)}


@pytest.mark.parametrize("name", VENUES)
def test_each_frame_that_turns_a_talk_is_taken_at_its_beginning_and_at_its_end(name: str) -> None:
    beginnings: tuple[list[bytes], ...] = ([], samples(name).FRAMES)
    for begun in beginnings:
        for frame in samples(name).OTHERS:
            talk = Talk(name)
            for usual in begun:
                talk.frame(usual)
            talk.frame(frame)
            assert sum(talk.session.instruments().values()) == len(talk.wanted)


@pytest.mark.parametrize("name", VENUES)
@examples(25)
@given(data=st.data())
def test_any_frames_in_any_order_are_taken_while_the_clock_goes_on(name: str, data: st.DataObject) -> None:
    talk = Talk(name)
    for frame in data.draw(conversations(samples(name).FRAMES, samples(name).OTHERS)):
        talk.frame(frame)
        if data.draw(st.booleans()):
            talk.pause(data.draw(PAUSES))
    assert sum(talk.session.instruments().values()) == len(talk.wanted)
    assert all(type(count) is int and count >= 0 for count in talk.session.counters().values())
    talk.sound(talk.session.closing())


@pytest.mark.parametrize("name", VENUES)
@examples(20)
@given(data=st.data())
def test_a_frame_cut_anywhere_and_what_is_left_of_it_are_taken(name: str, data: st.DataObject) -> None:
    frames = samples(name).FRAMES
    count = data.draw(st.integers(0, len(frames) - 1))
    talk = Talk(name)
    for frame in frames[:count]:
        talk.frame(frame)
    cut = data.draw(st.integers(0, len(frames[count])))
    talk.frame(frames[count][:cut])
    talk.frame(bytearray(frames[count][cut:]))
    talk.frame(frames[count])


@pytest.mark.parametrize("name", VENUES)
@examples(15)
@given(data=st.data())
def test_what_was_given_up_is_not_heard_of_again_and_may_be_taken_up_again(name: str, data: st.DataObject) -> None:
    sample = samples(name)
    talk = Talk(name)
    for frame in data.draw(conversations(sample.FRAMES, tail=0)):
        talk.frame(frame)
    gone = data.draw(st.sampled_from(sample.SYMBOLS))
    talk.sound(talk.session.unsubscribe([gone], talk.now))
    talk.wanted.discard(gone)
    for frame in data.draw(conversations(sample.FRAMES, sample.OTHERS)):
        talk.frame(frame)
    talk.pause(data.draw(PAUSES))
    assert sum(talk.session.instruments().values()) == len(talk.wanted)
    talk.wanted.add(gone)
    talk.sound(talk.session.subscribe([gone], talk.now))
    for frame in data.draw(conversations(sample.FRAMES, sample.OTHERS)):
        talk.frame(frame)
    talk.sound(talk.session.unsubscribe(sample.SYMBOLS, talk.now))
    assert talk.session.instruments() == {}


@pytest.mark.parametrize("name", VENUES)
@examples(15)
@given(data=st.data())
def test_what_is_got_anew_touches_no_other_and_all_of_it_is_wanted_still(name: str, data: st.DataObject) -> None:
    sample = samples(name)
    talk = Talk(name)
    for frame in data.draw(conversations(sample.FRAMES, tail=0)):
        talk.frame(frame)
    before = talk.session.instruments()
    symbol = data.draw(st.sampled_from(sample.SYMBOLS))
    chosen = [Subscription(channel, symbol) for channel in data.draw(st.sets(st.sampled_from(sample.CHANNELS)))]
    effects = talk.sound(talk.session.resubscribe(chosen, "silent", talk.now))
    anew = [effect for effect in effects if isinstance(effect, Resync)]
    assert len(anew) == len(set(anew))
    assert {effect.subscription for effect in anew} <= set(chosen)
    after = talk.session.instruments()
    assert sum(max(0, before[state] - after.get(state, 0)) for state in before) <= (1 if anew else 0)
    for frame in data.draw(conversations(sample.FRAMES, sample.OTHERS)):
        talk.frame(frame)
    talk.pause(data.draw(PAUSES))
    assert sum(talk.session.instruments().values()) == len(talk.wanted)


@pytest.mark.parametrize("name", VENUES)
@examples(15)
@given(data=st.data())
def test_bytes_and_bytearrays_are_the_same_and_are_left_as_they_are(name: str, data: st.DataObject) -> None:
    first, second = Talk(name), Talk(name)
    for frame in data.draw(conversations(samples(name).FRAMES, samples(name).OTHERS)):
        same = bytearray(frame)
        assert list(map(repr, first.frame(frame))) == list(map(repr, second.frame(same)))
        assert same == frame


ODD_NUMBERS = st.sampled_from(
    [
        "0",
        "-0.0",
        "-1",
        "-37.63",
        "1e100",
        "-1e100",
        "1e99",
        "1e308",
        "1e400",
        "5e-324",
        "null",
        "true",
        "9223372036854775808",
        "NaN",
    ]
)


@pytest.mark.parametrize("name", VENUES)
@examples(15)
@given(data=st.data())
def test_whatever_numbers_a_frame_has_its_events_are_sound(name: str, data: st.DataObject) -> None:
    """Written as a number or as a text, in place of one, of some or of all numbers of the frame."""
    frames = samples(name).FRAMES
    talk = Talk(name)
    for frame in frames:
        talk.frame(frame)
    for frame in data.draw(st.lists(st.sampled_from(frames), min_size=1, max_size=2)):
        odd, share = data.draw(ODD_NUMBERS).encode(), data.draw(st.sampled_from([1, 2, 3, 7, 30]))
        begin = data.draw(st.integers(0, share - 1))
        parts = NUMBER.split(body_of(name, frame))  # every second part is a number
        parts[1 + 2 * begin :: 2 * share] = [odd] * len(parts[1 + 2 * begin :: 2 * share])
        talk.frame(with_body(name, frame, b"".join(parts)))


FAILURES = st.sampled_from([VenueError("refused"), TimedOut("no answer within 10 s"), BadData("body", "cut short")])
STATUSES = st.sampled_from([200, 200, 200, 204, 301, 400, 401, 403, 404, 418, 429, 500, 503])


@st.composite
def answers(draw: st.DrawFn, name: str, fetch: Fetch) -> FetchResponse | VenueError:
    """The venue's answer, the same damaged or with another status, garbage, or a failure."""
    good = answering(name)(fetch)
    bodies = st.binary(max_size=40)
    if isinstance(good, FetchResponse):
        bodies = st.just(good.body) | mutated([good.body]) | bodies
    garbage = st.builds(FetchResponse, STATUSES, bodies, st.just(1))
    return draw(st.just(good) | garbage | FAILURES)


@pytest.mark.parametrize("name", VENUES)
@examples(15)
@given(data=st.data())
def test_whatever_is_answered_to_what_is_fetched_is_taken(name: str, data: st.DataObject) -> None:
    talk = Talk(name, lambda fetch: data.draw(answers(name, fetch)))
    for frame in data.draw(conversations(samples(name).FRAMES, samples(name).OTHERS)):
        talk.frame(frame)
        talk.pause(data.draw(PAUSES))
    assert sum(talk.session.instruments().values()) == len(talk.wanted)


@pytest.mark.parametrize("name", VENUES)
@examples(15)
@given(data=st.data())
def test_an_answer_that_nobody_waits_for_is_taken(name: str, data: st.DataObject) -> None:
    talk = Talk(name)
    strangers = st.sampled_from([Fetch("/nothing/asked?for=it"), Fetch("/refresh", "auth", "POST", b"{}")])
    for frame in data.draw(conversations(samples(name).FRAMES, tail=2)):
        talk.frame(frame)
        fetch = data.draw(strangers)
        said = data.draw(st.builds(FetchResponse, STATUSES, st.binary(max_size=40), st.just(1)) | FAILURES)
        talk.sound(talk.session.fetched(fetch, said, talk.now))
        talk.of_account(talk.account.fetched(fetch, said, talk.now))
    talk.pause(data.draw(PAUSES))
