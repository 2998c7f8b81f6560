"""Topics: what matches exactly, what is a prefix, what is refused; the filter against a naive model."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feedbus.errors import BusError
from feedbus.schema.topics import MAX_RULES, MAX_TOPIC, Topic, TopicFilter, topic_of

WORDS = st.sampled_from(["book", "bookmetrics", "ticker", ""])
VENUES = st.sampled_from(["moex", "moex2", "alor"])
SYMBOLS = st.sampled_from(["TQBR.SBER", "TQBR.SBERP", "TQBR.", "TQB", "X.TQBR.SBER", "moex/3", ""])
TOPICS = st.one_of(
    st.sampled_from(["", "book", "book.", "ticker.moex.", "book.moex.TQBR.", "book.moex.TQBR.SBER", "b", "book.mo."]),
    st.builds(topic_of, st.sampled_from(["book", "ticker"]), VENUES, SYMBOLS.filter(bool)),
)


def naive(text: str, word: str, venue: str, symbol: str) -> bool:
    """The rule as the documentation says it, on the whole topic."""
    topic = topic_of(word, venue, symbol)
    if text == "":
        return True
    if "." not in text:
        return word == text
    return topic.startswith(text) if text.endswith(".") else topic == text


def test_a_topic_is_word_venue_symbol() -> None:
    assert topic_of("book", "moex", "TQBR.SBER") == "book.moex.TQBR.SBER"


@pytest.mark.parametrize(
    ("text", "topic", "matches"),
    [
        ("book.moex.TQBR.SBER", ("book", "moex", "TQBR.SBER"), True),
        ("book.moex.TQBR.SBER", ("book", "moex", "TQBR.SBERP"), False),
        ("book.moex.TQBR.SBER", ("book", "moex", "TQBR.SBE"), False),
        ("book.moex.TQBR.SBER", ("bookmetrics", "moex", "TQBR.SBER"), False),
        ("book.moex.TQBR.SBER", ("book", "moex2", "TQBR.SBER"), False),
        ("book.moex.TQBR.", ("book", "moex", "TQBR.SBER"), True),
        ("book.moex.TQBR.", ("book", "moex", "TQBRX.SBER"), False),
        ("book.moex.TQBR.", ("book", "moex", "X.TQBR.SBER"), False),
        ("book.moex.", ("book", "moex", "TQBR.SBER"), True),
        ("book.moex.", ("book", "moex2", "TQBR.SBER"), False),
        ("book.", ("book", "moex", "TQBR.SBER"), True),
        ("book", ("book", "moex", "TQBR.SBER"), True),
        ("book", ("bookmetrics", "moex", "TQBR.SBER"), False),
        ("", ("feed", "moex", "moex/3"), True),
    ],
)
def test_a_topic_is_one_instrument_unless_it_ends_in_a_dot(
    text: str, topic: tuple[str, str, str], matches: bool
) -> None:
    assert Topic(text).matches(*topic) is matches
    assert TopicFilter([text]).matches(*topic) is matches


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("", b""),
        ("book", b"book."),
        ("book.", b"book."),
        ("book.moex.", b"book.moex\0"),
        ("book.moex.TQBR.", b"book.moex\0"),
        ("book.moex.TQBR.SBER", b"book.moex\0"),
    ],
)
def test_nng_filters_by_word_and_venue(text: str, prefix: bytes) -> None:
    assert Topic(text).wire_prefix == prefix


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("book.moex", "names a venue and no symbol: write 'book.moex.'"),
        ("book..SBER", "names no venue"),
        ("book..", "names no venue"),
        ("book..TQBR.", "names no venue"),
        (".moex.SBER", "no word before its first dot"),
        (".", "no word before its first dot"),
        ("book.moex.A\0B", "not a topic"),
        ("b" * (MAX_TOPIC + 1), "not a topic"),
        ("book.moex.\udcff", "not a topic"),
        ("\udcff", "not a topic"),
    ],
)
def test_a_topic_that_could_never_match_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(BusError, match=complaint) as caught:
        Topic(text)
    assert str(caught.value).isprintable()


def test_a_filter_asks_nng_for_no_prefix_twice() -> None:
    topics = TopicFilter(["book.moex.TQBR.SBER", "book.moex.TQBR.GAZP", "ticker.moex.", "feed"])
    assert topics.wire_prefixes == [b"book.moex\0", b"feed.", b"ticker.moex\0"]


def test_a_filter_without_topics_matches_nothing() -> None:
    assert not TopicFilter([]).matches("book", "moex", "TQBR.SBER")


@given(st.lists(TOPICS, max_size=4), st.lists(st.tuples(WORDS, VENUES, SYMBOLS), max_size=6))
def test_a_filter_agrees_with_its_topics_and_with_a_naive_model(
    texts: list[str], asked: list[tuple[str, str, str]]
) -> None:
    filtered = TopicFilter(texts)
    for topic in asked:
        wanted = any(naive(text, *topic) for text in texts)
        assert filtered.matches(*topic) is wanted
        assert any(Topic(text).matches(*topic) for text in texts) is wanted


@given(TOPICS, WORDS, VENUES, SYMBOLS)
def test_whatever_matches_passes_the_filter_of_nng(text: str, word: str, venue: str, symbol: str) -> None:
    if Topic(text).matches(word, venue, symbol):
        assert f"{word}.{venue}\0".encode().startswith(Topic(text).wire_prefix)


@given(st.text(max_size=20))
@example("book.moex.x")
@example("..")
def test_any_text_is_a_topic_or_a_bus_error(text: str) -> None:
    try:
        topic = Topic(text)
    except BusError:
        return
    assert topic.matches(topic.word, topic.venue, topic.symbol)


def test_a_filter_remembers_a_bounded_number_of_rules() -> None:
    filtered = TopicFilter(["book.moex.TQBR.SBER"])
    for number in range(2 * MAX_RULES):
        filtered.matches(f"word{number}", "moex", "TQBR.SBER")
    assert len(filtered._rules) == MAX_RULES
    assert filtered.matches("book", "moex", "TQBR.SBER")
