"""Credentials: texts by name, which are written in the configuration or in files of their own. Reads those files.

Errors quote neither a value nor a key that the venue doesn't know: either may be the secret itself in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from feedbus.config.files import read_regular, reason_of
from feedbus.config.model import Credentials, FeedConfig
from feedbus.config.yaml_text import Node, Place, YamlMapping, YamlReader, YamlScalar, unknown
from feedbus.errors import ConfigError
from feedbus.text import mistaken
from feedbus.venues.protocol import Account

MAX_FILE_BYTES = 4096
FILE_SUFFIX = "_file"

_KEY = re.compile(r"[a-z][a-z0-9_]{0,31}")


def read(reader: YamlReader, node: Node, directory: Path) -> Credentials:
    """The credentials by name. `NAME_file: PATH` names a file that contains the text; PATH is relative to
    `directory`.
    """
    if not isinstance(node, YamlMapping):
        raise node.place.error("must be a mapping of keys")
    found = Credentials()
    for name, child in node.entries.items():
        if not _KEY.fullmatch(name):
            reason = "a key has at most 32 characters of a-z, 0-9 and _, and a space follows its colon"
            if mistaken(name):
                reason += "; a letter of this one is of another alphabet and only looks like one of a-z"
            raise _unnamed(node, child).error(reason)
        if not isinstance(child, YamlScalar):
            raise child.place.error("must be text")
        # A passcode may be `null` or `~`, so these are texts here. Only a key with nothing after it has no value.
        if child.text or not child.plain:
            _add(found, reader, name, child, directory)
    return found


def _add(found: Credentials, reader: YamlReader, name: str, child: Node, directory: Path) -> None:
    key = name.removesuffix(FILE_SUFFIX)
    if key in found:
        raise child.place.error(f"{key} and {key}{FILE_SUFFIX} exclude each other: give only one of them")
    text = reader.text(child)
    found[key] = text if key == name else _in_file(directory / text, child.place)


def _in_file(path: Path, place: Place) -> str:
    """The whole text of a file, without the newline that editors put at its end."""
    try:
        data = read_regular(path, MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        # The path isn't shown: it may be a passcode in the wrong place.
        raise place.error(f"can't be read: {reason_of(error)}") from None
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


def secrets(feed: FeedConfig, cls: type[Account]) -> Iterator[str]:
    """What must not be shown of a feed whose venue has this Account: its credentials, but those that everybody knows,
    and the logins of its proxies.
    """
    yield from (value for value in feed.credentials.values() if value not in cls.public)
    yield from feed.proxies.logins()


def check_keys(cls: type[Account], node: Node) -> None:
    """Raises ConfigError for a key that the venue doesn't know, also when it has no value.

    The venue's Account is asked about each key by making one with that key alone. How it words an unknown key is part
    of the contract of a venue (CONTRIBUTING.md); it is worded anew here so that the key isn't quoted.
    """
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
    """The place of a child with the path of its mapping, so that the child's key isn't shown."""
    return msgspec.structs.replace(node.place, line=child.place.line)
