"""Credentials: texts by name, written in the configuration or in files of their own. Reads those files.

What is wrong here is never quoted, neither a value nor a key that the venue doesn't know: it may be the secret itself,
in the wrong place.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from feedbus.config.files import read_regular
from feedbus.config.model import Credentials
from feedbus.config.yaml_text import Node, Place, YamlMapping, YamlReader, YamlScalar, unknown
from feedbus.errors import ConfigError
from feedbus.venues.protocol import Account

MAX_FILE_BYTES = 4096
FILE_SUFFIX = "_file"

_KEY = re.compile(r"[a-z][a-z0-9_]{0,31}")


def read(reader: YamlReader, node: Node, directory: Path) -> Credentials:
    """Texts by name; `NAME_file: PATH` has the text in a file, its path relative to `directory`."""
    if not isinstance(node, YamlMapping):
        raise node.place.error("must be a mapping of keys")
    found = Credentials()
    for name, child in node.entries.items():
        if not _KEY.fullmatch(name):
            reason = "a key is written in a-z, 0-9 and _, by at most 32 characters, and a space follows its colon"
            raise _unnamed(node, child).error(reason)
        if not isinstance(child, YamlScalar):
            raise child.place.error("must be text")
        # `null` may be a passcode; only a key with nothing after it is left to the venue.
        if child.text or not child.plain:
            _add(found, reader, name, child, directory)
    return found


def _add(found: Credentials, reader: YamlReader, name: str, child: Node, directory: Path) -> None:
    key = name.removesuffix(FILE_SUFFIX)
    if key in found:
        raise child.place.error(f"{key} and {key}{FILE_SUFFIX} exclude one another: give one of them")
    text = reader.text(child)
    found[key] = text if key == name else _in_file(directory / text, child.place)


def _in_file(path: Path, place: Place) -> str:
    """The whole text of a file, less the newline that editors put at its end."""
    try:
        data = read_regular(path, MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        # The path isn't shown: it may be a passcode in the wrong place.
        raise place.error(f"can't be read: {getattr(error, 'strerror', None) or 'not a path'}") from None
    if len(data) > MAX_FILE_BYTES:
        raise place.error(f"the file is larger than {MAX_FILE_BYTES} bytes")
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise place.error("the file is not UTF-8") from None
    if not text:
        raise place.error("the file is empty")
    if not text.isprintable():
        raise place.error("the file holds a control character, or more than one line")
    return text


def check_keys(cls: type[Account], node: Node) -> None:
    """Refuse a key that the venue doesn't know, also one without a value."""
    entries = node.entries if isinstance(node, YamlMapping) else {}
    for name, child in entries.items():
        key = name.removesuffix(FILE_SUFFIX)
        try:
            cls({key: "x"}, ())
        except ConfigError as error:
            _, found, known = str(error).partition(f"unknown key {key!r}; there are: ")
            if known == "none":
                raise _unnamed(node, child).error("unknown key; there are none") from None
            if found:
                raise _unnamed(node, child).error(unknown("key", key, known.split(", "))) from None


def _unnamed(node: Node, child: Node) -> Place:
    """The line of a child, under the path of its mapping."""
    return msgspec.structs.replace(node.place, line=child.place.line)
