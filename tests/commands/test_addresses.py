"""Which addresses the subscribing commands follow."""

from __future__ import annotations

from pathlib import Path

import pytest

from feedbus.commands.addresses import addresses

CONFIG = """\
bus: {publish: "ipc:///tmp/f/events.ipc"}
feeds:
  one: {venue: moex, url: "ws://127.0.0.1:1/", symbols: [TQBR.SBER]}
  two: {venue: moex, url: "ws://127.0.0.1:1/", symbols: [TQBR.GAZP]}
"""


def test_a_configuration_has_an_address_for_each_publisher(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    found = addresses(None, str(tmp_path / "c.yaml"))
    assert list(found) == ["ipc:///tmp/f/events.ipc", "ipc:///tmp/f/events.ipc.two"]


def test_given_addresses_are_taken_as_they_are() -> None:
    assert addresses(["ipc://a", "ipc://b"], None) == ["ipc://a", "ipc://b"]


def test_without_either_it_is_the_usual_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert addresses(None, None) == ["ipc:///run/user/7/feedbus/events.ipc"]
