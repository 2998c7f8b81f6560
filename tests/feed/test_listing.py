"""Symbols by board, from the venue and from the copy on disk."""

from __future__ import annotations

import json
import logging
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import outcome
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from feedbus.errors import BadData, ConnectFailed, TimedOut
from feedbus.feed import listing
from feedbus.feed.budgets import Hold
from feedbus.feed.fetching import Fetcher
from feedbus.feed.listing import Listed, sampled, symbols_of
from feedbus.sim import rest
from feedbus.sim.moex.catalogue import securities
from feedbus.sim.moex.rest import MoexRest, RestFailure
from feedbus.venues.listings import Selection
from feedbus.venues.moex.account import Account

ACCOUNT = Account({}, [])
BOARDS = ["TQTF", "TQBR"]
DAY_NS = 86_400_000_000_000
TODAY = 20_000 * DAY_NS


def listed_by(*boards: str) -> tuple[str, ...]:
    """The simulator's papers."""
    return tuple(paper.symbol for board in boards for paper in securities() if paper.board == board)


@asynccontextmanager
async def iss(failure: RestFailure = "none") -> AsyncIterator[str]:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            yield await nursery.start(partial(rest.serve, MoexRest(failure=failure), "127.0.0.1", 0))
            nursery.cancel_scope.cancel()


async def ask(url: str, cache: Path, now: int = TODAY, boards: Sequence[str] = BOARDS, **more: Any) -> Listed:
    """What is listed, asked through a Fetcher as a feed does."""
    fetcher = Fetcher({"rest": url}, Hold(), rate_limited=lambda error: None, wall_ns=lambda: now)
    wanted = Selection(tuple(boards), **more)
    listed = partial(symbols_of, ACCOUNT, wanted, rest=url, get=fetcher.get, cache_dir=cache, name="moex")
    async with trio.open_nursery() as nursery:
        await nursery.start(fetcher.run)
        result = await outcome.acapture(partial(listed, wall_ns=lambda: now))
        nursery.cancel_scope.cancel()
    return result.unwrap()


async def kept(cache: Path) -> str:
    """A copy was made, and the venue has gone: its address."""
    async with iss() as url:
        await ask(url, cache)
    return url


def in_folder(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def copy_in(cache: Path) -> Path:
    return cache / "moex.listing.json"


async def test_all_symbols_of_the_boards_are_listed_in_the_venue_s_order(tmp_path: Path) -> None:
    async with iss() as url:
        listed = await ask(url, tmp_path)
    assert (listed.symbols, listed.from_cache, listed.age) == (listed_by("TQTF", "TQBR"), False, 0.0)
    assert tuple(each.symbol for each in listed.instruments) == listed.symbols


async def test_pages_are_put_together(tmp_path: Path) -> None:
    async with iss() as url:
        assert (await ask(url, tmp_path, boards=["TQCB"])).symbols == listed_by("TQCB")


async def test_the_copy_is_private_and_its_folder_is_made(tmp_path: Path) -> None:
    cache = tmp_path / "var" / "feedbus"
    await kept(cache)
    assert in_folder(cache) == ["moex.listing.json"]
    assert stat.S_IMODE(copy_in(cache).stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


async def test_while_the_venue_is_away_the_copy_is_used_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = await kept(tmp_path)
    listed = await ask(url, tmp_path, now=TODAY + 3 * DAY_NS)
    assert (listed.symbols, listed.from_cache, listed.age) == (listed_by("TQTF", "TQBR"), True, 3 * 86400.0)
    assert listed.instruments
    (record,) = caplog.records
    assert record.name == "feedbus.moex"
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("no list of symbols from the venue (connect_failed: ")
    assert record.getMessage().endswith("; using the copy, 3 d old")


async def test_a_page_in_place_of_a_list_is_a_failure_like_any_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with iss("html") as url:
        with pytest.raises(BadData, match="a page of HTML"):
            await ask(url, tmp_path)
        assert not copy_in(tmp_path).exists()
    async with iss() as good:
        await ask(good, tmp_path)
    saved = json.loads(copy_in(tmp_path).read_text())
    async with iss("html") as url:
        copy_in(tmp_path).write_text(json.dumps({**saved, "rest": url}))
        assert (await ask(url, tmp_path)).from_cache
    assert "bad_data: ISS TQTF from row 0: HTTP 200: a page of HTML" in caplog.text


async def test_without_a_copy_the_venue_s_failure_is_the_answer(tmp_path: Path) -> None:
    async with iss() as url:
        pass
    with pytest.raises(ConnectFailed):
        await ask(url, tmp_path)


async def test_a_new_list_replaces_the_copy_and_its_age(tmp_path: Path) -> None:
    async with iss() as url:
        await ask(url, tmp_path)
        await ask(url, tmp_path, now=TODAY + DAY_NS)
    assert (await ask(url, tmp_path, now=TODAY + DAY_NS + 90_000_000_000)).age == 90.0


async def test_a_clock_that_went_back_gives_no_negative_age(tmp_path: Path) -> None:
    url = await kept(tmp_path)
    assert (await ask(url, tmp_path, now=TODAY - DAY_NS)).age == 0.0


async def test_a_copy_of_other_boards_or_another_venue_s_address_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = await kept(tmp_path)
    with pytest.raises(ConnectFailed):
        await ask(url, tmp_path, boards=["TQBR"])
    with pytest.raises(ConnectFailed):
        await ask("http://127.0.0.1:1", tmp_path)
    assert caplog.text.count("it is for another venue or other boards") == 2


def changed(**fields: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return change


def with_a_hostile_answer(path: Path) -> None:
    copy = json.loads(path.read_text())
    for answer in copy["answers"]:
        answer["body"] = answer["body"].replace('"SBER"', '"SB\\" and x=\\"ER"')
    path.write_text(json.dumps(copy))


def with_html(path: Path) -> None:
    copy = json.loads(path.read_text())
    copy["answers"][0]["body"] = "<html>"
    path.write_text(json.dumps(copy))


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda path: path.write_bytes(b""), "Input data was truncated"),
        (lambda path: path.write_bytes(b"\xff{"), "can't be used"),
        (lambda path: path.write_bytes(b"[" * 100_000), "can't be used"),
        (lambda path: path.write_text("[]"), "Expected `object`"),
        (lambda path: path.write_text('["TQBR.SBER"]'), "Expected `object`"),
        (changed(format=2), "it is for another venue"),
        (changed(fetched_ns="now"), "Expected `int`"),
        (changed(answers=[]), "no answer to /iss/engines"),
        (with_html, "a page of HTML"),
    ],
)
async def test_a_copy_of_another_shape_is_ignored_with_a_warning(
    damage: Callable[[Path], object], complaint: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = await kept(tmp_path)
    damage(copy_in(tmp_path))
    with pytest.raises(ConnectFailed):
        await ask(url, tmp_path)
    (record,) = caplog.records
    assert record.getMessage().startswith("the copy of the list of symbols can't be used: ")
    assert complaint in record.getMessage()


async def test_what_the_copy_says_is_checked_like_what_the_venue_says(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = await kept(tmp_path)
    with_a_hostile_answer(copy_in(tmp_path))
    symbols = (await ask(url, tmp_path)).symbols
    assert set(listed_by("TQTF", "TQBR")) - set(symbols) == {"TQBR.SBER"}
    assert not any('"' in symbol for symbol in symbols)
    assert "holds a character that a selector can't carry" in caplog.text


async def test_a_copy_that_is_too_large_is_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await kept(tmp_path)
    monkeypatch.setattr(listing, "MAX_COPY", 1000)
    with pytest.raises(ConnectFailed):
        await ask(url, tmp_path)
    assert "over 1000 bytes" in caplog.text


async def test_a_copy_that_can_not_be_read_or_written_costs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy_in(tmp_path).mkdir()
    async with iss() as url:
        assert not (await ask(url, tmp_path)).from_cache
    with pytest.raises(ConnectFailed):
        await ask(url, tmp_path)
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("the list of symbols can't be kept: ")
    assert second.startswith("the copy of the list of symbols can't be read: ")
    assert in_folder(tmp_path) == ["moex.listing.json"]


async def test_a_venue_that_never_ends_its_list_is_timed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(listing, "LIST_WITHIN", 0.2)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            serve = partial(trio.serve_tcp, silent, 0, host="127.0.0.1")
            (listener,) = await nursery.start(serve)
            with pytest.raises(TimedOut, match=r"no whole list within 0\.2 s"):
                await ask(f"http://localhost:{listener.socket.getsockname()[1]}", tmp_path)
            nursery.cancel_scope.cancel()


async def test_a_list_of_too_many_pages_is_bad_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_ANSWERS", 2)
    async with iss() as url:
        with pytest.raises(BadData, match="a list of more than 2 pages"):
            await ask(url, tmp_path)


# Samples


async def test_a_sample_is_taken_of_the_list_and_of_the_copy_alike(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with iss() as url:
        fresh = await ask(url, tmp_path, sample=20)
    assert len(fresh.symbols) == 20
    assert not caplog.records
    assert (await ask(url, tmp_path, sample=20)).symbols == fresh.symbols


async def test_fewer_symbols_than_the_sample_are_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listed = listed_by("TQTF", "TQBR")
    async with iss() as url:
        assert (await ask(url, tmp_path, sample=1500)).symbols == listed
    assert f"{len(listed)} symbols are listed, fewer than the sample of 1500" in caplog.text


SYMBOLS = st.lists(st.integers(0, 400).map(lambda number: f"TQBR.S{number}"), unique=True, min_size=1, max_size=60)


@given(SYMBOLS, st.integers(1, 70), st.randoms(use_true_random=False))
def test_a_sample_depends_on_the_symbols_alone_and_changes_by_one_when_the_list_does(
    symbols: list[str], count: int, random: Any
) -> None:
    chosen = sampled(symbols, count)
    assert len(chosen) == min(count, len(symbols))
    assert [symbol for symbol in symbols if symbol in chosen] == list(chosen)
    shuffled = random.sample(symbols, len(symbols))
    assert set(sampled(shuffled, count)) == set(chosen)
    gone = random.choice(symbols)
    without = [symbol for symbol in symbols if symbol != gone]
    assert len(set(chosen) - set(sampled(without, count))) <= 1


def test_a_sample_is_the_same_on_every_host() -> None:
    assert sampled(["TQBR.SBER", "TQBR.GAZP", "TQBR.LKOH", "TQTF.LQDT"], 2) == ("TQBR.LKOH", "TQTF.LQDT")
