"""docs/configuration.md names the keys that there are, and no others, with their bounds and defaults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from feedbus import config
from feedbus.config.model import (
    BackoffConfig,
    BudgetConfig,
    BudgetsConfig,
    BusConfig,
    Config,
    FeedConfig,
    ShardingConfig,
    TelemetryConfig,
)
from feedbus.errors import ConfigError
from feedbus.venues.listings import Selection
from tests.places import DOCS

TEXT = (DOCS / "configuration.md").read_text()
# What the file doesn't say by that name: its own path, a feed's key, and what `symbols` is made of.
ELSEWHERE = {Config: {"path", "proxies"}, FeedConfig: {"name", "selection"}}
# Said in words.
SYMBOLIC = {
    "cache_dir",
    "linger",
    "pace",
    "credentials",
    "channels",
    "sharding",
    "backoff",
    "budgets",
    "connects",
    "rest_weight",
    "subscribes",
    "messages",
    "actors",
    "telemetry",
    "boards",
    "pattern",
    "quote",
    "top",
    "sample",
    "ca_file",
    "rest",
    "auth",
    "proxy",
    "options",
}


def table(name: str) -> dict[str, dict[str, str]]:
    """The rows of the table that follows a struct's name, by key."""
    found = re.search(rf"<!-- {name} -->\n((?:\|.*\n)+)", TEXT)
    assert found, name
    head, _, *rows = ([cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines())
    return {row[0].strip("`"): dict(zip(head, row, strict=True)) for row in rows}


@pytest.mark.parametrize(
    "cls",
    [
        Config,
        BusConfig,
        TelemetryConfig,
        FeedConfig,
        Selection,
        ShardingConfig,
        BackoffConfig,
        BudgetsConfig,
        BudgetConfig,
    ],
)
def test_the_tables_name_every_key_with_its_default(cls: type[msgspec.Struct]) -> None:
    rows = table(cls.__name__)
    fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    assert set(rows) == set(fields) - ELSEWHERE.get(cls, set())
    for name, row in rows.items():
        if fields[name].required:
            assert row["default"] == "required"
        elif name not in SYMBOLIC:
            assert row["default"].strip("`") == shown(fields[name].default), name


def shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("cls", [BusConfig, FeedConfig, Selection, ShardingConfig, BackoffConfig, BudgetConfig])
def test_the_tables_say_what_numbers_may_be(cls: type[msgspec.Struct]) -> None:
    rows, info = table(cls.__name__), msgspec.inspect.type_info(cls)
    assert isinstance(info, msgspec.inspect.StructType)
    for field in info.fields:
        kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        match kinds[0]:
            case msgspec.inspect.IntType(ge=least, le=most):
                assert rows[field.name]["type"] == f"whole number, {least} to {most}"
            case msgspec.inspect.FloatType(gt=None, ge=least, le=most):
                assert rows[field.name]["type"] == f"number, {least} to {most}"
            case msgspec.inspect.FloatType(gt=least, le=most):
                assert rows[field.name]["type"] == f"number, above {least}, at most {most}"


def test_the_example_is_good_and_the_error_is_what_is_said(tmp_path: Path) -> None:
    example = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[0]
    assert config.parse(example, name="x", directory=tmp_path, environ={}).feeds[0].name == "moex"
    with pytest.raises(ConfigError) as caught:
        config.parse(example.replace("symbols", "symbol"), name="moex.yaml", directory=tmp_path, environ={})
    assert f"\nfeedbus: {caught.value}\n" in TEXT
