"""The page about trust is held to the code: the states and the reasons that there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import get_args

import pytest

import feedbus
from feedbus import venues
from feedbus.schema.events import TRUST_REASONS, UNUSABLE_STATES, Gap, MarketData, Quote, Status, TrustState
from feedbus.trust.readers_trust import UNHEARD, Trust
from tests.places import DOCS

CREDENTIALS = {"alor": {"refresh_token": "x"}}
PAGE = (DOCS / "trust.md").read_text()


def test_the_states_stand_on_the_page_in_their_order_and_with_what_they_mean_for_the_price() -> None:
    table = PAGE.partition("| state | what it means |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", table, re.MULTILINE)
    assert [state for state, _ in rows] == list(get_args(TrustState))
    assert {state for state, used in rows if used == "no"} == UNUSABLE_STATES


def test_every_reason_stands_on_the_page_with_states_that_there_are() -> None:
    table = PAGE.partition("| state | reason |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (`.*?`) \|(?: `(\w+)`)? \| ", table, re.MULTILINE)
    assert {reason for _, reason in rows} == set(TRUST_REASONS)
    assert {state for states, _ in rows for state in re.findall(r"\w+", states)} <= set(get_args(TrustState))


MESSAGES: list[MarketData | Gap] = [
    Quote("moex", "TQBR.SBER", 1, 2, 300.5, 1.0, 300.6, 1.0, None),
    Status("moex", "TQBR.SBER", 0, 2, "live", "", 1, 1, "quote"),
    Quote("moex", "TQBR.SBER", 1, 2, 300.5, 1.0, 300.7, 1.0, None),
    Gap("", "moex", 1, None, None, "silent"),
    Quote("moex", "TQBR.SBER", 1, 2, 300.5, 1.0, 300.8, 1.0, None),
]


def test_the_example_runs_as_it_stands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a bus that ends, with a message for each of these events."""

    @contextmanager
    def subscribe_sync(*, topics: list[str]) -> Iterator[SimpleNamespace]:
        assert topics == ["quote", "status"]
        header = SimpleNamespace(publisher="moex")
        yield SimpleNamespace(messages=lambda: [(header, [event]) for event in MESSAGES])

    monkeypatch.setattr(feedbus, "subscribe_sync", subscribe_sync)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "trust.md", "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "TQBR.SBER may not be used: resyncing unheard",
        "TQBR.SBER 300.5 300.7 live",
        "TQBR.SBER may not be used: resyncing publisher_silent",
    ]


def test_what_a_reader_finds_out_itself_stands_on_the_page() -> None:
    table = PAGE.partition("| what came |")[2].partition("\n\n")[0]
    found = {UNHEARD.reason}
    for cause in ("lost", "heartbeat", "restart", "silent"):
        trust = Trust()
        trust.add_status("p", Status("v", "S", 0, 0, "live", "", 1, 1, "book"))
        trust.add_gap(Gap("", "p", 1, None, None, cause), 2)
        found.add(trust.trust("v", "S").reason)
        assert f"`{cause}`" in table
    assert set(re.findall(r": `(\w+)` \|", table)) == found


def test_the_table_of_losses_has_every_channel_that_is_checked_and_no_other() -> None:
    table = PAGE.partition("<!-- losses -->")[2].partition("\n\n")[0]
    told = re.findall(r"^\| `(\w+)` \| (.*?) \|", table, re.MULTILINE)
    for venue in venues.names():
        account = venues.account_class(venue)(CREDENTIALS.get(venue, {}), [], None)
        named = {name for of, channels in told if of == venue for name in re.findall(r"`(\w+)`", channels)}
        kinds = {word for channel in account.evidence for word in account.kinds[channel]}
        rest = {channel for channel in account.evidence if channel not in named}
        assert named <= account.evidence.keys()
        assert all(channel.startswith(("depth", "kline_", "ticker", "miniTicker")) for channel in rest)
        assert not rest or {"ticker", "bar"} <= kinds
