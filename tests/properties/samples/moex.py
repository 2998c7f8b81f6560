"""One conversation with MOEX, as the simulated exchange has it: what the properties of every Session begin with.

SYMBOLS are subscribed on CHANNELS, FRAMES are the venue's part of it in order, OTHERS are frames that turn it.
"""

from __future__ import annotations

from feedbus.sim.moex import catalogue
from feedbus.sim.moex.conversation import MoexConversation
from feedbus.sim.moex.venue import MoexSimOptions, MoexVenue
from feedbus.venues.moex.account import Account
from feedbus.venues.moex.stomp import build
from feedbus.venues.protocol import Send

SYMBOLS = ["TQBR.SBER", "TQBR.GAZP"]
BOARDS = ["TQBR"]
CHANNELS = ["orderbooks", "securities", "candles.M1"]
STEPS = 3
CATALOGUE = build("CONNECTED", {}, b'{"structure":{"MXSE":{"streams":[]}}}')


def _conversation() -> list[bytes]:
    """Login, subscriptions and a few market steps. The catalogue of 104 KB is left out: it has tests of its own."""
    securities = [security for security in catalogue.securities() if security.symbol in SYMBOLS]
    venue = MoexVenue(MoexSimOptions(start_ns=1_719_825_533_000_000_000), securities=securities)
    conversation = MoexConversation(venue)
    session = Account({}, CHANNELS).session(SYMBOLS)
    frames: list[bytes] = []
    effects = list(session.opened(0.0))
    while sends := [effect.data for effect in effects if isinstance(effect, Send)]:
        answers = [answer for data in sends for answer in conversation.receive(data, 1)]
        answers = [CATALOGUE if answer.startswith(b"CONNECTED") else answer for answer in answers]
        frames += answers
        effects = [effect for answer in answers for effect in session.frame(answer, 1, 0.0)]
    for _ in range(STEPS):
        venue.market.advance()
        frames += conversation.due()
    return frames


FRAMES = _conversation()
OTHERS = [
    b"\n",
    b"ERROR\nmessage:Access denied\n\n\0",
    b"ERROR\nmessage:gateway.timeout\n\n\0",
    b"ERROR\nmessage:gateway.not-connected\n\n\0",
    b"ERROR\nsubscription:1\nmessage:no\n\n\0",
    b"CLOSED\nsubscription:2\n\n\0",
    b"RECEIPT\nreceipt-id:3\n\n\0",
    b"REPLY\nrequest-id:1\n\n{}\0",
    *(frame.replace(b'"type":"snapshot"', b'"type":"updates"') for frame in FRAMES[-2:]),
    *(frame.replace(b'"type":"updates"', b'"type":"removal"') for frame in FRAMES[-2:]),
]
