"""What an ERROR frame of MOEX ISS+ says, and what it means. Pure."""

from __future__ import annotations

from feedbus.venues.moex.stomp import StompFrame

_TRANSIENT = ("gateway.timeout", "gateway.transport")


def error_text(frame: StompFrame) -> str:
    """What an ERROR says: its `message`, and wherever else the gateway puts its code; that isn't documented."""
    headers = frame.headers
    codes = [value for name, value in headers.items() if name != "message" and value.startswith("gateway.")]
    return " ".join([headers.get("message", ""), *codes, frame.body.decode(errors="replace")])


def is_transient(said: str) -> bool:
    """True for the gateway's own trouble, which says nothing of the credentials."""
    return any(word in said for word in _TRANSIENT)
