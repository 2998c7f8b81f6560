"""What ALOR says of an instrument: all of it at first, then what changes."""

from __future__ import annotations

from typing import Any

import pytest

from feedbus.schema.events import Instrument
from feedbus.venues.alor.instruments import InstrumentReader
from feedbus.venues.alor.payloads import DECODERS, Format

WHOLE = '{"sym":"SBER","ex":"MOEX","bd":"TQBR","st":17,"sti":"нормальный период торгов","pxmn":228.78,"pxmx":279.96}'
LISTED = Instrument("alor", "SBER", 0, 3, "RU0009029540", 10.0, 0.01, 2, "RUB", "TQBR", "CS", None)


def of(board: str | None, status: str | None) -> Instrument:
    return Instrument("alor", "SBER", 0, 7, None, None, None, None, None, board, None, status)


def read(reader: InstrumentReader, body: str, how: Format = "Slim") -> list[Instrument]:
    frame = DECODERS["instruments", how](f'{{ "data": {body}, "guid":"i1" }}'.encode())
    return list(reader.events(frame.data, "SBER", 7))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('{"sym":"SBER","pxmn":1,"pxmx":2}', []),
        ("{}", []),
        ('{"st":17}', []),
        ('{"st":"17"}', []),
        ('{"st":18}', [of("TQBR", "18")]),
        ('{"st":null}', [of("TQBR", None)]),
        ('{"bd":"SMAL","st":2}', [of("SMAL", "2")]),
    ],
)
def test_the_first_message_is_published_and_then_what_changes(change: str, said: list[Any]) -> None:
    reader = InstrumentReader({})
    assert read(reader, WHOLE) == [of("TQBR", "17")]
    assert read(reader, change) == said
    assert read(reader, change) == []


def test_simple_says_the_same() -> None:
    body = '{"symbol":"SBER","exchange":"MOEX","board":"TQBR","tradingStatus":17,"priceMin":1}'
    assert read(InstrumentReader({}), body, "Simple") == [of("TQBR", "17")]


def test_it_is_published_anew_on_a_new_subscription() -> None:
    reader = InstrumentReader({})
    read(reader, WHOLE)
    reader.begin()
    assert read(reader, WHOLE) == [of("TQBR", "17")]


def test_what_the_list_said_is_in_it_too() -> None:
    (found,) = read(InstrumentReader({"SBER": LISTED}), WHOLE)
    assert found == Instrument("alor", "SBER", 0, 7, "RU0009029540", 10.0, 0.01, 2, "RUB", "TQBR", "CS", "17")
