"""The environment with `.env`, and the directory for what was downloaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from feedbus.config.surroundings import cache_directory, environment
from feedbus.errors import ConfigError


def test_the_environment_goes_over_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEEDBUS_TEST_A", "process")
    assert environment(tmp_path)["FEEDBUS_TEST_A"] == "process"
    (tmp_path / ".env").write_text("# x\nFEEDBUS_TEST_A=file\nexport FEEDBUS_TEST_B='a${HOME}$b'\nFEEDBUS_TEST_C=\n")
    environ = environment(tmp_path)
    assert environ["FEEDBUS_TEST_A"] == "process"
    assert environ["FEEDBUS_TEST_B"] == "a${HOME}$b"
    assert environ["FEEDBUS_TEST_C"] == ""


def test_an_env_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigError, match=r"\.env: can't be read: Is a directory"):
        environment(tmp_path)


@pytest.mark.parametrize(
    ("environ", "directory"),
    [
        ({"CACHE_DIRECTORY": "/var/cache/feedbus", "XDG_CACHE_HOME": "/x", "HOME": "/home/me"}, "/var/cache/feedbus"),
        ({"CACHE_DIRECTORY": "/var/cache/feedbus:/var/cache/other"}, "/var/cache/feedbus"),
        ({"CACHE_DIRECTORY": "", "XDG_CACHE_HOME": "/x", "HOME": "/home/me"}, "/x/feedbus"),
        ({"XDG_CACHE_HOME": "x", "HOME": "/home/me"}, "/home/me/.cache/feedbus"),
        ({"HOME": "/home/me"}, "/home/me/.cache/feedbus"),
        ({"HOME": ""}, ""),
        ({}, ""),
    ],
)
def test_downloads_are_kept_where_systemd_says_or_else_the_user(environ: dict[str, str], directory: str) -> None:
    assert cache_directory(environ) == directory
