"""Feeds, as their venues judge them. What is refused is in tests/config/broken."""

from __future__ import annotations

from pathlib import Path

import trustme

from feedbus.config import feeds
from feedbus.config.model import BudgetConfig, BudgetsConfig, FeedConfig
from feedbus.config.yaml_text import YamlReader, compose
from feedbus.venues.listings import Selection

FEED = "moex: {venue: moex, url: 'wss://h/', symbols: [TQBR.SBER]}"


def read(text: str, directory: Path = Path("/nowhere")) -> tuple[FeedConfig, ...]:
    return feeds.read(YamlReader({}), compose(text, "f"), directory)


def test_a_feed_has_the_name_of_its_key() -> None:
    assert [feed.name for feed in read(FEED + "\n" + FEED.replace("moex", "a-b_2", 1))] == ["moex", "a-b_2"]


def test_a_feed_of_boards_has_no_symbols_yet() -> None:
    feed = read(FEED.replace("[TQBR.SBER]", "{boards: [TQBR, TQTF], sample: 40}"))[0]
    assert (feed.symbols, feed.selection) == ((), Selection(("TQBR", "TQTF"), sample=40))


def test_a_ca_file_is_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    assert read(FEED.replace("}", ", ca_file: ca.pem}"), tmp_path)[0].ca_file == str(tmp_path / "ca.pem")


def test_every_transport_is_taken() -> None:
    assert read(FEED.replace("}", ", transport: trio-websocket}"))[0].transport == "trio-websocket"
    assert read(FEED.replace("}", ", transport: sansio, compression: True}"))[0].compression is True


def test_a_budget_replaces_the_venues() -> None:
    feed = read(FEED.replace("}", ", budgets: {connects: {count: 300, per_s: 300}}}"))[0]
    assert feed.budgets == BudgetsConfig(BudgetConfig(300, 300.0))
    assert read(FEED)[0].budgets.connects is None
