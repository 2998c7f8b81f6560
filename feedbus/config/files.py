"""Reading files that somebody else has named, so that none of them can block us: a pipe without a writer would."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def read_regular(path: Path, limit: int) -> bytes:
    """At most the first `limit` bytes of a regular file.

    Raises OSError when it can't be read or isn't a regular file, and ValueError when `path` can't be a path at all (it
    contains a NUL).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(None, "not a regular file")
        return file.read(limit)


def reason_of(error: OSError | ValueError) -> str:
    """Why a path can't be used, in the system's words and without the path itself, which may be a misplaced secret."""
    return getattr(error, "strerror", None) or "not a path"
