"""Proxies: how one is written, and which one leads to which address. Pure.

The rules are those of curl and Python. HTTPS_PROXY is for wss:// and https://, HTTP_PROXY for ws:// and http://, and
ALL_PROXY for both where the other isn't set. A variable in lower case goes before the same one in upper case. NO_PROXY
lists what is reached directly. Loopback addresses are always reached directly.

A proxy's login is a secret: neither an error nor the text form of anything here shows it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

import msgspec

from feedbus.errors import ConfigError
from feedbus.urls import endpoint, is_loopback, split

Scheme = Literal["http", "socks5", "socks5h"]
NONE = "none"
"""What is written instead of a proxy's address to reach everything directly."""

_PORTS: dict[str, int] = {"http": 80, "socks5": 1080, "socks5h": 1080}
_NAMES = {"wss": "https_proxy", "https": "https_proxy", "ws": "http_proxy", "http": "http_proxy"}
_BYPASS, _ALL = "no_proxy", "all_proxy"
_LONGEST_LOGIN = 255  # bytes of a user name or a password in SOCKS5 (RFC 1929)


class Proxy(msgspec.Struct, frozen=True):
    """One proxy. Its text form is its address without the login.

    `http` is asked by CONNECT (RFC 9110, section 9.3.6) whatever goes through it. `socks5` (RFC 1928) is given the
    venue's IP address, which we look up; `socks5h` is given the venue's name, and looks it up by itself.
    """

    scheme: Scheme
    host: str
    port: int
    user: str = ""
    password: str = ""

    @property
    def place(self) -> str:
        """Its host and port, for errors."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.place}"

    __repr__ = __str__

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("url", f"{self}")]


class Route(msgspec.Struct, frozen=True):
    """How an address is reached: through `proxy`, or directly when that is None. `why` names what says so."""

    proxy: Proxy | None
    why: str


class Proxies(msgspec.Struct, frozen=True):
    """Which proxy leads to which address.

    `chosen` is a Route that goes before what the environment says, as the one of a feed's key `proxy` does.
    `variables` are those of the environment that are about proxies, with their names in lower case.
    """

    variables: dict[str, str] = {}
    chosen: Route | None = None

    def __repr__(self) -> str:
        return f"<{self.chosen.proxy if self.chosen else ', '.join(self.variables)}>"

    __str__ = __repr__

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("named", f"{self}")]

    def route(self, url: str) -> Route:
        """How `url` (ws, wss, http or https) is reached. Raises ConfigError when the variable that is meant holds
        no proxy's address.
        """
        parts = urlsplit(url)
        target = endpoint(url)
        if target is None or is_loopback(target[0]):
            return Route(None, "a loopback address")
        if self.chosen is not None:
            return self.chosen
        name = next((name for name in (_NAMES[parts.scheme], _ALL) if name in self.variables), None)
        if name is None or not self.variables[name]:
            return Route(None, "no proxy is named")
        if _is_listed(*target, self.variables.get(_BYPASS, "")):
            return Route(None, "NO_PROXY")
        try:
            return Route(parse(self.variables[name]), name.upper())
        except ConfigError as error:
            raise ConfigError(f"{name.upper()}: {error}") from None

    def logins(self) -> Iterator[str]:
        """The user names and passwords of all proxies, which are secrets."""
        named = [self.chosen.proxy] if self.chosen is not None else []
        for name, text in self.variables.items():
            with suppress(ConfigError):
                named += [parse(text)] if text and name != _BYPASS else []
        for proxy in filter(None, named):
            yield from filter(None, (proxy.user, proxy.password))

    def to(self, url: str) -> Proxy | None:
        """The proxy that leads to `url`, or None when it is reached directly. Raises what `route` raises."""
        return self.route(url).proxy


DIRECT = Proxies()
"""Everything is reached directly."""


def from_environment(environ: Mapping[str, str]) -> Proxies:
    """What the environment says of proxies."""
    found = {}
    for name in (*dict.fromkeys(_NAMES.values()), _ALL, _BYPASS):
        for written in (name.upper(), name):  # the one in lower case is looked at last, and so goes before the other
            if written in environ:
                found[name] = environ[written].strip()
    return Proxies(found)


def parse(text: str) -> Proxy:
    """The proxy of an address such as http://user:password@proxy:3128; without a scheme, http is meant.

    Special characters in the user's name and the password are percent-encoded. Raises ConfigError, whose text doesn't
    show the address.
    """
    written = text if "://" in text else f"http://{text}"
    scheme, _, rest = written.partition("://")
    login, at, place = rest.rpartition("@")
    parts = split(f"{scheme}://{place}")
    if scheme not in get_args(Scheme):
        raise ConfigError(f"must be http://HOST:PORT, socks5://HOST:PORT or socks5h://HOST:PORT, or {NONE}")
    if parts is None or parts.port == 0 or parts.path not in ("", "/") or parts.query:
        raise ConfigError(
            "must be SCHEME://HOST:PORT or SCHEME://USER:PASSWORD@HOST:PORT, percent-encoded where needed"
        )
    user, password = (unquote(part) for part in login.split(":", 1)) if ":" in login else (unquote(login), "")
    if at and not (user and _is_login(user) and _is_login(password) and ":" not in user):
        raise ConfigError(
            "the user's name or the password can't be used: neither may hold a control character or more than "
            f"{_LONGEST_LOGIN} bytes, and the name must not be empty or hold a colon"
        )
    host = parts.hostname or ""
    return Proxy(scheme, host, parts.port or _PORTS[scheme], user, password)  # type: ignore[arg-type]


def _is_login(text: str) -> bool:
    return len(text.encode()) <= _LONGEST_LOGIN and (text.isprintable() or not text)


def _is_listed(host: str, port: int, listed: str) -> bool:
    """Whether NO_PROXY names this host: by its name, a domain that it is in, its address, or a network.

    Entries stand between commas or spaces, and may have a port behind them. `*` names every host.
    """
    host = host.lower().rstrip(".")
    return any(_matches(entry.lower(), host, port) for entry in listed.replace(",", " ").split())


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        pass  # one of the two is a name, or the entry has a port
    name, colon, digits = entry.rpartition(":")
    if colon and digits.isdecimal():
        if digits.lstrip("0") != str(port):
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").strip(".")
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))
