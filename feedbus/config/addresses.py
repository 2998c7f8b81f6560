"""The addresses in a configuration: of the bus, of telemetry and of the venues. Pure.

Whatever feedbus listens at can be reached from this machine only, unless the operator says otherwise, because neither
the bus nor telemetry asks for a login.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from feedbus import proxies
from feedbus.config.model import TelemetryConfig
from feedbus.config.yaml_text import Node, YamlReader
from feedbus.errors import ConfigError
from feedbus.proxies import Proxies, Route
from feedbus.urls import is_loopback, split

MAX_IPC_PATH = 107  # bytes: the kernel's sun_path has 108 (unix(7)), of which one is the NUL at the end


def publish(reader: YamlReader, node: Node) -> str:
    """The address that the bus is published at; it can be reached from this machine only."""
    address = reader.text(node)
    scheme, _, rest = address.partition("://")
    if scheme not in ("inproc", "ipc", "tcp") or not rest or not address.isprintable():
        raise node.place.error("must be inproc://NAME, ipc://PATH or tcp://HOST:PORT")
    if scheme == "ipc" and len(rest.encode()) > MAX_IPC_PATH:
        raise node.place.error(f"the path of an ipc address may have at most {MAX_IPC_PATH} bytes; this one has more")
    if scheme == "ipc" and rest.endswith("/"):
        raise node.place.error("the path of an ipc address must be a socket, not a directory")
    if scheme == "tcp":
        parts = split(address)
        # A port of 0 lets the system choose.
        if parts is None or parts.port is None or parts.path or parts.query:
            raise node.place.error("must be tcp://HOST:PORT")
        if not is_loopback(parts.hostname or ""):
            raise node.place.error("tcp is allowed on a loopback host only: 127.0.0.1, [::1] or localhost")
    return address


def telemetry(reader: YamlReader, node: Node) -> TelemetryConfig:
    """Where metrics are served; they can be read from this machine only, unless `insecure` is true."""
    made = TelemetryConfig(**reader.fields(TelemetryConfig, node, {"listen": lambda child: _listen(reader, child)}))
    if not is_loopback(made.host) and not made.insecure:
        raise reader.table(node)["listen"].place.error(
            "isn't a loopback host, and it is served without TLS or a login: use 127.0.0.1, or add insecure: true"
        )
    return made


def token_url(reader: YamlReader, node: Node) -> str:
    """The base URL of a venue's token service. It must be encrypted, since a secret is sent to it."""
    url = rest_url(reader, node)
    if url.startswith("http:") and not is_loopback(urlsplit(url).hostname or ""):
        raise node.place.error("must be https://: a secret is sent there, and http:// is for a loopback host only")
    return url


def proxy(reader: YamlReader, node: Node) -> Proxies:
    """The proxy that a feed reaches its venue through, or `none`. Its login isn't shown."""
    text = reader.text(node)
    try:
        return Proxies(chosen=Route(None if text == proxies.NONE else proxies.parse(text), "proxy"))
    except ConfigError as error:
        raise node.place.error(str(error)) from None


def _listen(reader: YamlReader, node: Node) -> str:
    text = reader.text(node)
    parts = split(f"tcp://{text}")
    if parts is None or parts.port is None or parts.netloc != text:
        raise node.place.error("must be HOST:PORT, with an IPv6 address in brackets")
    return text


def venue_url(reader: YamlReader, node: Node) -> str:
    """The URL of a venue's WebSocket."""
    url = reader.text(node)
    parts = split(url)
    if parts is None or parts.scheme not in ("ws", "wss") or parts.port == 0:
        raise node.place.error("must be ws://HOST or wss://HOST, with a port and a path if need be, and no user in it")
    return url


def rest_url(reader: YamlReader, node: Node) -> str:
    """The base URL of a venue's REST service."""
    url = reader.text(node)
    parts = split(url)
    if parts is None or parts.scheme not in ("http", "https") or parts.port == 0 or "?" in url or "#" in url:
        raise node.place.error("must be http://HOST or https://HOST, with a port and a path, no user and no query")
    return url
