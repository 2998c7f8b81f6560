"""One conversation with ALOR, as its specification and its users' captures show it: ten subscriptions, each answered
and with data, in either order.

SYMBOLS are subscribed on CHANNELS with CREDENTIALS, FRAMES are the venue's part of it in order, OTHERS are frames that
turn it; `answer` is what its servers answer to a Fetch, and SECRETS is what no text may hold. LISTED is a page of the
list of BOARD.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from feedbus.venues.listings import Selection
from feedbus.venues.protocol import Fetch, FetchResponse

SYMBOLS = ["SBER", "MOEX:CNY-3.23:RFUD"]
SELECTION = Selection(("TQBR",), ("MOEX:S*:TQBR",))
CHANNELS = ["orderbook", "alltrades", "quotes", "bars_60", "instruments"]
CREDENTIALS = {"refresh_token": "5c2f1a90-refresh-token"}
TIME = 1_702_631_123_780


LISTED = json.dumps(
    [
        {
            "symbol": "SBER",
            "exchange": "MOEX",
            "board": "TQBR",
            "primaryBoard": "TQBR",
            "ISIN": "RU0009029540",
            "lotSize": 1,
            "minStep": 0.01,
            "roundTo": 2,
            "cfiCode": "ESXXXX",
            "currency": "RUB",
            "type": "CS",
        }
    ]
).encode()


def jwt(number: int, life: int = 1800) -> str:
    """An access token as ALOR's are: its payload says how long it lives."""
    parts: list[dict[str, Any]] = [{"alg": "ES256"}, {"iss": "Alor.Identity", "iat": number, "exp": number + life}]
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*texts, f"signature{number}"])


TOKEN = jwt(1_702_631_000)
SECRETS = [*CREDENTIALS.values(), TOKEN]


def answer(fetch: Fetch) -> FetchResponse:
    """A new access token for the refresh token."""
    assert (fetch.method, fetch.service, fetch.path) == ("POST", "auth", "/refresh")
    assert json.loads(fetch.body) == {"token": CREDENTIALS["refresh_token"]}
    return FetchResponse(200, json.dumps({"AccessToken": TOKEN}).encode(), 1)


def ack(guid: str, code: int = 200, message: str = "Handled successfully") -> bytes:
    return json.dumps({"requestGuid": guid, "httpCode": code, "message": message}, separators=(",", ":")).encode()


def data(guid: str, body: str) -> bytes:
    """With the spaces that the exchange writes."""
    return f'{{ "data": {body}, "guid":"{guid}" }}'.encode()


def book(bid: float, ask: float) -> str:
    bids = f'[{{"p":{bid},"v":157}},{{"p":{bid - 1},"v":3}}]'
    return f'{{"b":{bids},"a":[{{"p":{ask},"v":288,"y":16.21}}],"t":{TIME},"h":true}}'


def trade(number: int, *, existing: bool = False) -> str:
    past = str(existing).lower()
    return f'{{"id":{number},"sym":"[N/A]","bd":"TQBR","q":79,"px":10.24500,"t":{TIME},"oi":0,"h":{past},"s":"sell"}}'


QUOTES = (
    '{"sym":"SBER","ex":"MOEX","desc":"Сбербанк","tst":1702631123,"tso":%s,"o":272.19,"h":272.59,"l":271.48,"c":272,'
    '"v":5614360,"acci":0,"oi":null,"y":null,"ask":272,"bid":271.99,"av":4097,"bv":237,"tbv":328865,"tav":543594,'
    '"lot":10,"lotv":2720,"fv":3,"t":"CS"}'
)

INSTRUMENT = '{"sym":"%s","ex":"MOEX","bd":"%s","st":17,"sti":"нормальный период торгов","pxmn":228.78,"pxmx":279.96}'


def bar(minute: int, close: float) -> str:
    return f'{{"t":{1_702_631_040 + 60 * minute},"c":{close},"o":192.18,"h":192.2,"l":192.15,"v":1960}}'


FRAMES = [
    data("o1", '{"b":[],"a":[],"t":1671223802393,"h":true}'),
    ack("o1"),
    ack("a2"),
    data("a2", trade(9237394357)),
    ack("q3"),
    data("q3", QUOTES % "null"),
    data("q8", (QUOTES % TIME).replace('"SBER"', '"CNY-3.23"')),
    ack("q8"),
    ack("o6"),
    data("o6", book(271.99, 272)),
    ack("a7"),
    data("a7", trade(2022426556961456082)),
    data("o1", book(257.7, 257.71)),
    data("o6", book(257.7, 256)),
    data("a2", trade(9237394358)),
    data("q3", QUOTES % TIME),
    data("b4", bar(0, 192.16)),
    data("b4", bar(1, 192.17)),
    ack("b4"),
    ack("b9"),
    data("b9", bar(1, 10.245)),
    data("i5", INSTRUMENT % ("SBER", "TQBR")),
    ack("i5"),
    ack("i10"),
    data("i10", INSTRUMENT % ("CNY-3.23", "RFUD")),
    data("b4", bar(1, 192.18)),
    data("b4", bar(2, 192.19)),
    data("i5", '{"sym":"SBER","pxmn":228.78,"pxmx":279.96}'),
    data("i5", '{"sym":"SBER","st":18}'),
]
OTHERS = [
    b"pong",
    b"{}",
    ack("o1", 401, "Invalid JWT token!"),
    ack("a2", 401, "Invalid JWT token!"),
    ack("o11", 401, f"Invalid JWT token {TOKEN}!"),
    ack("q3", 400, f"Bad request: no such instrument {CREDENTIALS['refresh_token']}"),
    ack("p11"),
    ack("p12", 401, "Invalid JWT token!"),
    ack("p13", 400, "no such opcode"),
    ack("nobody"),
    b'{"httpCode":400,"message":"' + TOKEN.encode() + b'"}',
    data("a7", trade(1, existing=True)),
    data("a7", trade(1).replace('"sell"', f'"{TOKEN}"')),
    data("o13", book(1, 2)),
    data("a2", book(1, 2)),
    data("o6", trade(2)),
    data("b4", bar(-1, 1)),
    data("b4", bar(10**6, 1)),
    data("b9", '{"t":1702631040,"c":null,"o":0,"h":-1,"l":1e300,"v":-1}'),
    data("i5", '{"sym":"GAZP","st":18}'),
    data("i5", '{"bd":null,"st":"T"}'),
    data("b4", book(1, 2)),
]

BOARD = "TQBR"
BOARDS = [BOARD]
LISTED = (
    b'[{"symbol":"SBER","exchange":"MOEX","board":"TQBR","primaryBoard":"TQBR","lotSize":1,"minStep":0.01,"roundTo":2,'
    b'"currency":"RUB","ISIN":"RU0009029540","type":"CS","tradingStatus":17}]'
)
