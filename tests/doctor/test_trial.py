"""One connection on trial: what is watched is what passes between the feed and its venue, and nothing is changed."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest
import trio

from feedbus import config
from feedbus.commands.doctor import transport
from feedbus.config import FeedConfig
from feedbus.doctor.trial import on_trial
from feedbus.errors import LoginRefused
from feedbus.venues import account_class
from tests.doctor.examined import simulated


def feed(folder: Path, keys: str) -> FeedConfig:
    text = f"bus: {{publish: 'inproc://x'}}\nfeeds: {{f: {{{keys}}}}}\n"
    return config.parse(text, name="c", directory=folder, environ={"HOME": str(folder)}).feeds[0]


async def test_a_feed_on_trial_has_one_connection_and_one_symbol(tmp_path: Path) -> None:
    symbols = "symbols: [TQBR.SBER, TQBR.GAZP], sharding: {connections: 2, per_connection: 1}"
    with trio.fail_after(20):
        async with simulated("moex", rate=20.0) as (url, _):
            tried = feed(tmp_path, f"venue: moex, url: '{url}', {symbols}")
            async with on_trial(tried, "TQBR.GAZP", *transport(tried)) as (made, running):
                assert await made.until("prepared", "opened", "ready", within=10)
                assert await made.until_answered(10)
                assert await made.until_data(10)
                assert await made.until_later(10)
                assert [connector.symbols for connector in running.connectors] == [("TQBR.GAZP",)]
                assert made.subprotocol == "STOMP"
                assert made.dialled <= made.opened <= made.ready < inf
                assert made.failure is None


async def test_the_first_failure_ends_the_trial_in_the_venues_words(tmp_path: Path) -> None:
    wrong = "credentials: {domain: a, login: b, passcode: c}"
    with trio.fail_after(20):
        async with simulated("moex") as (url, _):
            tried = feed(tmp_path, f"venue: moex, url: '{url}', symbols: [TQBR.SBER], {wrong}")
            async with on_trial(tried, "TQBR.SBER", *transport(tried)) as (made, _):
                assert not await made.until("ready", within=10)
    assert made.failure is not None
    assert isinstance(made.failure.error, LoginRefused)
    assert str(made.failure.error) == "Access denied"


@pytest.mark.parametrize("broken", ["session", "account"])
async def test_a_bug_ends_the_trial_and_is_told(broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bug(Exception):
        pass

    def crash(*_: object) -> None:
        raise Bug

    cls = account_class("moex")
    monkeypatch.setattr(cls, "session" if broken == "session" else "start", crash)
    with trio.fail_after(20):
        async with simulated("moex") as (url, _):
            tried = feed(tmp_path, f"venue: moex, url: '{url}', symbols: [TQBR.SBER]")
            async with on_trial(tried, "TQBR.SBER", *transport(tried)) as (made, _):
                assert not await made.until("ready", within=10)
    assert made.failure is not None
    assert isinstance(made.failure.error, Bug)
