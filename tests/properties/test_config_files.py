"""Configuration files whose bytes were damaged: a Config, or a ConfigError of one line. Texts that make no sense, and
the rules one by one, are in tests/test_config.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus import config
from feedbus.config import Config
from feedbus.errors import ConfigError
from feedbus.testing.strategies import examples, mutated
from tests.places import ROOT

CONFIGS = ROOT / "configs"
FILES = [path.read_bytes() for path in sorted(CONFIGS.glob("*.yaml"))]
ENVIRONMENT = {"XDG_RUNTIME_DIR": "/run/user/1", "MOEX_LOGIN": "l0g1n-s3cr3t", "MOEX_PASSCODE": "p4ss-s3cr3t"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("configs")


@examples(60)
@given(mutated(FILES) | st.binary(max_size=40))
def test_a_damaged_file_is_a_configuration_or_is_refused_in_one_line(folder: Path, data: bytes) -> None:
    path = folder / "feedbus.yaml"
    path.write_bytes(data)
    try:
        found = config.load(path, ENVIRONMENT)
    except ConfigError as error:
        said = str(error)
        assert said.startswith(str(path))
        assert said.isprintable()
    else:
        assert isinstance(found, Config)
        said = repr(found)
    assert "s3cr3t" not in said
