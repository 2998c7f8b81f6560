"""Characters that an encoding lacks, and streams that nobody reads. tests/edges/test_terminals.py has the commands."""

from __future__ import annotations

import io
import os
import sys

import pytest

from feedbus.commands import standard_streams


def written(text: str, encoding: str) -> bytes:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding, errors=standard_streams.PLAIN_SIGNS)
    stream.write(text)
    stream.flush()
    return raw.getvalue()


@pytest.mark.parametrize(
    ("text", "encoding", "found"),
    [
        ("Updates▼ … ▲", "ascii", b"Updatesv ~ ^"),
        ("Updates▼ … ▲", "utf-8", "Updates▼ … ▲".encode()),
        ("─ │██▌▍▏ ▲", "ascii", b"- |###:: ^"),
        ("дюйм", "ascii", b"????"),
        ("дюйм…", "koi8-r", "дюйм~".encode("koi8-r")),
        ("日本", "latin-1", b"????"),
        ("e\u0301", "latin-1", b"e"),
    ],
)
def test_what_an_encoding_lacks_is_replaced_in_as_many_cells(text: str, encoding: str, found: bytes) -> None:
    standard_streams.prepare()
    assert written(text, encoding) == found


def test_bytes_that_cannot_be_decoded_are_not_its_matter() -> None:
    standard_streams.prepare()
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode(errors=standard_streams.PLAIN_SIGNS)


def test_what_nobody_takes_is_dropped_and_the_next_words_too(monkeypatch: pytest.MonkeyPatch) -> None:
    readable, writable = os.pipe()
    os.close(readable)
    with os.fdopen(writable, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", stream)
        sys.stdout.write("for nobody")
        standard_streams.finish()
        standard_streams.tell("for nobody either")
        standard_streams.finish()
    with pytest.raises(ValueError, match="closed"):
        stream.flush()
    standard_streams.tell("a closed stream is no error")
