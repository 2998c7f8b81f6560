"""URLs: whether they are well formed, which host and port they name, and whether two of these collide; and the usual
address of the bus. Pure.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

_ANY = ("0.0.0.0", "::")  # noqa: S104 (only compared with)
_DEFAULT_PORTS = {"ws": 80, "http": 80, "wss": 443, "https": 443}
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")

Endpoint = tuple[str, int]
"""Host and port. For a server that begins to listen, port 0 lets the system choose."""


def split(url: str) -> SplitResult | None:
    """The parts of a well-formed URL with a host and without a user and a fragment; None for any other text."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        if ":" in host:
            ipaddress.IPv6Address(host)
    except ValueError:
        return None
    # urlsplit silently removes tabs and newlines, so they are looked for in the text itself.
    clean = url.isascii() and url.isprintable() and " " not in url
    named = ":" in host or _HOST.fullmatch(host) is not None
    return parts if clean and named and "@" not in parts.netloc and not parts.fragment else None


def is_loopback(host: str) -> bool:
    """Whether this is a loopback address (127.0.0.0/8 or ::1) or the name localhost."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def endpoint(url: str) -> Endpoint | None:
    """The host and port of a well-formed URL; None when it has none, or when its port is 0, so that the system chooses
    it.
    """
    if url.startswith(("inproc:", "ipc:")):
        return None  # a name or a path follows, which may happen to look like a host
    parts = urlsplit(url)
    if not parts.hostname:
        return None
    port = parts.port if parts.port is not None else _DEFAULT_PORTS[parts.scheme]
    return (parts.hostname, port) if port else None


def collide(one: Endpoint | None, other: Endpoint | None) -> bool:
    """Whether two endpoints can't be used at once because they are one port of this machine. None collides with
    nothing.
    """
    if one is None or other is None or one[1] != other[1]:
        return False
    hosts = {"127.0.0.1" if host == "localhost" else host for host in (one[0], other[0])}
    any_of_ours = not hosts.isdisjoint(_ANY) and all(host in _ANY or is_loopback(host) for host in hosts)
    return len(hosts) == 1 or any_of_ours


def usual_bus(environ: Mapping[str, str]) -> str:
    """The address at which feedbus publishes, and at which subscribers look for it, where nobody names another one: in
    the user's runtime directory (XDG Base Directory Specification), or in the system's where the user has none.
    """
    return f"ipc://{environ.get('XDG_RUNTIME_DIR') or '/run'}/feedbus/events.ipc"
