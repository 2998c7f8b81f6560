"""Credentials in the configuration and in files. What is refused is in tests/config/broken."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from feedbus import venues
from feedbus.config import credentials
from feedbus.config.model import Credentials
from feedbus.config.yaml_text import YamlReader, compose
from feedbus.errors import ConfigError


def read(text: str, directory: Path, environ: dict[str, str] | None = None) -> Credentials:
    return credentials.read(YamlReader(environ or {}), compose(text, "f"), directory)


def test_a_credential_is_text_and_may_be_the_word_null(tmp_path: Path) -> None:
    assert read("{login: 007, passcode: null, domain: }", tmp_path) == {"login": "007", "passcode": "null"}


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b" hunter 2 ", " hunter 2 "),
        (b"$HOME ${x} $$", "$HOME ${x} $$"),
        ("пароль\n".encode(), "пароль"),
        (b"x" * 4096, "x" * 4096),
    ],
)
def test_a_credential_may_be_in_a_file_of_its_own(data: bytes, text: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(data)
    assert read("{login: me, passcode_file: p}", tmp_path) == {"login": "me", "passcode": text}
    assert read(f"passcode_file: {tmp_path / 'p'}", Path("/nowhere")) == {"passcode": text}


def test_any_credential_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "l").write_text("me\n")
    assert read("login_file: l", tmp_path) == {"login": "me"}


def test_a_credential_of_systemd_is_read_from_its_directory(tmp_path: Path) -> None:
    (tmp_path / "moex-passcode").write_text("hunter2\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    found = read("passcode_file: ${CREDENTIALS_DIRECTORY}/moex-passcode", Path("/etc/feedbus"), environ)
    assert found == {"passcode": "hunter2"}


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=r"can't be read: not a regular file$"):
        read("passcode_file: pipe", tmp_path)


@pytest.mark.parametrize("name", venues.names())
def test_every_venue_says_which_keys_it_knows_so_that_no_unknown_one_is_quoted(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        credentials.check_keys(venues.account_class(name), compose("a: x\nhunter2:\n", "f"))
    assert re.match(r"f:1: unknown key; there are(: [a-z_, ]+| none)$", str(caught.value))
