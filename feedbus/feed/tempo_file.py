"""What a feed has learnt of how long its instruments are usually silent, kept in `cache_dir` from one life of the
process to the next.

It is one file for each feed. A file that can't be read, is too large, or is of another version or venue means that
nothing is learnt, and one line in the log says so.
"""

from __future__ import annotations

import logging
from pathlib import Path

import trio

from feedbus.config.files import read_regular
from feedbus.feed.replaced_file import replace_file
from feedbus.trust.tempos import KeptWords, Tempos, UnreadableTempos

MAX_FILE = 64 * 1024 * 1024
"""Bytes. A word takes about 1 kB."""

AT_ONCE = 100
"""So many instruments are written down before the connections may go on."""


class TempoFile:
    """The file of one feed. Without a `cache_dir` nothing is kept, and nothing is said."""

    def __init__(self, cache_dir: str | Path, name: str, tempos: Tempos) -> None:
        """`name` is the feed's."""
        self._path = Path(cache_dir) / f"{name}.tempos" if cache_dir else None
        self._tempos = tempos
        self._log = logging.getLogger(f"feedbus.{name}")
        self._is_failing = False  # and that has been logged

    async def load(self) -> None:
        """Take in what the file holds. Called once, before anything is judged."""
        if self._path is None:
            return
        path = self._path
        try:
            data = await trio.to_thread.run_sync(read_regular, path, MAX_FILE + 1, abandon_on_cancel=True)
            if len(data) > MAX_FILE:
                raise UnreadableTempos(f"over {MAX_FILE} bytes")
            self._tempos.read(data)
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            self._log.warning("what was learnt of silences can't be used, and is learnt anew: %s: %s", path, reason)

    async def save(self) -> None:
        """Replace the file in one step. A failure is logged once, until it succeeds again."""
        if self._path is None:
            return
        pages: list[tuple[str, KeptWords]] = []
        for page in self._tempos.pages():
            pages.append(page)
            if len(pages) % AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        data = self._tempos.whole(pages)
        try:
            await trio.to_thread.run_sync(replace_file, self._path, data, abandon_on_cancel=True)
        except OSError as error:
            if not self._is_failing:
                reason = error.strerror or error
                self._log.warning("what was learnt of silences can't be kept: %s: %s", self._path, reason)
            self._is_failing = True
        else:
            self._is_failing = False
