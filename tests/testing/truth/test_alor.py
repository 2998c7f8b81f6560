from __future__ import annotations

import msgspec

from feedbus.sim.seam import SimRequest
from feedbus.testing.truth.alor import ProbedAlor
from feedbus.testing.truth.venue import START_NS, LineMemory


def token_of(venue: ProbedAlor) -> tuple[int, str]:
    answer = venue.rest(SimRequest("POST", "/refresh", b'{"token":"t"}', {}, START_NS))
    return answer.status, msgspec.json.decode(answer.body).get("AccessToken", "")


def test_messages_are_known_by_their_guid() -> None:
    venue = ProbedAlor(1, 3, 1.0)
    memory, token = LineMemory(), token_of(venue)[1]
    talk = venue.converse("/ws", START_NS)
    assert talk is not None
    assert not isinstance(talk, int)
    words = {}
    for opcode in ("OrderBookGetAndSubscribe", "AllTradesGetAndSubscribe", "QuotesSubscribe"):
        asked = {"opcode": opcode, "exchange": "MOEX", "code": venue.symbols[0], "guid": opcode, "token": token}
        request = msgspec.json.encode(asked).decode()
        assert venue.heard(memory, request) == {opcode}
        for frame in talk.receive(request, START_NS):
            if (topic := venue.topic(memory, frame)) is not None:
                words[topic.name] = topic.words
                assert topic.symbol == venue.symbols[0]
                assert venue.is_dated(topic) is (opcode != "QuotesSubscribe")
                wrong = venue.misdirected(memory, topic, frame)
                assert (wrong is None) is (opcode == "OrderBookGetAndSubscribe")
                assert wrong is None or (isinstance(wrong, str) and f'"{venue.symbols[1]}"' in wrong)
    assert words["OrderBookGetAndSubscribe"] == ("book",)
    assert words["QuotesSubscribe"] == ("quote", "ticker")
    assert venue.heard(memory, msgspec.json.encode({"opcode": "ping", "guid": "p", "token": token}).decode()) == set()


def test_logins_are_refused_and_old_tokens_too() -> None:
    venue = ProbedAlor(1, 3, 1.0)
    status, token = token_of(venue)
    assert status == 200
    venue.refuse_logins(refused=True)
    assert token_of(venue)[0] == 403
    talk = venue.converse("/ws", START_NS)
    assert talk is not None
    assert not isinstance(talk, int)
    asked = {"opcode": "QuotesSubscribe", "exchange": "MOEX", "code": venue.symbols[0], "guid": "g", "token": token}
    [answer] = talk.receive(msgspec.json.encode(asked).decode(), START_NS)
    assert '"httpCode":401' in str(answer)
    venue.refuse_logins(refused=False)
    assert token_of(venue)[0] == 200


def test_connections_beyond_the_limit_are_over_budget() -> None:
    venue = ProbedAlor(1, 3, 1.0)
    memory = LineMemory()
    venue.opened(memory)
    venue.closed(memory)
    assert list(venue.over_budget()) == []
