"""The nng sockets of the bus. This is the only module that imports pynng, whose errors become BusError here.

nng bounds a queue by the number of its messages, and drops the oldest message of a full queue without reporting it. So
the lengths of both queues are set here, and subscribers find every loss by the sequence numbers in the messages. nng
must not be used in a process that was forked after this module was imported, because its threads don't exist there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from pathlib import Path

import pynng

from feedbus.bus.ipc_file import IpcFile
from feedbus.errors import BadAddress, BusError

RECV_MAX_SIZE = 1024 * 1024  # bytes of the largest message that a subscriber accepts
MESSAGE_SIZE = 16 * 1024  # bytes; events are packed into messages of at most this size, unless one event is larger
STALLED_BYTES = 64 * 1024 * 1024  # bytes that may wait for a subscriber that doesn't read
QUEUE_LIMIT = 8192  # messages in the longest queue that nng permits
MAX_LISTENERS = 4
"""How often a socket whose file was deleted is bound while all its subscribers stay. Each time costs a descriptor."""
DRAIN = 4
"""Messages that a subscriber takes from nng before other tasks get their turn. A message may hold a hundred events."""
REDIAL_MS = 100  # milliseconds after which a missing publisher is dialled again at the latest

_NOW = pynng.lib.NNG_FLAG_NONBLOCK
# With ALLOC, nng hands over the memory of the message itself, which has to be freed here.
_RECEIVE_NOW = _NOW | pynng.lib.NNG_FLAG_ALLOC


def queue_length(stalled_bytes: int) -> int:
    """Return how many messages of MESSAGE_SIZE make up this many bytes, from 1 to QUEUE_LIMIT."""
    return max(1, min(QUEUE_LIMIT, stalled_bytes // MESSAGE_SIZE))


class PubSocket:
    """Publishes to every subscriber that has dialled, and never waits for one."""

    def __init__(self, address: str, stalled_bytes: int = STALLED_BYTES) -> None:
        """Listen at `address`. `stalled_bytes` bounds what may wait for each subscriber. Raises BusError when the
        address can't be bound, for instance because it is in use."""
        self.address = address
        self._file = IpcFile(Path(address.removeprefix("ipc://"))) if address.startswith("ipc://") else None
        self._socket = pynng.Pub0(send_buffer_size=queue_length(stalled_bytes))
        self._handle = self._socket.socket  # what nng's functions take
        self._listeners: deque[pynng.Listener] = deque()  # those at `address`, the newest last
        try:
            self._listen()
        except BusError:
            self.close()
            raise

    def lost(self) -> str | None:
        """Return why nobody can join at the address any more, for people; None while all is well. Only the file of an
        ipc:// address can be lost."""
        return self._file.lost() if self._file is not None else None

    def bind_again(self) -> None:
        """Bind the address again, whose file was deleted. Those who have joined stay. Raises BusError, for instance
        when another process has taken the address."""
        self._listen()
        if len(self._listeners) > MAX_LISTENERS and self._file is not None:
            with self._file.put_aside():
                self._listeners.popleft().close()  # whoever has joined there dials again

    def _listen(self) -> None:
        before = self._socket.listeners
        try:
            with self._file.binding() if self._file is not None else nullcontext():
                self._socket.listen(self.address)
        except (pynng.NNGException, OSError) as error:
            raise BusError(f"can't publish at {self.address}: {_words(error)}") from None
        self._listeners += [each for each in self._socket.listeners if each not in before]

    def send(self, message: bytes) -> None:
        """Hand a message to nng, which queues it for each subscriber. Raises BusError when the socket is closed."""
        failure = pynng.lib.nng_send(self._handle, message, len(message), _NOW)
        if failure:
            raise BusError(f"can't publish at {self.address}: {_why(failure)}")

    def close(self) -> None:
        """Close the socket. What is still queued for subscribers is lost to them."""
        with self._file.closing() if self._file is not None else nullcontext():
            self._socket.close()


class NngSubscriber:
    """An nng socket that receives the messages which begin with one of its prefixes, from any number of publishers."""

    def __init__(self, prefixes: Iterable[bytes], stalled_bytes: int) -> None:
        """`stalled_bytes` bounds what may wait here unread. The oldest messages are dropped when it is exceeded."""
        self._socket = pynng.Sub0(
            recv_buffer_size=queue_length(stalled_bytes),
            recv_max_size=RECV_MAX_SIZE,
            reconnect_time_min=REDIAL_MS // 2,
            reconnect_time_max=REDIAL_MS,
        )
        self._dialled: dict[int, str] = {}
        for prefix in prefixes:
            self._socket.subscribe(prefix)
        self.fd: int = self._socket.recv_fd  # it is readable when a message waits
        # nng_recv writes the address and the size of a message here. They are made once, not for each message.
        self._data = pynng.ffi.new("char **")
        self._size = pynng.ffi.new("size_t *")

    def dial(self, address: str) -> None:
        """Dial a publisher in the background, again and again while it is missing. Raises BadAddress."""
        try:
            self._dialled[self._socket.dial(address, block=False).id] = address
        except pynng.NNGException as error:
            raise BadAddress(f"can't subscribe at {address}: {error}") from None

    def connected(self) -> list[str]:
        """Return the addresses at which it is connected with a publisher now."""
        found = []
        for pipe in self._socket.pipes:
            with suppress(KeyError, TypeError):  # it was closed just now, by nng's thread
                found.append(self._dialled[pipe.dialer.id])
        return found

    def drain(self) -> list[bytes]:
        """Return up to DRAIN messages that wait here, without waiting. Raises BusError when the socket fails."""
        # pynng's own recv raises an exception for an empty queue. Each drain ends with that, and an exception costs as
        # much as receiving a message.
        lib, unpack = pynng.lib, pynng.ffi.unpack
        messages: list[bytes] = []
        while len(messages) < DRAIN:
            failure = lib.nng_recv(self._socket.socket, self._data, self._size, _RECEIVE_NOW)
            if failure == lib.NNG_EAGAIN:
                break
            if failure:
                raise BusError(f"the bus socket failed: {_why(failure)}")
            messages.append(unpack(self._data[0], self._size[0]))
            lib.nng_free(self._data[0], self._size[0])
        return messages

    def close(self) -> None:
        """Close the socket. The number `fd` may belong to another file from now on."""
        self._socket.close()


def _why(failure: int) -> str:
    return str(pynng.ffi.string(pynng.lib.nng_strerror(failure)).decode())


def _words(error: Exception) -> str:
    """What went wrong, without the number of an OSError and its path, which the address shows already."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
