from __future__ import annotations

import msgspec

from feedbus.sim.seam import SimRequest
from feedbus.testing.truth.binance import ProbedBinance
from feedbus.testing.truth.venue import START_NS, LineMemory


def test_messages_are_known_by_their_stream() -> None:
    venue = ProbedBinance(1, 3, 1.0)
    memory = LineMemory()
    talk = venue.converse("/stream", START_NS)
    assert talk is not None
    assert not isinstance(talk, int)
    names = [f"{venue.symbols[0].lower()}@{channel}" for channel in venue.settings()["channels"]]
    request = msgspec.json.encode({"method": "SUBSCRIBE", "params": names, "id": 1}).decode()
    assert venue.heard(memory, request) == set(names)
    talk.receive(request, START_NS)
    words: set[str] = set()
    for _ in range(60):
        list(venue.advance())
        for frame in talk.due():
            topic = venue.topic(memory, frame)
            assert topic is not None
            assert topic.symbol == venue.symbols[0]
            words.update(topic.words)
            wrong = venue.misdirected(memory, topic, frame)
            assert isinstance(wrong, str)
            assert wrong != frame
            assert f'"s":"{venue.symbols[1]}"' in wrong
    assert words == set(venue.words)


def test_damage_hides_the_stream_of_some_changes_of_books_and_of_nothing_else() -> None:
    venue, memory = ProbedBinance(1, 3, 1.0), LineMemory()
    request = '{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","btcusdt@trade"],"id":1}'
    venue.heard(memory, request)

    def is_named(stream: str, rest: str) -> bool:
        damaged = venue.damaged(f'{{"stream":"btcusdt@{stream}","data":{{"s":"BTCUSDT","b":[{rest}]}}}}')
        return venue.topic(memory, damaged) is not None

    assert [is_named("trade", "1" * count) for count in (1, 2)] == [True, True]
    assert sorted(is_named("depth@100ms", "1" * count) for count in (1, 2)) == [False, True]


def test_a_ban_of_ours_is_no_ban_of_theirs_and_what_is_too_much_is_told() -> None:
    venue = ProbedBinance(1, 3, 1.0)
    venue.ban(5.0, START_NS)
    assert venue.converse("/stream", START_NS) == 418
    assert list(venue.over_budget()) == []
    later = START_NS + 60_000_000_000
    for _ in range(6100):
        venue.rest(SimRequest("GET", "/api/v3/ping", now_ns=later))
    assert [each for each in venue.over_budget() if "bans" in each]
    assert [each for each in venue.over_budget() if "weight" in each]
