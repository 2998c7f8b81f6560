"""The configuration: a YAML file becomes frozen structs, which are checked against one another and by the venues.

Only files and the environment are read. Whatever is wrong raises a ConfigError, whose text is one line that names the
file, the line and the key, and never contains a credential. `docs/configuration.md` describes every key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from stat import S_ISDIR
from typing import Any

from feedbus.config import actors, addresses, feeds
from feedbus.config.contradictions import refuse_contradictions
from feedbus.config.files import reason_of
from feedbus.config.model import (
    BackoffConfig,
    BudgetConfig,
    BusConfig,
    Config,
    Credentials,
    FeedConfig,
    ShardingConfig,
    TelemetryConfig,
)
from feedbus.config.surroundings import cache_directory, environment
from feedbus.config.yaml_text import Node, YamlReader, compose, read_text
from feedbus.proxies import from_environment

__all__ = [
    "BackoffConfig",
    "BudgetConfig",
    "BusConfig",
    "Config",
    "Credentials",
    "FeedConfig",
    "ShardingConfig",
    "TelemetryConfig",
    "environment",
    "load",
    "parse",
]


def load(path: str | Path, environ: Mapping[str, str]) -> Config:
    """Read a configuration file. Raises ConfigError."""
    path = Path(path)
    return parse(read_text(path, str(path)), name=str(path), directory=path.parent, environ=environ)


def parse(text: str, *, name: str, directory: Path, environ: Mapping[str, str]) -> Config:
    """Read a configuration from text. Errors call it `name`; the files that it names are relative to `directory`.

    Raises ConfigError.
    """
    reader = YamlReader(environ)
    document = compose(text, name)
    proxies = from_environment(environ)
    special: dict[str, Callable[[Node], Any]] = {
        "bus": lambda node: _bus(reader, node),
        "feeds": lambda node: feeds.read(reader, node, directory, proxies),
        "actors": lambda node: actors.read(reader, node, proxies),
        "telemetry": lambda node: addresses.telemetry(reader, node),
        "cache_dir": lambda node: _cache_dir(reader, node, directory),
    }
    values = reader.fields(Config, document, special, given=("path", "proxies"))
    given: dict[str, Any] = {"path": name, "cache_dir": cache_directory(environ), "proxies": proxies}
    config = Config(**given | values)
    refuse_contradictions(config, document)
    return config


def _bus(reader: YamlReader, node: Node) -> BusConfig:
    return BusConfig(**reader.fields(BusConfig, node, {"publish": lambda child: addresses.publish(reader, child)}))


def _cache_dir(reader: YamlReader, node: Node, directory: Path) -> str:
    """The path of a directory. It need not exist: it is made when something is written to it."""
    path = directory / reader.text(node)
    try:
        is_directory = S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        return str(path)
    except (OSError, ValueError) as error:
        raise node.place.error(f"can't be used: {reason_of(error)}") from None
    if not is_directory:
        raise node.place.error("is a file, not a directory")
    return str(path)
