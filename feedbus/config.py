"""The configuration: YAML → frozen structs, checked against one another and against the venues.

Reads files and the environment, and nothing else. Whatever is wrong is a ConfigError of one line that names file,
line and key, and never holds a credential.
"""

from __future__ import annotations

import io
import ipaddress
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

import msgspec
from dotenv.parser import parse_stream
from msgspec import Meta

from feedbus import venues
from feedbus.errors import ConfigError
from feedbus.session import Account
from feedbus.sharding import check_fits
from feedbus.yaml_text import Items, Node, Place, Reader, Scalar, Table, compose, quote, read_text, substitute, unknown

__all__ = [
    "DEFAULT_PUBLISH",
    "Backoff",
    "Bus",
    "Config",
    "Credentials",
    "Feed",
    "Sharding",
    "environment",
    "load",
    "parse",
    "substitute",
]

DEFAULT_PUBLISH = "ipc://${XDG_RUNTIME_DIR:-/run}/feedbus/events.ipc"
MIB = 1024 * 1024
MAX_FEEDS = 100
MAX_IPC_PATH = 107  # the kernel's sun_path, less its NUL

_FEED_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")

Seconds = Annotated[float, Meta(gt=0, le=3600)]
LongSeconds = Annotated[float, Meta(gt=0, le=86400)]


class Credentials(dict[str, str]):
    """What a venue wants to know of us. Shows its keys only, wherever it is printed."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"

    __str__ = __repr__


class Bus(msgspec.Struct, frozen=True):
    """Where events are published. `linger` is how long they are gathered under load (seconds); `stalled_bytes` is
    what a subscriber that doesn't read may cost us."""

    publish: str
    linger: Annotated[float, Meta(ge=0, le=1)] = 0.001
    stalled_bytes: Annotated[int, Meta(ge=MIB, le=16 * 1024 * MIB)] = 64 * MIB


class Sharding(msgspec.Struct, frozen=True):
    """How many connections, and how many symbols each may carry."""

    connections: Annotated[int, Meta(ge=1, le=1000)] = 1
    per_connection: Annotated[int, Meta(ge=1, le=5000)] = 50


class Backoff(msgspec.Struct, frozen=True):
    """The numbers of feedbus.backoff, in seconds."""

    first: Seconds = 0.5
    cap: LongSeconds = 60.0
    reset_after: Annotated[float, Meta(ge=0, le=86400)] = 30.0


class Feed(msgspec.Struct, frozen=True):
    """One venue account and what is wanted from it. Times are seconds, sizes bytes; no channels means the venue's
    usual ones; `login_retry` is the pause after refused credentials."""

    name: str
    venue: str
    url: str
    symbols: tuple[str, ...]
    credentials: dict[str, str] = {}
    channels: tuple[str, ...] = ()
    sharding: Sharding = Sharding()
    transport: Literal["sansio"] = "sansio"
    ca_file: str | None = None
    connect_timeout: Seconds = 10.0
    ping_interval: Seconds = 20.0
    ping_timeout: Seconds = 20.0
    max_message_size: Annotated[int, Meta(ge=1024, le=1024 * MIB)] = 4 * MIB
    backoff: Backoff = Backoff()
    login_retry: LongSeconds = 900.0

    def __post_init__(self) -> None:
        # However a Feed is made, printing it shows no secret.
        msgspec.structs.force_setattr(self, "credentials", Credentials(self.credentials))


class Config(msgspec.Struct, frozen=True):
    """A whole configuration; `path` is the file's name as it was given."""

    path: str
    bus: Bus
    feeds: tuple[Feed, ...]
    actors: dict[str, Any] = {}


def load(path: str | Path, environ: Mapping[str, str]) -> Config:
    """Read a configuration file. Raises ConfigError."""
    path = Path(path)
    return parse(read_text(path, str(path)), name=str(path), directory=path.parent, environ=environ)


def parse(text: str, *, name: str, directory: Path, environ: Mapping[str, str]) -> Config:
    """Read a configuration; `name` is what errors call it, `directory` where the files that it names are."""
    reader = Reader(environ)
    document = compose(text, name)
    special = {
        "bus": lambda node: _bus(reader, node),
        "feeds": lambda node: _feeds(reader, node, directory),
        "actors": lambda node: _actors(reader, node),
    }
    return Config(path=name, **reader.fields(Config, document, special, given="path"))


def environment(directory: Path) -> dict[str, str]:
    """The variables of `.env` in this directory, when there is one, and of the process, which win."""
    path = directory / ".env"
    try:
        text = read_text(path, str(path))
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return dict(os.environ)
        raise
    found = {}
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or (binding.key is not None and binding.value is None):
            raise Place(str(path), binding.original.line).error("is not NAME=value")
        if binding.key is not None and binding.value is not None:
            found[binding.key] = binding.value
    return found | dict(os.environ)


def _bus(reader: Reader, node: Node) -> Bus:
    return Bus(**reader.fields(Bus, node, {"publish": lambda child: _publish(reader, child)}))


def _publish(reader: Reader, node: Node) -> str:
    """An address to publish on: nobody but this machine may reach it."""
    address = reader.text(node)
    scheme, _, rest = address.partition("://")
    if scheme not in ("inproc", "ipc", "tcp") or not rest or not address.isprintable():
        raise node.place.error("must be inproc://NAME, ipc://PATH or tcp://HOST:PORT")
    if scheme == "ipc" and len(rest.encode()) > MAX_IPC_PATH:
        raise node.place.error(f"the path of an ipc address has at most {MAX_IPC_PATH} bytes, and this one more")
    if scheme == "tcp":
        parts = _split(address)
        # A port of 0 lets the system choose.
        if parts is None or parts.port is None or parts.path or parts.query:
            raise node.place.error("must be tcp://HOST:PORT")
        if not _is_loopback(parts.hostname or ""):
            raise node.place.error("tcp is taken on a loopback host only: 127.0.0.1, [::1] or localhost")
    return address


def _split(url: str) -> SplitResult | None:
    """The parts of a URL that has a host and is well formed, without a user or a fragment, else None."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        if ":" in host:
            ipaddress.IPv6Address(host)
    except ValueError:
        return None
    # urlsplit drops some control characters in silence.
    clean = url.isascii() and url.isprintable() and " " not in url
    named = ":" in host or _HOST.fullmatch(host) is not None
    return parts if clean and named and "@" not in parts.netloc and not parts.fragment else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _actors(reader: Reader, node: Node) -> dict[str, Any]:
    for child in reader.table(node).values():
        raise child.place.error("unknown actor; there are none yet")
    return {}


def _feeds(reader: Reader, node: Node, directory: Path) -> tuple[Feed, ...]:
    entries = reader.table(node)
    if not 0 < len(entries) <= MAX_FEEDS:
        raise node.place.error(f"there are {len(entries)} feeds; there must be 1 to {MAX_FEEDS}")
    return tuple(_feed(reader, key, child, directory) for key, child in entries.items())


def _feed(reader: Reader, name: str, node: Node, directory: Path) -> Feed:
    if not _FEED_NAME.fullmatch(name):
        raise node.place.error("a feed is named in a-z, 0-9, _ and -, from a letter on, by at most 32 characters")
    special = {
        "venue": lambda child: _venue(reader, child),
        "url": lambda child: _url(reader, child),
        "symbols": lambda child: _symbols(reader, child, directory),
        "credentials": lambda child: _credentials(reader, child),
        "channels": lambda child: _listed(reader, child, "channel"),
        "ca_file": lambda child: _ca_file(reader, child, directory),
        "backoff": lambda child: _backoff(reader, child),
    }
    values = reader.fields(Feed, node, special, given="name")
    symbols, channels = values["symbols"], values.get("channels", {})
    account = _account(reader.table(node), values, channels)
    for symbol, scalar in symbols.items():
        if (reason := account.check_symbol(symbol)) is not None:
            raise scalar.place.error(f"symbol {quote(scalar.text)}: {_unsubstituted(reason, symbol, scalar)}")
    sharding = values.get("sharding", Sharding())
    try:
        check_fits(len(symbols), sharding.connections, sharding.per_connection)
    except ConfigError as error:
        raise reader.table(node).get("sharding", node).place.error(str(error)) from None
    return Feed(**values | {"name": name, "symbols": tuple(symbols), "channels": tuple(channels)})


def _account(entries: dict[str, Node], values: dict[str, Any], channels: dict[str, Scalar]) -> Account:
    """The venue's judgement of the credentials, and then of each channel, so that each error has its place."""
    cls, credentials = venues.account_class(values["venue"]), values.get("credentials", {})
    try:
        account = cls(credentials, ())
    except ConfigError as error:
        place = entries["credentials"].place if "credentials" in entries else entries["venue"].place
        raise place.error(str(error).removeprefix("credentials: ")) from None
    for channel, scalar in channels.items():
        try:
            account = cls(credentials, (channel,))
        except ConfigError as error:
            reason = str(error).removeprefix("channels: ")
            raise scalar.place.error(_unsubstituted(reason, channel, scalar)) from None
    return account


def _unsubstituted(reason: str, value: str, scalar: Scalar) -> str:
    """A reason that somebody else gave, who may have quoted the value: it is shown as the file has it."""
    return reason.replace(value, scalar.text)


def _venue(reader: Reader, node: Node) -> str:
    name, known = reader.text(node), venues.names()
    if name not in known:
        raise node.place.error(unknown("venue", name, known))
    return name


def _url(reader: Reader, node: Node) -> str:
    url = reader.text(node)
    parts = _split(url)
    if parts is None or parts.scheme not in ("ws", "wss") or parts.port == 0:
        raise node.place.error("must be ws://HOST or wss://HOST, with a port and a path if need be, and no user in it")
    return url


def _credentials(reader: Reader, node: Node) -> Credentials:
    """Texts by name. What is wrong here is never quoted."""
    if not isinstance(node, Table):
        raise node.place.error("must be a mapping of keys")
    found = Credentials()
    for name, child in node.entries.items():
        if not isinstance(child, Scalar):
            raise child.place.error("must be text")
        # `null` may be a passcode; only a key with nothing after it is left to the venue.
        if child.text or not child.plain:
            found[name] = reader.text(child)
    return found


def _listed(reader: Reader, node: Node, what: str) -> dict[str, Scalar]:
    """The texts of a list, with where each is written; none may be empty or there twice."""
    if not isinstance(node, Items):
        raise node.place.error(f"must be a list of {what}s")
    found: dict[str, Scalar] = {}
    for child in node.nodes:
        _add(found, reader.text(child), child, what)
    return found


def _add(found: dict[str, Scalar], text: str, node: Node, what: str) -> None:
    if not isinstance(node, Scalar) or not text:
        raise node.place.error(f"a {what} is empty")
    if (first := found.get(text)) is not None:
        raise node.place.error(f"{what} {quote(node.text)} is here twice; first on line {first.place.line}")
    found[text] = node


class _SymbolsFile(msgspec.Struct):
    file: str


def _symbols(reader: Reader, node: Node, directory: Path) -> dict[str, Scalar]:
    """The symbols, from the list or the file. They are texts, whatever YAML would make of them."""
    if isinstance(node, Scalar):
        raise node.place.error("must be a list of symbols, or {file: NAME}")
    found = _listed(reader, node, "symbol") if isinstance(node, Items) else _symbols_in_file(reader, node, directory)
    if not found:
        raise node.place.error("there are no symbols")
    return found


def _symbols_in_file(reader: Reader, node: Table, directory: Path) -> dict[str, Scalar]:
    """One symbol a line; `#` begins a comment."""
    name = reader.struct(_SymbolsFile, node).file
    path = directory / name
    found: dict[str, Scalar] = {}
    try:
        text = read_text(path, str(path))
    except ConfigError as error:
        raise node.place.error(str(error)) from None
    for number, line in enumerate(text.split("\n"), 1):
        if symbol := line.partition("#")[0].strip():
            _add(found, symbol, Scalar(Place(str(path), number, node.place.path), symbol), "symbol")
    return found


def _ca_file(reader: Reader, node: Node, directory: Path) -> str:
    path = directory / reader.text(node)
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise node.place.error("holds no certificate that can be used") from None
    except (OSError, ValueError) as error:
        raise node.place.error(f"can't be read: {getattr(error, 'strerror', None) or error}") from None
    return str(path)


def _backoff(reader: Reader, node: Node) -> Backoff:
    backoff = reader.struct(Backoff, node)
    if backoff.first > backoff.cap:
        raise node.place.error(f"first ({backoff.first:g} s) is above cap ({backoff.cap:g} s)")
    return backoff
