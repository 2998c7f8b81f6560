"""The nng sockets of the bus: the only module that imports pynng. Its errors become BusError here.

nng queues messages by count and drops the oldest of a full queue without a word: so both queues are set, and the
numbers in the messages show every hole. nng must not be used in a process forked after this module was imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pynng

from feedbus.errors import BadAddress, BusError

RECV_MAX_SIZE = 1024 * 1024  # the largest message a subscriber takes, in bytes
MESSAGE_SIZE = 16 * 1024  # events are packed into messages of at most this size, unless one alone is larger
STALLED_BYTES = 64 * 1024 * 1024  # what may wait for a stalled subscriber
QUEUE_LIMIT = 8192  # the longest queue that nng allows, in messages
REDIAL_MS = 100  # a missing or lost publisher is dialled again at least this often

_NOW = pynng.lib.NNG_FLAG_NONBLOCK
_RECEIVE_NOW = _NOW | pynng.lib.NNG_FLAG_ALLOC


def queue_length(stalled_bytes: int) -> int:
    """How many messages may wait, when a full message is MESSAGE_SIZE."""
    return max(1, min(QUEUE_LIMIT, stalled_bytes // MESSAGE_SIZE))


class PubSocket:
    """Publishes to every subscriber that has dialled; never waits for any of them."""

    def __init__(self, address: str, stalled_bytes: int = STALLED_BYTES, *, inside: str | None = None) -> None:
        """`inside` is a further address, for subscribers in this process. Raises BusError when an address can't be
        bound, for instance because it is in use."""
        self.address = address
        self._socket = pynng.Pub0(send_buffer_size=queue_length(stalled_bytes))
        try:
            with _private_ipc(address):
                self._socket.listen(address)
            if inside is not None:
                self._socket.listen(inside)
        except (pynng.NNGException, OSError) as error:
            self._socket.close()
            raise BusError(f"can't publish at {address}: {error}") from None

    def send(self, message: bytes) -> None:
        """Hand one message to nng. Raises BusError when the socket is closed."""
        failure = pynng.lib.nng_send(self._socket.socket, message, len(message), _NOW)
        if failure:
            raise BusError(f"can't publish at {self.address}: {_why(failure)}")

    def close(self) -> None:
        """Close the socket; what subscribers haven't been sent by now is lost to them."""
        self._socket.close()


class SubSocket:
    """Receives what matches its prefixes from any number of publishers, some of which may not be there yet."""

    def __init__(self, addresses: Iterable[str], prefixes: Iterable[bytes], stalled_bytes: int = STALLED_BYTES) -> None:
        """Dials in the background. Raises BadAddress for something that isn't an address."""
        self._socket = pynng.Sub0(
            recv_buffer_size=queue_length(stalled_bytes),
            recv_max_size=RECV_MAX_SIZE,
            reconnect_time_min=REDIAL_MS // 2,
            reconnect_time_max=REDIAL_MS,
        )
        try:
            for prefix in prefixes:
                self._socket.subscribe(prefix)
            for address in addresses:
                self._dial(address)
        except BusError:
            self._socket.close()
            raise
        self.fd: int = self._socket.recv_fd  # readable when a message waits
        self._data = pynng.ffi.new("char **")
        self._size = pynng.ffi.new("size_t *")
        self.closed = False

    def _dial(self, address: str) -> None:
        try:
            self._socket.dial(address, block=False)
        except pynng.NNGException as error:
            raise BadAddress(f"can't subscribe at {address}: {error}") from None

    def drain(self, limit: int) -> list[bytes]:
        """Up to `limit` messages that are here now, without waiting. Raises BusError when the socket is closed."""
        # pynng's own recv raises an exception for an empty queue, once a drain: as dear as the message itself.
        lib, unpack = pynng.lib, pynng.ffi.unpack
        messages: list[bytes] = []
        while len(messages) < limit:
            failure = lib.nng_recv(self._socket.socket, self._data, self._size, _RECEIVE_NOW)
            if failure == lib.NNG_EAGAIN:
                break
            if failure:
                raise BusError(f"the bus socket failed: {_why(failure)}")
            messages.append(unpack(self._data[0], self._size[0]))
            lib.nng_free(self._data[0], self._size[0])
        return messages

    def close(self) -> None:
        """Close the socket; `fd` may be somebody else's from now on."""
        self.closed = True
        self._socket.close()


def _why(failure: int) -> str:
    return str(pynng.ffi.string(pynng.lib.nng_strerror(failure)).decode())


@contextmanager
def _private_ipc(address: str) -> Iterator[None]:
    """The socket and a missing directory of it are for our user alone, and for our group where the umask lets it write
    (007, say): nng follows the umask, and whoever may write to the socket may subscribe."""
    if not address.startswith("ipc://"):
        yield
        return
    path = Path(address.removeprefix("ipc://"))
    before = os.umask(0o077)
    hidden = 0o077 if before & 0o020 else 0o007
    try:
        os.umask(hidden)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_socket():
            raise FileExistsError("a file that isn't a socket is there")  # nng would delete it
        os.umask(hidden | 0o111)
        yield
    finally:
        os.umask(before)
