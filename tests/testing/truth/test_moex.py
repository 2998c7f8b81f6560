from __future__ import annotations

from feedbus.testing.determinism import EPOCH_NS
from feedbus.testing.truth.moex import ProbedMoex
from feedbus.testing.truth.venue import LineMemory
from feedbus.venues.moex import stomp

LOGIN = stomp.build("CONNECT", {"domain": "DEMO", "login": "guest", "passcode": "guest"})


def subscribed(venue: ProbedMoex) -> tuple[LineMemory, list[bytes]]:
    """A conversation about the first ticker, and all its messages so far."""
    memory = LineMemory()
    talk = venue.converse("/infocx/v3/websocket", EPOCH_NS)
    assert talk is not None
    assert not isinstance(talk, int)
    frames = list(talk.receive(LOGIN, EPOCH_NS))
    for number, channel in enumerate(("orderbooks", "securities"), 1):
        headers = {"destination": f"MXSE.{channel}", "id": str(number), "receipt": str(number)}
        request = stomp.build("SUBSCRIBE", {**headers, "selector": f'TICKER="MXSE.{venue.symbols[0]}"'})
        assert venue.heard(memory, request) == {str(number)}
        frames += talk.receive(request, EPOCH_NS)
    for _ in range(40):
        list(venue.advance())
        frames += talk.due()
    return memory, [frame for frame in frames if isinstance(frame, bytes)]


def test_messages_are_known_by_their_subscription_and_told_apart_by_what_they_tell() -> None:
    venue = ProbedMoex(1, 3, 1.0)
    memory, frames = subscribed(venue)
    topics = [venue.topic(memory, frame) for frame in frames]
    assert {topic.words for topic in topics if topic} == {("book",), ("ticker",)}
    assert {topic.symbol for topic in topics if topic} == {venue.symbols[0]}
    assert topics[0] is None  # CONNECTED
    books = [frame for frame, topic in zip(frames, topics, strict=True) if topic and topic.words == ("book",)]
    tickers = [frame for frame, topic in zip(frames, topics, strict=True) if topic and topic.words == ("ticker",)]
    assert {venue.cells(frame) for frame in books} == {None}
    assert venue.cells(tickers[0]) is None  # a snapshot tells everything
    told = [cells for frame in tickers[1:] if (cells := venue.cells(frame)) is not None]
    assert len(told) == len(tickers) - 1
    assert any("BID" in cells for cells in told)
    assert all(cells <= {"LAST", "BID", "OFFER", "NUMTRADES"} for cells in told)


def test_a_misdirected_message_is_a_whole_one_about_another_ticker() -> None:
    venue = ProbedMoex(1, 3, 1.0)
    memory, frames = subscribed(venue)
    for frame in frames:
        topic = venue.topic(memory, frame)
        if topic is None:
            continue
        wrong = venue.misdirected(memory, topic, frame)
        if topic.words == ("book",):
            assert wrong is None
        else:
            assert isinstance(wrong, bytes)
            [parsed] = stomp.frames(wrong)
            assert parsed.headers["subscription"] == topic.name
            assert venue.symbols[1].encode() in parsed.body


def test_logins_are_refused_and_accepted_again() -> None:
    venue = ProbedMoex(1, 3, 1.0)

    def answer() -> bytes:
        talk = venue.converse("/infocx/v3/websocket", EPOCH_NS)
        assert talk is not None
        assert not isinstance(talk, int)
        [frame] = talk.receive(LOGIN, EPOCH_NS)
        assert isinstance(frame, bytes)
        return frame[:5]

    assert answer() == b"CONNE"
    venue.refuse_logins(refused=True)
    assert answer() == b"ERROR"
    venue.refuse_logins(refused=False)
    assert answer() == b"CONNE"
