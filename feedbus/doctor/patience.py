"""How long each check may take, and so all of them together. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import msgspec

AT_A_TIME = 8
"""Feeds that are looked at together."""


class Patience(msgspec.Struct, frozen=True):
    """Seconds.

    lookup   of a name, IPv4 and IPv6 together
    tcp      to all addresses together, and then for the tunnel of a proxy
    tls      one handshake; when it fails there are two more, to see what was shown and to whom it would be good
    listing  what the venue lists of our symbols
    account  what an account needs before it connects, such as an access token
    connect  opening the WebSocket, unless connect_timeout is shorter
    login    from an open connection to an accepted login
    answer   from the login to an answer about each subscription
    data     from there to data on each channel, and from there to an update
    watch    in which delays are measured, once there is data
    goodbye  to close the connection
    ntp      for the answer of a time server
    machine  for files, sockets and disks of this machine
    """

    lookup: float = 5.0
    tcp: float = 5.0
    tls: float = 5.0
    listing: float = 20.0
    account: float = 15.0
    connect: float = 20.0
    login: float = 12.0
    answer: float = 12.0
    data: float = 15.0
    watch: float = 2.0
    goodbye: float = 3.0
    ntp: float = 3.0
    machine: float = 10.0

    @property
    def for_place(self) -> float:
        """For one address. All addresses of a feed are looked at together."""
        return 2 * self.lookup + 2 * self.tcp + 3 * self.tls

    @property
    def for_feed(self) -> float:
        """For all checks of one feed."""
        trial = self.account + self.connect + self.login + self.answer + 2 * self.data + self.watch + self.goodbye
        return self.for_place + self.listing + trial

    def at_most(self, feeds: Sequence[object]) -> float:
        """For everything, with so many feeds. The checks of the machine are made beside those of the feeds."""
        return max(self.machine + self.lookup + 2 * self.ntp, ceil(len(feeds) / AT_A_TIME) * self.for_feed)
