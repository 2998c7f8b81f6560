"""The measurement of structures of order books: that they all do the same, and what is said of them."""

from __future__ import annotations

import random
import sys

import pytest

from tests.bench import book_structures
from tests.bench.replayed_depth import Capture
from tests.bench.structures import STRUCTURES, Changes, Level, play, top_10, top_100
from tests.bench.test_parse_binance import DEPTH, lines


def changes() -> Changes:
    chance = random.Random(1)

    def levels(first: int, count: int) -> list[Level]:
        prices = chance.sample(range(first, first + 150), count)
        return [(float(price), float(chance.randrange(3))) for price in prices]

    messages = [(levels(0, 20), levels(150, 20)) for _ in range(200)]
    return [(10.0, 1.0), (9.0, 2.0)], [(151.0, 1.0), (152.0, 2.0)], messages


@pytest.mark.parametrize("name", [name for name in STRUCTURES if name != "feedbus"])
def test_every_structure_gives_the_same_answers(name: str) -> None:
    made = changes()
    for ask in (top_10, top_100):
        try:
            answers = play(STRUCTURES[name], made, ask)[1]
        except ModuleNotFoundError as error:
            pytest.skip(f"{error.name} is in the environments of the benchmarks alone")
        assert answers == play(STRUCTURES["feedbus"], made, ask)[1]


def test_a_line_a_structure_and_one_that_answers_otherwise_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = Capture("BTCUSDT", lines(DEPTH))
    found = book_structures.compare(capture, {"feedbus": sys.executable}, 1)
    assert [line.split(" us ")[1].split()[0] for line in found] == ["1.00"]
    assert found[0].startswith("feedbus  ")

    def said(python: str, name: str, pickled: bytes) -> book_structures.Turn:
        return book_structures.Turn(1.0, [1.0] * 3, [name == "other"] * 3)

    monkeypatch.setattr(book_structures, "turn", said)
    with pytest.raises(SystemExit, match=r"other answers than feedbus: other$"):
        book_structures.compare(capture, {"feedbus": "", "other": ""}, 1)


def test_so_many_books_of_a_session_are_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_structures, "BOOKS", 3)
    assert 10 < book_structures.weigh(Capture("BTCUSDT", lines(DEPTH))) < 10_000
