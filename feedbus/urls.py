"""URLs and the places that they name: hosts, ports, and whether two are the same. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_ANY = ("0.0.0.0", "::")  # noqa: S104 (compared with, never listened at)
_DEFAULT_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")

Endpoint = tuple[str, int]
"""Host and port."""


def split(url: str) -> SplitResult | None:
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


def is_loopback(host: str) -> bool:
    """True for an address of this machine alone, and for the name localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def endpoint(url: str) -> Endpoint | None:
    """Host and port of a URL that is known to be good; None when it has none, or when the system chooses the port."""
    if url.startswith(("inproc:", "ipc:")):
        return None  # what follows is a name or a path, and needn't look like a host
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    port = parts.port if parts.port is not None else _DEFAULT_PORTS[parts.scheme]
    return (parts.hostname, port) if port else None


def collide(one: Endpoint | None, other: Endpoint | None) -> bool:
    """True when both are the same port of this machine."""
    if one is None or other is None or one[1] != other[1]:
        return False
    hosts = {"127.0.0.1" if host == "localhost" else host for host in (one[0], other[0])}
    any_of_ours = not hosts.isdisjoint(_ANY) and all(host in _ANY or is_loopback(host) for host in hosts)
    return len(hosts) == 1 or any_of_ours
