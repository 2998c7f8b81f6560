"""Frames of the Moscow Exchange, as its gateway sends them."""

from __future__ import annotations

CONNECTED = b'CONNECTED\n\n{"structure":{"MXSE":{"streams":[{"name":"orderbooks"}]}}}\0'
DENIED = b"ERROR\nmessage:Access denied\n\n\0"


def receipt(name: str) -> bytes:
    return f"RECEIPT\nreceipt-id:{name}\n\n\0".encode()


def book(name: str, bid: float = 1.5, timestamp: int = 1_000) -> bytes:
    """A book of one bid, for the subscription of this name."""
    body = (
        f'{{"properties":{{"type":"snapshot","seqnum":5,"timestamp":{timestamp}}},\n'
        f'"columns":["BUYSELL","PRICE","QUANTITY","REPOVALUE"],\n"data":[["B",[{bid},2],10,null]]}}'
    )
    return f"MESSAGE\ncontent-length:{len(body)}\nsubscription:{name}\n\n{body}\0".encode()
