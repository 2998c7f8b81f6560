r"""STOMP frames as MOEX ISS+ speaks them. Pure: bytes in, frames out.

    COMMAND LF
    header:value LF        the first ":" separates; of two headers of one name the first counts
    LF
    body NUL               as long as content-length says, else up to the NUL

Differences from STOMP 1.2: a CONNECTED has a body, header values are written unescaped. On input the escapes
\r \n \c \\ are undone, the final NUL may be missing, and lines may end in CRLF; on output it is LF only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from feedbus.errors import BadData

MAX_HEAD = 16 * 1024
MAX_HEADERS = 64
MAX_FRAMES = 256  # in one WebSocket message, where one is usual

# The headers in the order in which the venue writes them, each at most once. A "+" behind a count says that what was
# read isn't tried again in another way: no other way fits, and the match takes two thirds of the time.
_MESSAGE = re.compile(
    rb"MESSAGE\ncontent-length:(\d{1,9}+)\n(?:destination:.{0,99}+\n)?+subscription:([^\n\\\0]{0,99}+)\n"
    rb"(?:X-gateway-stamp:\d{1,20}+\n)?+\n"
).match
_LINE_ENDS = re.compile(rb"[\r\n]*")
_ESCAPES = {r"\r": "\r", r"\n": "\n", r"\c": ":"}
_BACKSLASH = "\ud800"


class StompFrame(msgspec.Struct, frozen=True):
    """One STOMP frame."""

    command: str
    headers: dict[str, str]
    body: bytes


def build(command: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """The bytes of one frame. Raises ValueError for a header that would break the frame apart."""
    for text in (command, *headers, *headers.values()):
        if "\n" in text or "\0" in text or "\r" in text:
            raise ValueError("a STOMP header can't hold a line end or a NUL")
    lines = [command, *(f"{name}:{value}" for name, value in headers.items()), "", ""]
    return "\n".join(lines).encode() + body + b"\0"


def split_message(data: bytes | bytearray) -> tuple[bytes, bytes | bytearray] | None:
    """Returns (subscription, body) of a MESSAGE that is written as the venue writes it and has nothing after it; None
    for anything else.

    Nearly every frame is like that, so this fast path takes it apart without making a StompFrame.
    """
    head = _MESSAGE(data)
    if head is None:
        return None
    body = data[head.end() : -1]
    if len(body) != int(head[1]) or data[-1]:
        return None
    return head[2], body


def parse(data: bytes | bytearray) -> list[StompFrame]:
    """All frames of one WebSocket message; none when it holds only line ends (a heart-beat).

    Raises BadData for anything that isn't whole STOMP frames.
    """
    return list(frames(data))


def frames(data: bytes | bytearray) -> Iterator[StompFrame]:
    """Yields the frames of one WebSocket message. Raises BadData at a bad one, after those before it were yielded."""
    raw = bytes(data)
    count = 0
    at = _skip_line_ends(raw, 0)
    while at < len(raw):
        if count == MAX_FRAMES:
            raise BadData("STOMP", f"more than {MAX_FRAMES} frames in one message")
        frame, at = _parse_one(raw, at)
        yield frame
        count += 1
        at = _skip_line_ends(raw, at)


def _skip_line_ends(raw: bytes, at: int) -> int:
    found = _LINE_ENDS.match(raw, at)
    return found.end() if found else at


def _parse_one(raw: bytes, at: int) -> tuple[StompFrame, int]:
    lines, body_at = _head(raw, at)
    command = lines[0]
    if not (command.isascii() and command.isalpha() and command.isupper()):
        raise BadData("STOMP", f"not a command: {command[:40]!r}")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadData(f"STOMP {command}", f"a header without a colon: {line[:40]!r}")
        headers.setdefault(name, _unescape(value))
    stop = _body_end(raw, body_at, command, headers.get("content-length"))
    after = stop + 1 if raw[stop : stop + 1] == b"\0" else stop
    return StompFrame(command, headers, raw[body_at:stop]), after


def _head(raw: bytes, at: int) -> tuple[list[str], int]:
    """Returns the lines of the command and the headers, and the offset at which the body begins."""
    limit = at + MAX_HEAD
    ends = [(raw.find(mark, at, limit), len(mark)) for mark in (b"\n\n", b"\n\r\n")]
    found = min((end for end in ends if end[0] >= 0), default=None)
    if found is None:
        raise BadData("STOMP", f"no empty line after the headers in {min(len(raw) - at, MAX_HEAD)} bytes")
    try:
        lines = raw[at : found[0]].decode().split("\n")
    except UnicodeDecodeError as error:
        raise BadData("STOMP", f"headers aren't UTF-8 at byte {error.start}") from None
    if len(lines) > MAX_HEADERS + 1:
        raise BadData("STOMP", f"more than {MAX_HEADERS} headers")
    return [line.removesuffix("\r") for line in lines], found[0] + found[1]


def _body_end(raw: bytes, body_at: int, command: str, length: str | None) -> int:
    if length is None:
        stop = raw.find(b"\0", body_at)
        return stop if stop >= 0 else len(raw)
    if not (length.isascii() and length.isdigit()) or len(length) > 9:
        raise BadData(f"STOMP {command}", f"content-length is not a number: {length[:20]!r}")
    stop = body_at + int(length)
    if stop > len(raw):
        raise BadData(f"STOMP {command}", f"cut short: {len(raw) - body_at} of {length} bytes")
    return stop


def _unescape(value: str) -> str:
    r"""Undo the escapes, from left to right. Each step is one pass over the text, however many there are; a surrogate,
    which no UTF-8 decodes to, stands for `\\` meanwhile."""
    if "\\" not in value:
        return value
    value = value.replace("\\\\", _BACKSLASH)
    for escape, char in _ESCAPES.items():
        value = value.replace(escape, char)
    return value.replace(_BACKSLASH, "\\")
