"""The files that a configuration is made of: itself, `.env`, and those that it names. Reads their names and modes.

The configuration has been loaded when this is asked, so every file is there and could be read. What is looked at is
whether others can read the secrets in them too.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from feedbus.config.credentials import FILE_SUFFIX
from feedbus.config.yaml_text import Node, YamlMapping, YamlReader, YamlScalar, compose, read_text

NAMES_A_FILE = ("file",)
"""Keys whose values are paths, besides those that end in _file."""


class NamedFile(msgspec.Struct, frozen=True):
    """A file and what names it: the path of keys in the configuration, "" for the configuration itself. `mode` is as
    chmod(1) writes it, "" where the file can't be looked at."""

    path: str
    named_by: str
    is_secret: bool
    mode: str

    @property
    def is_open(self) -> bool:
        """Whether everybody on this machine can read it."""
        return bool(self.mode) and bool(int(self.mode, 8) & stat.S_IROTH)


def files_of(path: Path, environ: Mapping[str, str], secrets: frozenset[str], env_file: Path) -> list[NamedFile]:
    """All files of the configuration at `path`. A text with one of the `secrets` in it is a secret itself."""
    text = read_text(path, str(path))
    found = [_file(path, "", is_secret=_holds(text, secrets))]
    if env_file.exists():
        found.append(_file(env_file, "the environment", is_secret=_holds(read_text(env_file, str(env_file)), secrets)))
    reader = YamlReader(environ)
    for keys, scalar in _scalars(compose(text, str(path)), ()):
        key = keys[-1]
        if key.endswith(FILE_SUFFIX) or key in NAMES_A_FILE:
            found.append(_file(path.parent / reader.text(scalar), ".".join(keys), is_secret="credentials" in keys))
    return found


def _scalars(node: Node, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], YamlScalar]]:
    if isinstance(node, YamlScalar) and keys:
        yield keys, node
    elif isinstance(node, YamlMapping):
        for key, child in node.entries.items():
            yield from _scalars(child, (*keys, key))


def _holds(text: str, secrets: frozenset[str]) -> bool:
    return any(secret in text for secret in secrets)


def _file(path: Path, named_by: str, *, is_secret: bool) -> NamedFile:
    try:
        mode = f"{stat.S_IMODE(path.stat().st_mode):04o}"
    except (OSError, ValueError):
        mode = ""
    return NamedFile(str(path), named_by, is_secret, mode)
