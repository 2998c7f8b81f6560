"""Reading what is a file, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from feedbus.config.files import read_regular


def test_a_file_is_read_up_to_the_limit_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abcdef")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "file", 100) == b"abcdef"
    assert read_regular(tmp_path / "link", 4) == b"abcd"


def test_a_pipe_a_device_and_a_folder_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null"), tmp_path):
        with pytest.raises(OSError, match=r"not a regular file|directory"):
            read_regular(path, 100)


def test_a_missing_file_is_told_by_the_system_s_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "missing", 100)
