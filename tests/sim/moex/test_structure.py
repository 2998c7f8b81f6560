"""The catalogue that CONNECTED carries."""

from __future__ import annotations

import msgspec

from feedbus.sim.moex.structure import connected_body, resources
from feedbus.sim.moex.wire import BOOK_COLUMNS, SEARCH_COLUMNS, SECURITIES_COLUMNS


def test_the_body_is_about_as_large_as_the_exchanges() -> None:
    assert 100_000 <= len(connected_body()) <= 108_000


def test_the_body_has_the_two_keys_and_every_market() -> None:
    body = msgspec.json.decode(connected_body())
    assert list(body) == ["version", "structure"]
    assert set(body["structure"]) == {
        "MONEY", "MXCX", "SRATES", "SEARCH", "INDICES", "CBRF", "FIXING", "OPTIONS", "MXAGRO", "FORTS", "COMMON",
        "MXSE", "MXSEBB",
    }  # fmt: skip


def test_the_simulated_streams_are_declared_with_the_columns_that_are_sent() -> None:
    structure = msgspec.json.decode(connected_body())["structure"]
    streams = {stream["name"]: stream for stream in structure["MXSE"]["streams"]}
    assert tuple(column["name"] for column in streams["orderbooks"]["output"]) == BOOK_COLUMNS
    assert tuple(column["name"] for column in streams["securities"]["output"]) == SECURITIES_COLUMNS
    assert [param["name"] for param in streams["securities"]["params"]] == ["TICKER", "LANGUAGE"]
    assert streams["securities"]["params"][1]["optional"] is True
    (search,) = structure["SEARCH"]["queries"]
    assert tuple(column["name"] for column in search["output"]) == SEARCH_COLUMNS


def test_every_enum_that_a_field_names_is_declared_in_its_market() -> None:
    for market in msgspec.json.decode(connected_body())["structure"].values():
        declared = {enum["name"] for enum in market.get("enums", [])}
        for resource in (*market.get("streams", []), *market.get("queries", [])):
            for field in (*resource["output"], *resource["params"]):
                assert (field["type"] == "enum") == ("enum" in field)
                assert field.get("enum") in declared | {None}


def test_resources_are_named_by_market_and_stream() -> None:
    assert {
        "MXSE.orderbooks",
        "MXSE.securities",
        "FORTS.candles",
        "SEARCH.ticker",
        "COMMON.news.content",
    } <= resources()
    assert "FORTS.orderbooks" not in resources()
    assert "MXSE.lasttrades" not in resources()
