"""What stands in a certificate (X.509, RFC 5280) that hasn't been verified: for whom it is, who issued it, until when
it is good. Pure.

Python decodes a certificate only after it has been verified, and it is the other ones that have to be explained. So
the few fields that explain it are read here from its DER encoding (ITU-T X.690). Nothing is ever trusted because of
it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import msgspec

from feedbus.text import one_line

MAX_NAMES = 50
"""How many names of a certificate are read."""

_SEQUENCE, _SET, _OID, _OCTETS = 0x30, 0x31, 0x06, 0x04
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_COMMON_NAME, _ORGANIZATION, _ALT_NAMES = b"\x55\x04\x03", b"\x55\x04\x0a", b"\x55\x1d\x11"
_ENCODINGS = {0x0C: "utf-8", 0x13: "ascii", 0x14: "latin-1", 0x16: "ascii", 0x1E: "utf-16-be"}
_LONG, _MAX_LENGTH = 0x80, 4


class Holder(msgspec.Struct, frozen=True):
    """Somebody whom a certificate names, as subject or as issuer."""

    name: str
    organization: str

    def __str__(self) -> str:
        of = f" ({self.organization})" if self.organization and self.name and self.organization != self.name else ""
        return f"{self.name or self.organization or 'somebody without a name'}{of}"


class Certificate(msgspec.Struct, frozen=True):
    """`names` are the hosts and addresses that it is for; times are in seconds since the epoch."""

    subject: Holder
    issuer: Holder
    not_before: float
    not_after: float
    names: tuple[str, ...]

    @property
    def is_self_signed(self) -> bool:
        """Whether it names its own subject as its issuer."""
        return self.subject == self.issuer


def read(der: bytes) -> Certificate:
    """The certificate of this DER encoding. Raises ValueError when it is none."""
    (whole,) = _of(_SEQUENCE, _elements(der))
    (signed, *_) = _of(_SEQUENCE, _elements(whole))
    fields = [field for field in _elements(signed) if field[0] != _VERSION]
    if len(fields) < 6 or [tag for tag, _ in fields[1:6]] != [_SEQUENCE] * 5:
        raise ValueError("no certificate")
    issuer, validity, subject = fields[2][1], fields[3][1], fields[4][1]
    begins, ends = (_time(tag, value) for tag, value in _elements(validity))
    return Certificate(_holder(subject), _holder(issuer), begins, ends, _names(fields))


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements that stand one after another: the tag and the content of each."""
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise ValueError("it ends within an element")
        tag, length = data[at], data[at + 1]
        at += 2
        if length & _LONG:
            size = length & ~_LONG
            if not 0 < size <= _MAX_LENGTH:
                raise ValueError("an element of unknown length")
            length = int.from_bytes(data[at : at + size])
            at += size
        if at + length > len(data):
            raise ValueError("it ends within an element")
        yield tag, data[at : at + length]
        at += length


def _of(tag: int, elements: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
    return (content for found, content in elements if found == tag)


def _holder(name: bytes) -> Holder:
    found: dict[bytes, str] = {}
    for attributes in _of(_SET, _elements(name)):
        for attribute in _of(_SEQUENCE, _elements(attributes)):
            (kind, oid), (encoding, value), *_ = _elements(attribute)
            if kind == _OID:
                found.setdefault(oid, value.decode(_ENCODINGS.get(encoding, "ascii"), "replace"))
    return Holder(one_line(found.get(_COMMON_NAME, "")), one_line(found.get(_ORGANIZATION, "")))


def _time(tag: int, value: bytes) -> float:
    """Seconds since the epoch. Of two digits of a year, those from 50 on are of the last century (RFC 5280)."""
    text = value.decode("ascii", "replace")
    if tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("a time of another kind")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _names(fields: list[tuple[int, bytes]]) -> tuple[str, ...]:
    names: list[str] = []
    for lists in _of(_EXTENSIONS, iter(fields)):
        for extensions in _of(_SEQUENCE, _elements(lists)):
            for extension in _of(_SEQUENCE, _elements(extensions)):
                parts = list(_elements(extension))
                if parts and parts[0] == (_OID, _ALT_NAMES) and parts[-1][0] == _OCTETS:
                    names += _alternatives(parts[-1][1])
    return tuple(names[:MAX_NAMES])


def _alternatives(data: bytes) -> Iterator[str]:
    for alternatives in _of(_SEQUENCE, _elements(data)):
        for tag, value in _elements(alternatives):
            if tag == _DNS_NAME:
                yield one_line(value.decode("ascii", "replace"))
            elif tag == _IP_ADDRESS:
                with suppress(ValueError):
                    yield str(ipaddress.ip_address(value))
