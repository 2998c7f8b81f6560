"""One conversation with MOEX, as the simulated exchange has it: what the properties of every Session begin with.

SYMBOLS are subscribed on CHANNELS, FRAMES are the venue's part of it in order, OTHERS are frames that turn it. LISTED
is a page of the list of BOARD. `body` and `with_body` take a frame apart, `heavy` makes the frames that cost the most.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from feedbus.sim.moex import catalogue
from feedbus.sim.moex.conversation import MoexConversation
from feedbus.sim.moex.venue import MoexSimOptions, MoexVenue
from feedbus.venues.listings import Selection
from feedbus.venues.moex.account import Account
from feedbus.venues.moex.stomp import MAX_FRAMES, build
from feedbus.venues.protocol import Send

SYMBOLS = ["TQBR.SBER", "TQBR.GAZP"]
SELECTION = Selection(("TQBR",))
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

BOARD = "TQBR"
LISTED = (
    b'{"securities":{"columns":["SECID","BOARDID","LOTSIZE","STATUS","DECIMALS","MINSTEP","ISIN","SECTYPE"],'
    b'"data":[["SBER","TQBR",1,"A",2,0.01,"RU0009029540","1"]]}}'
)


def body(frame: bytes) -> bytes:
    """What a frame carries behind its headers."""
    return frame.partition(b"\n\n")[2].rstrip(b"\0")


def with_body(frame: bytes, body: bytes) -> bytes:
    """The frame with another body."""
    head = frame.partition(b"\n\n")[0].decode()
    command, *lines = head.split("\n")
    headers = dict(line.split(":", 1) for line in lines)
    return build(command, headers | {"content-length": str(len(body))}, body)


def heavy(size: int) -> Iterator[tuple[str, bytes]]:
    """Frames of about `size` bytes that are the most work for a parser of STOMP, or of tables."""

    def frames(head: str, count: int, fill: str) -> bytes:
        room = max(0, size // count - len(head) - 4) // len(fill)
        return f"{head}{fill * room}\n\n\0".encode() * count

    yield "escapes in many errors", frames("ERROR\nmessage:", MAX_FRAMES, "\\n")
    yield "backslashes in many errors", frames("ERROR\nmessage:", MAX_FRAMES, "\\\\")
    yield "many headers", frames("MESSAGE\n" + "a:b\n" * 63, size // 16_000 + 1, "c")
    yield "many colons", frames("MESSAGE\n", size // 16_000 + 1, ":")
    yield "many unknown commands", frames("", size // 8 + 1, "X")
    yield "nothing but line ends", b"\n" * size
    yield "nothing but line ends and returns", b"\r\n" * (size // 2)
    tables = {of.partition(b"columns")[2][:9]: of for of in FRAMES if of.startswith(b"MESSAGE")}
    for of in tables.values():
        table = json.loads(body(of))
        columns, row = table["columns"], table["data"][0]
        for label, bad in (("texts", "?"), ("numbers", -1), ("lists", [[]])):
            for rows in (1, 1999):
                times = size // rows // (len(json.dumps(bad)) + 2) // 2
                wide = {**table, "columns": columns + columns[1:2] * times, "data": [row + [bad] * times] * rows}
                yield f"{rows} rows of unreadable {label}", with_body(of, json.dumps(wide).encode())
        broken = [row[0], *(["?"] * (len(row) - 1))]
        many = {**table, "data": [broken] * min(size // len(json.dumps(broken)), 2000)}
        yield "2000 rows without a cell that can be read", with_body(of, json.dumps(many).encode())
        yield (
            "many small tables",
            (with_body(of, json.dumps({**table, "data": [broken] * 5}).encode()) * MAX_FRAMES)[:size],
        )
