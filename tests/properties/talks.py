"""Conversations with every venue, found by name, for the properties that hold of all of them.

A venue's frames come from tests/properties/samples/<venue>.py: SYMBOLS and CHANNELS, FRAMES (the venue's part of a
conversation about them, in order) and OTHERS (frames that turn a conversation). Where the venue needs them there are
CREDENTIALS besides, SELECTION (of a venue that can be asked what it lists), `answer(fetch)`, what its servers answer to
a Fetch, and SECRETS, which no text may hold; they are the values of the credentials where it isn't said.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from feedbus import venues
from feedbus.errors import VenueError
from feedbus.venues.protocol import (
    Account,
    AccountDue,
    AccountEffect,
    Effect,
    Fetch,
    FetchResponse,
    Ready,
    Send,
    Session,
)
from tests.properties.soundness import sound

SAMPLES = Path(__file__).parent / "samples"
MAX_FETCHES = 8  # answered after one call: a venue that asks again at every answer is not answered for ever

Answering = Callable[[Fetch], FetchResponse | VenueError]


@cache
def samples(name: str) -> Any:
    """What is in the samples of a venue."""
    path = SAMPLES / f"{name}.py"
    assert path.exists(), f"a venue needs samples of its frames: write {path}"
    spec = importlib.util.spec_from_file_location(f"samples_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def credentials(name: str) -> dict[str, str]:
    """What an Account of this venue needs."""
    return dict(getattr(samples(name), "CREDENTIALS", {}))


def secrets(name: str) -> list[str]:
    """What nobody may read of it."""
    return list(getattr(samples(name), "SECRETS", credentials(name).values()))


def answering(name: str) -> Answering:
    """What the venue's servers answer; the samples of one that nothing is fetched from don't say."""
    found: Answering | None = getattr(samples(name), "answer", None)
    return found or (lambda fetch: VenueError(f"{fetch} is not answered"))


def body_of(name: str, frame: bytes) -> bytes:
    """What a frame carries, where the samples of the venue say how it is taken apart; else the frame."""
    found: bytes = getattr(samples(name), "body", bytes)(frame)
    return found


def with_body(name: str, frame: bytes, body: bytes) -> bytes:
    """The frame with this in place of what it carries."""
    found: bytes = getattr(samples(name), "with_body", lambda _, body: body)(frame, body)
    return found


def discreet(effects: Iterable[Effect], hidden: Iterable[str]) -> list[Effect]:
    """The effects; no text of them holds a secret, but what is sent."""
    found = list(effects)
    for effect in found:
        for secret in hidden:
            assert isinstance(effect, Send) or secret not in f"{effect!r} {effect}"
    return found


class Talk:
    """A Session and its Account, whose every effect is looked at; what they fetch is answered at once."""

    def __init__(self, name: str, answer: Answering | None = None) -> None:
        self.name = name
        self.symbols = samples(name).SYMBOLS
        self.wanted = set(self.symbols)
        self.time = 0
        self.now = 0.0
        self.answer = answer or answering(name)
        self.account: Account = venues.account_class(name)(credentials(name), samples(name).CHANNELS)
        self.started = self.of_account(self.account.start(self.now))
        self.session: Session = self.account.session(self.symbols)
        self.opened = self.sound(self.session.opened(self.now))

    def of_account(self, effects: Iterable[AccountEffect]) -> list[Effect]:
        """Effects of the Account, and those of the answers to its Fetches."""
        found = self.looked_at(effects)
        for _ in range(MAX_FETCHES):
            fetches = [effect for effect in found if isinstance(effect, Fetch)]
            if not fetches:
                break
            found = [effect for effect in found if not isinstance(effect, Fetch)]
            for fetch in fetches:
                found += self.looked_at(self.account.fetched(fetch, self.answer(fetch), self.now))
        assert all(isinstance(effect, AccountEffect) for effect in found)
        return found

    def sound(self, effects: Iterable[Effect]) -> list[Effect]:
        """Effects of the Session, and those of the answers to its Fetches; its Account is told what concerns it."""
        found = self.looked_at(effects)
        for _ in range(MAX_FETCHES):
            todo = [effect for effect in found if isinstance(effect, Fetch | AccountDue)]
            if not todo:
                break
            found = [effect for effect in found if not isinstance(effect, Fetch | AccountDue)]
            for effect in todo:
                if isinstance(effect, Fetch):
                    found += self.looked_at(self.session.fetched(effect, self.answer(effect), self.now))
                else:
                    self.of_account(self.account.tick(self.now))
                    found += self.looked_at(self.session.tick(self.now))
        return found

    def looked_at(self, effects: Iterable[Effect]) -> list[Effect]:
        """Each as it may be."""
        return discreet(sound(effects, self.name, self.wanted, self.time), secrets(self.name))

    def frame(self, data: bytes | bytearray) -> list[Effect]:
        """A message of the venue's comes."""
        self.time += 1
        return self.sound(self.session.frame(data, self.time, self.now))

    def pause(self, seconds: float) -> list[Effect]:
        """The clock goes on, and all are woken."""
        self.now += seconds
        self.of_account(self.account.tick(self.now))
        return self.sound(self.session.tick(self.now))

    def is_ready(self) -> bool:
        """The account let us connect."""
        return any(isinstance(effect, Ready) for effect in self.started)
