"""Standard input, output and error, made fit for whatever the process was started with: an encoding without our signs,
a descriptor that is closed, a reader that goes away, a full disk.

This module imports nothing that takes long, because every command begins with it.
"""

from __future__ import annotations

import codecs
import os
import sys
import unicodedata
from contextlib import suppress

SIGNS = {"▼": "v", "▲": "^", "…": "~", "—": "-", "–": "-", "→": ">"}  # noqa: RUF001 (these are what is replaced)
SIGNS |= {"│": "|", "─": "-", **dict.fromkeys("█▉▊▋▌", "#"), **dict.fromkeys("▍▎▏", ":")}
"""What is written for the signs of our own that an encoding doesn't have. The width is the same."""
PLAIN_SIGNS = "feedbus.plain_signs"


def prepare() -> None:
    """Make the streams of this process usable. Nothing that is written to them fails for its characters any more.

    A closed standard output is one that nobody reads: writing to it fails as to a pipe without a reader, so that
    commands which only show something end. A closed standard error takes everything, because a service goes on without
    it. No file or socket gets the number of a closed stream, so that nothing is written into it by mistake.
    """
    if sys.stdin is None:
        _open(0, os.open(os.devnull, os.O_RDONLY))
        sys.stdin = os.fdopen(0, closefd=False)
    if sys.stdout is None:
        readable, writable = os.pipe()
        _open(1, writable, spare=readable)
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        _open(2, os.open(os.devnull, os.O_WRONLY))
        sys.stderr = os.fdopen(2, "w", closefd=False, errors="backslashreplace")
    codecs.register_error(PLAIN_SIGNS, _replacement)
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors=PLAIN_SIGNS)


def finish() -> None:
    """Write what is still buffered. What nobody takes is dropped, because Python would complain of it when it ends, and
    change the exit status.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def tell(text: str) -> None:
    """Print a line on standard error, if anybody takes it."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")


def _open(number: int, opened: int, *, spare: int | None = None) -> None:
    """Give an open file this descriptor number, at which nothing is open, and close `spare`."""
    if spare is not None and spare != number:
        os.close(spare)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    os.set_inheritable(number, True)


def _replacement(error: UnicodeError) -> tuple[str, int]:
    """What to write for characters that the encoding doesn't have, in as many cells; and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(char: str) -> str:
    if unicodedata.combining(char):
        return ""
    return SIGNS.get(char) or ("??" if unicodedata.east_asian_width(char) in "WF" else "?")
