"""A peer at work: its venue, connector and subscriber, in processes of their own as in feedbus/bench/rig.py."""

from __future__ import annotations

import sys
from pathlib import Path

from feedbus.bench.binance_listing import binance_symbol
from feedbus.bench.rig import ROOT, Rig
from feedbus.bench.scenarios import Contender, Scenario
from tests.bench.peers.contenders import Peer, Place
from tests.free_port import free_port


class PeerRig(Rig):
    """The processes of one peer."""

    def __init__(self, scenario: Scenario, peer: Peer) -> None:
        super().__init__(scenario, Contender(peer.label), None)
        self._peer = peer

    def _commands(self, url: str, address: str, _folder: Path) -> tuple[list[str], list[str]]:
        symbols = [binance_symbol(number) for number in range(self._symbols)]
        place = Place(url, address, free_port(), symbols, sys.executable, str(ROOT), self._subscriber_arguments())
        return self._peer.commands(place)
