"""The socket file of an ipc:// address: who may reach it, whose it is, and whether it is still there.

Anybody who may write to its directory can delete the file of a socket that is in use. Then nobody can join any more,
those who have joined notice nothing, and another process could publish at the same address. So a publisher holds a lock
beside the file for as long as it lives, and can be asked what became of its file. This module touches files only.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

LOCK = ".lock"
"""What is appended to the path of the socket for the file that is locked."""
ASIDE = ".aside"
"""What is appended to the path of a socket for the short time in which nng would delete it."""


class IpcFile:
    """The file that one publisher's socket is bound to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bound: tuple[int, int] | None = None  # the device and inode of our file
        self._lock: int | None = None  # the descriptor of the locked file

    @contextmanager
    def binding(self) -> Iterator[None]:
        """Bind a socket to the path in the body of this context. The file, and its directory when that is missing, are
        accessible to our user alone.

        Whoever may write to the socket may subscribe, and nng makes the file with the permissions that the umask
        leaves. So the umask is changed meanwhile. Our group keeps its access when our umask lets a group write (007,
        say). Raises OSError when another process publishes there, or when the path can't be used.
        """
        before = os.umask(0o077)
        hidden = 0o077 if before & 0o020 else 0o007
        try:
            os.umask(hidden)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and not self.path.is_socket():
                raise FileExistsError("a file that isn't a socket is there")  # nng would delete that file
            self._hold_lock()
            os.umask(hidden | 0o111)
            yield
            self._bound = _identity(self.path)
        finally:
            os.umask(before)

    def lost(self) -> str | None:
        """Return what became of our file, for people; None while it is there."""
        found = _identity(self.path)
        if found == self._bound:
            return None
        return "its socket was deleted" if found is None else "another process has put a socket in its place"

    @contextmanager
    def closing(self) -> Iterator[None]:
        """Close the socket in the body of this context. That of another process at our path isn't harmed. Afterwards
        the lock is given back."""
        foreign = self._bound is not None and self.lost() is not None
        with self.put_aside() if foreign else nullcontext():
            yield
        self._bound = None
        self._give_lock_back()

    @contextmanager
    def put_aside(self) -> Iterator[None]:
        """Close a listener in the body of this context. nng deletes whatever file has the listener's path then, so that
        file is elsewhere meanwhile."""
        aside = self.path.with_name(self.path.name + ASIDE)
        with suppress(OSError):
            self.path.rename(aside)
        try:
            yield
        finally:
            with suppress(OSError):
                aside.rename(self.path)

    def _hold_lock(self) -> None:
        """Lock the file beside the socket, unless we hold it. Raises OSError when another process holds it."""
        path = self.path.with_name(self.path.name + LOCK)
        if self._lock is not None and _identity(path) == _identity_of(self._lock):
            return
        self._give_lock_back()
        while True:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(lock)
                raise FileExistsError("another process publishes there") from error
            if _identity(path) == _identity_of(lock):
                self._lock = lock
                return
            os.close(lock)  # whoever held it before has deleted it since it was opened

    def _give_lock_back(self) -> None:
        if self._lock is None:
            return
        path = self.path.with_name(self.path.name + LOCK)
        if _identity(path) == _identity_of(self._lock):
            with suppress(OSError):
                path.unlink()
        os.close(self._lock)
        self._lock = None


def _identity(path: Path) -> tuple[int, int] | None:
    """The device and inode of a file; None when there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _identity_of(fd: int) -> tuple[int, int]:
    found = os.fstat(fd)
    return found.st_dev, found.st_ino
