"""Every venue's channels are documented, in docs/venues.md or in the docstring of its package, and the page names what
each venue may be told, with bounds and defaults."""

from __future__ import annotations

import importlib
import re

import msgspec
import pytest

from feedbus import venues
from feedbus.errors import ConfigError
from tests.places import DOCS

TEXT = (DOCS / "venues.md").read_text()
CREDENTIALS = {"alor": {"refresh_token": "x"}}
NAMES = re.findall(r"<!-- (\w+) -->", TEXT)
"""The venues that have a table on the page. A venue whose docstring is its page needs none."""


def rows(marker: str) -> list[list[str]]:
    """The cells of the table that follows a comment, without its head."""
    found = re.search(rf"<!-- {marker} -->\n((?:\|.*\n)+)", TEXT)
    assert found, f"docs/venues.md has no table of {marker}"
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()[2:]]


def channels(row: list[str]) -> list[str]:
    return re.findall(r"`([^`]+)`", row[0])


@pytest.mark.parametrize("name", NAMES)
def test_every_channel_of_the_table_is_taken_and_the_usual_ones_are_marked(name: str) -> None:
    cls, known = venues.account_class(name), CREDENTIALS.get(name, {})
    for row in rows(name):
        for channel in channels(row):
            assert list(cls(known, (channel,)).channels) == [channel]
            assert ", ".join(cls.kinds[channel]) == row[1]
    usual = [channel for row in rows(name) if "(usual)" in row[0] for channel in channels(row)]
    assert list(cls(known, ()).channels) == usual


@pytest.mark.parametrize("name", venues.names())
def test_no_channel_is_left_out(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        venues.account_class(name)(CREDENTIALS.get(name, {}), ("no such channel",))
    listed = str(caught.value).partition("there are: ")[2].split(", ")
    page = " ".join(channel for row in rows(name) for channel in channels(row)) if name in NAMES else ""
    named = page or importlib.import_module(f"feedbus.venues.{name}").__doc__ or ""
    families = {re.split(r"[._<@]", channel)[0] for channel in listed}
    assert families
    assert {family for family in families if family not in named} == set()


@pytest.mark.parametrize("name", NAMES)
def test_the_options_are_those_of_the_venue(name: str) -> None:
    fields = msgspec.structs.fields(venues.account_class(name).Options)
    if not fields:
        assert f"<!-- {name} options -->" not in TEXT
        return
    table = {row[0].strip("`"): row for row in rows(f"{name} options")}
    assert list(table) == [field.encode_name for field in fields]
    info = msgspec.inspect.type_info(venues.account_class(name).Options)
    assert isinstance(info, msgspec.inspect.StructType)
    for field in info.fields:
        assert table[field.encode_name][2].strip("`") == str([] if field.default == () else field.default)
        if isinstance(field.type, msgspec.inspect.IntType):
            assert table[field.encode_name][1] == f"whole number, {field.type.ge} to {field.type.le}"
