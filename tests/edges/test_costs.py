"""What a message costs at most: whatever its bytes are, so many of them are read within so much time of the processor.

The messages are those of each venue's samples, blown up at a place of theirs by what costs a decoder most
(tests/properties/swollen.py), and those that the samples call `heavy`. Time is that of this process, so that others
don't count; what took too long is measured again, because a busy machine makes this process slower too.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus import venues
from feedbus.errors import VenueError
from feedbus.testing.strategies import examples
from feedbus.venues.listings import Lists
from feedbus.venues.protocol import Fetch, FetchResponse
from tests.properties.soundness import MAX_TEXT
from tests.properties.swollen import FILLINGS, places, repeated, value_at, whole, with_filling
from tests.properties.talks import Talk, answering, body_of, credentials, samples, with_body

pytestmark = pytest.mark.edge

VENUES = venues.names()
SIZE = 1_000_000
LIMIT = 0.1  # seconds for a message of SIZE bytes
TURNS = 4
SMALL = 200_000
GROWTH = 2.6  # of the time when the size doubles
TOO_SHORT = 0.02  # seconds; a cost that isn't linear is far above

Job = Callable[[], Callable[[], object]]
"""Prepares for a message, and returns what reads it."""


@pytest.fixture(autouse=True, scope="module")
def old_objects_set_aside() -> Iterator[None]:
    """The garbage collector looks at what a message makes, not at all that the other tests have left."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def seconds(job: Job) -> float:
    read = job()
    gc.collect()
    begin = time.process_time()
    read()
    return time.process_time() - begin


def check_cost(label: str, job: Job) -> None:
    spent: list[float] = []
    while len(spent) < TURNS:
        spent.append(seconds(job))
        if spent[-1] <= LIMIT:
            return
    raise AssertionError(f"{SIZE:,} bytes took {min(spent) * 1000:.0f} ms at best: {label}")


# Frames


@cache
def documents(name: str) -> list[tuple[bytes, Any]]:
    """The frames of a venue, one of each kind, with the JSON that they carry."""
    found: dict[str, tuple[bytes, Any]] = {}
    for frame in [*samples(name).FRAMES, *samples(name).OTHERS]:
        with suppress(ValueError):
            document = json.loads(body_of(name, frame))
            found.setdefault(kind_of(document), (frame, document))
    return list(found.values())


def kind_of(document: Any) -> str:
    """What documents of one kind have in common: their keys, and with which column a table begins."""
    if isinstance(document, dict):
        return str({key: value[:1] if key == "columns" else kind_of(value) for key, value in document.items()})
    return str([kind_of(item) for item in document[:1]]) if isinstance(document, list) else ""


def heavy(name: str, size: int) -> Iterator[tuple[str, bytes]]:
    """The frames that cost the most, so far as somebody knew: lists whose items come again and again, and the samples'
    own."""
    yield from getattr(samples(name), "heavy", lambda _: ())(size)
    for frame, document in documents(name):
        for path in places(document):
            value = value_at(document, path)
            if isinstance(value, list):
                for label, fill in repeated(value).items():
                    yield f"{label} at {path}", with_body(name, frame, with_filling(document, path, fill(size)))


def drawn(data: st.DataObject, document: Any) -> tuple[str, bytes]:
    """What is done to a document, and what comes out: SIZE bytes."""
    path = data.draw(st.sampled_from(list(places(document))))
    fillings = FILLINGS | repeated(value_at(document, path))
    label = data.draw(st.sampled_from(list(fillings)))
    return f"{label} at {path}", with_filling(document, path, fillings[label](SIZE))


def of_session(name: str, frame: bytes, *, live: bool = True) -> Job:
    """Reads a frame when all is subscribed, or at the begin of the conversation."""

    def prepared() -> Callable[[], object]:
        talk = Talk(name)
        for usual in samples(name).FRAMES if live else ():
            list(talk.session.frame(usual, 1, talk.now))
        return lambda: list(talk.session.frame(frame, 1, talk.now))

    return prepared


@pytest.mark.parametrize("name", VENUES)
@examples(25)
@given(data=st.data())
def test_a_message_of_a_megabyte_is_read_within_a_tenth_of_a_second(name: str, data: st.DataObject) -> None:
    frame, document = documents(name)[data.draw(st.integers(0, len(documents(name)) - 1))]
    label, body = drawn(data, document)
    check_cost(label, of_session(name, with_body(name, frame, body), live=data.draw(st.booleans())))


@pytest.mark.parametrize("name", VENUES)
def test_so_are_messages_that_are_made_to_cost_much(name: str) -> None:
    for label, frame in [*whole(SIZE), *heavy(name, SIZE)]:
        check_cost(label, of_session(name, frame))


@pytest.mark.parametrize("name", VENUES)
def test_twice_the_message_takes_twice_the_time(name: str) -> None:
    for (label, small), (_, large) in zip(heavy(name, SMALL), heavy(name, 2 * SMALL), strict=True):
        before, after = (of_session(name, frame) for frame in (small, large))
        most = len(large) / len(small) * GROWTH / 2
        assert any(grows_by_at_most(most, before, after) for _ in range(TURNS)), label


def grows_by_at_most(most: float, before: Job, after: Job) -> bool:
    took = seconds(after)
    return took < TOO_SHORT or min(took, seconds(after)) <= most * max(seconds(before) for _ in range(2))


# Answers over HTTP


def answers_over_http(name: str) -> list[tuple[bytes, Callable[[bytes], Job]]]:
    """What the venue's servers answer, and how a body in place of that is read."""

    def of_account(body: bytes) -> Job:
        def prepared() -> Callable[[], object]:
            account = venues.account_class(name)(credentials(name), samples(name).CHANNELS)
            [fetch] = account.start(0.0)
            assert isinstance(fetch, Fetch)
            return lambda: list(account.fetched(fetch, FetchResponse(200, body, 1), 0.0))

        return prepared

    def of_list(body: bytes) -> Job:
        def prepared() -> Callable[[], object]:
            account = venues.account_class(name)(credentials(name), samples(name).CHANNELS)
            assert isinstance(account, Lists)
            listing = account.listing(samples(name).SELECTION)
            fetch, *_ = listing.requests()

            def read() -> None:
                with suppress(VenueError):
                    list(listing.fetched(fetch, 200, body, 1))
                assert all(len(line) < MAX_TEXT for line in listing.problems())

            return read

        return prepared

    account = venues.account_class(name)(credentials(name), samples(name).CHANNELS)
    found: list[tuple[bytes, Callable[[bytes], Job]]] = []
    for effect in account.start(0.0):
        if isinstance(effect, Fetch):
            answer = answering(name)(effect)
            assert isinstance(answer, FetchResponse)
            found.append((answer.body, of_account))
    if isinstance(account, Lists):
        found.append((samples(name).LISTED, of_list))
    return found


@pytest.mark.parametrize("name", VENUES)
@examples(15)
@given(data=st.data())
def test_an_answer_over_http_is_read_as_fast(name: str, data: st.DataObject) -> None:
    for good, reading in answers_over_http(name):
        label, body = drawn(data, json.loads(good))
        check_cost(label, reading(body))
