"""Replacing a file in one step."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from feedbus.feed.replaced_file import replace_file


def test_it_is_ours_alone_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "made" / "file"
    replace_file(path, b"old and long")
    with path.open("rb") as reader:
        replace_file(path, b"new")
        assert reader.read() == b"old and long"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_replaced_stays_as_it_was_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a folder"
    path.mkdir()
    (path / "kept").touch()
    with pytest.raises(OSError, match="a folder"):
        replace_file(path, b"new")
    assert list(tmp_path.iterdir()) == [path]
    assert list(path.iterdir()) == [path / "kept"]
