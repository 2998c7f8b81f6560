"""What the simulated ALOR answers on /cws."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from feedbus.sim.alor.conversation import AlorCommandConversation
from feedbus.sim.alor.venue import AlorSimOptions, AlorVenue

NOW = 1_800_000_000_000_000_000
INITIALIZED = {"requestGuid": "a", "httpCode": 200, "message": "The connection has been initialized."}
HANDLED = {"requestGuid": "a", "httpCode": 200, "message": "Handled successfully"}
REFUSED = {"requestGuid": "a", "httpCode": 401, "message": "Invalid JWT token!"}


class Client:
    def __init__(self) -> None:
        self.venue = AlorVenue(AlorSimOptions(token_s=10), securities=[])
        self.commands = AlorCommandConversation(self.venue)
        self.token = self.venue.tokens.issue(NOW)

    def send(self, opcode: str, now_ns: int = NOW, **keys: Any) -> list[Any]:
        message = msgspec.json.encode({"opcode": opcode, "guid": "a", **keys})
        return [msgspec.json.decode(each) for each in self.commands.receive(message, now_ns)]


def test_a_connection_is_authorized_once_until_the_token_expires() -> None:
    client = Client()
    assert client.send("authorize", token=client.token) == [INITIALIZED]
    assert client.send("ping", confirm=True) == [HANDLED]
    assert client.send("ping") == []
    late = NOW + 10 * 10**9
    assert client.send("ping", late, confirm=True) == [REFUSED]
    assert client.send("authorize", late, token=client.venue.tokens.issue(late)) == [INITIALIZED]
    assert client.send("ping", late, confirm=True) == [HANDLED]


@pytest.mark.parametrize("opcode", ["ping", "create:limit", "authorize"])
@pytest.mark.parametrize("token", [None, "x"])
def test_before_that_all_is_refused(opcode: str, token: str | None) -> None:
    client = Client()
    assert client.send(opcode, token=token, confirm=True) == [REFUSED]
    assert client.send("ping", token=client.token, confirm=True) == [REFUSED]
    assert (client.venue.counters.tokens_refused, client.venue.counters.errors_sent) == (2, 2)


def test_a_bad_token_does_not_end_what_a_good_one_began() -> None:
    client = Client()
    client.send("authorize", token=client.token)
    assert client.send("authorize", token="x") == [REFUSED]
    assert client.send("ping", confirm=True) == [HANDLED]


@pytest.mark.parametrize("opcode", ["create:market", "delete:limit", "OrderBookGetAndSubscribe", "unsubscribe"])
def test_there_is_nothing_to_trade_with(opcode: str) -> None:
    client = Client()
    client.send("authorize", token=client.token)
    (answer,) = client.send(opcode)
    assert (answer["requestGuid"], answer["httpCode"]) == ("a", 400)
    assert opcode in answer["message"]


@pytest.mark.parametrize("data", [b"", "x", "[]", '{"opcode":"authorize"}'])
def test_what_is_no_request_is_answered_without_a_guid(data: bytes | str) -> None:
    (answer,) = [msgspec.json.decode(each) for each in Client().commands.receive(data, NOW)]
    assert (answer["requestGuid"], answer["httpCode"]) == ("", 400)


def test_nothing_comes_unasked() -> None:
    client = Client()
    assert (client.commands.due(), client.commands.goodbye()) == ([], [])
