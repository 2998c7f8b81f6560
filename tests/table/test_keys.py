"""The keys of the live table: what each does, the text of a filter, and sequences of special keys."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.table.keys import MAX_SEQUENCE, MAX_TEXT, SORTS, Keys, QuitKey, View, hint
from feedbus.table.market_table import Order, Sort


def typed(*texts: str) -> Keys:
    keys = Keys()
    for text in texts:
        keys.type(text)
    return keys


def order(*texts: str) -> tuple[str, bool]:
    found = typed(*texts).view.order
    return found.sort, found.backwards


def test_every_sort_has_a_key() -> None:
    assert sorted(SORTS.values()) == sorted(get_args(Sort))
    assert not set(SORTS) & set("qtsr/?")


@pytest.mark.parametrize(("key", "sort"), SORTS.items())
def test_a_key_picks_a_sort_and_pressed_again_turns_it_around(key: str, sort: Sort) -> None:
    other = "v" if key != "v" else "l"
    assert order(other, key) == (sort, False)
    assert order(other, key, key) == (sort, True)
    assert order(other, key, key.upper(), key) == (sort, False)
    assert order(other, key, key, other, key) == (sort, False)


def test_s_goes_through_all_sorts_and_r_turns_around() -> None:
    assert [order("s" * count)[0] for count in range(len(SORTS) + 1)] == [*SORTS.values(), "updates"]
    assert order("sr") == ("instrument", True)
    assert order("srr") == ("instrument", False)
    assert order("srs") == ("last", False)


def test_t_and_the_question_mark_are_switches() -> None:
    assert [typed("t" * count).view.clock for count in range(3)] == [False, True, False]
    assert [typed("?" * count).view.help for count in range(3)] == [False, True, False]
    assert not typed("?/").view.help
    assert not typed("?\x1b").view.help


@pytest.mark.parametrize(
    ("text", "found", "typing"),
    [
        ("/", "", True),
        ("/sber", "sber", True),
        ("/sber\r", "sber", False),
        ("/sber\n", "sber", False),
        ("/sber\x1b", "", False),
        ("/sber\r\x1b", "", False),
        ("/sber\r/", "", True),
        ("/sber\r/gazp\r", "gazp", False),
        ("/sbex\x7fr", "sber", True),
        ("/sbex\br", "sber", True),
        ("/x\x7f\x7f\x7fs", "s", True),
        ("/sber\x15g", "g", True),
        ("/й q?t/us", "й q?t/us", True),
        ("/a\x00\x01\tb\x9b", "ab", True),
        ("/\x1b[Asb\x1bOq\x1bqer", "sber", True),
        ("/" + "x" * 99, "x" * MAX_TEXT, True),
        ("\r\x7f\x15", "", False),
    ],
)
def test_the_text_of_the_filter(text: str, found: str, typing: bool) -> None:
    for keys in (typed(text), typed(*text) if "\x1b" not in text else typed(text)):
        assert (keys.view.order.text, keys.view.typing, keys.quit) == (found, typing, False)
        assert (keys.view.order.sort, keys.view.clock) == ("updates", False)


def test_a_filter_stays_while_other_keys_are_pressed() -> None:
    view = typed("/sber\rvvt").view
    assert view == View(Order("volume", backwards=True, text="sber"), clock=True)


@pytest.mark.parametrize("text", ["q", "Q", "xq", "\x1b[Aq", "/q\rq", "/q\x1b", "\x1b"])
def test_q_quits_unless_it_is_text(text: str) -> None:
    assert typed(text).quit == (text.rstrip("\x1b")[-1:].lower() == "q" and not text.endswith("\x1b"))


SEQUENCES = [
    "\x1b[C",
    "\x1bOq",
    "\x1bOQ",
    "\x1b[15~",
    "\x1b[1;5q",
    "\x1b[[A",
    "\x1b[200~",
    "\x1b\x1b[C",
    "\x1b[1;5A",
    "\x1b[?1;2t",
]


@pytest.mark.parametrize("sequence", [*SEQUENCES, "\x1bq", "\x1bt", "\x1b/"])
def test_special_keys_and_alt_do_nothing(sequence: str) -> None:
    keys = typed("/x\rl" + sequence + "v")
    assert (keys.view, keys.quit) == (View(Order("volume", text="x")), False)


@pytest.mark.parametrize(
    ("sequences", "above"),
    [
        (["[B"], 1),
        (["OB", "[B", "[A"], 1),
        (["[A", "OA"], 0),
        (["[6~"], 10),
        (["[6~", "[6~", "[5~"], 10),
        (["[F"], 90),
        (["OF", "[B", "[6~"], 90),
        (["[4~", "[A"], 89),
        (["[8~", "[H"], 0),
        (["[6~", "OH"], 0),
        (["[6~", "[1~"], 0),
        (["[6~", "[7~"], 0),
    ],
)
def test_arrows_and_their_neighbours_scroll_from_the_first_to_the_last_row(sequences: list[str], above: int) -> None:
    keys = Keys()
    keys.fit(100, 10)
    for sequence in sequences:
        keys.type(f"\x1b{sequence}")
    assert keys.view == View(above=above)


@pytest.mark.parametrize(("typed", "above"), [("t", 90), ("?", 90), ("v", 0), ("r", 0), ("/", 90), ("/x", 0)])
def test_whatever_changes_the_rows_begins_with_the_first_one(typed: str, above: int) -> None:
    keys = Keys()
    keys.fit(100, 10)
    keys.type(f"\x1b[F{typed}")
    assert keys.view.above == above


def test_the_view_does_not_go_beyond_what_there_is() -> None:
    keys = typed("\x1b[B\x1b[F\x1b[6~")
    assert keys.view.above == 0, "nothing has been shown yet"
    keys.fit(100, 10)
    keys.type("\x1b[F")
    keys.fit(30, 20)
    assert keys.view.above == 10
    keys.fit(5, 20)
    assert keys.view.above == 0


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_the_sequence_of_a_special_key_may_come_in_two_parts(sequence: str) -> None:
    for cut in range(sequence.rindex("\x1b") + 2, len(sequence)):
        keys = typed("/x\rl" + sequence[:cut], sequence[cut:] + "v")
        assert (keys.view, keys.quit) == (View(Order("volume", text="x")), False)


def test_a_sequence_without_end_is_none() -> None:
    keys = typed("\x1b[", *["1"] * MAX_SEQUENCE, "q")
    assert keys.quit


@pytest.mark.parametrize(
    ("texts", "quits"),
    [
        (["q"], True),
        (["x", "yQ"], True),
        (["/q"], True),
        (["\x1bq\x1bOq\x1b[1;q"], False),
        (["\x1bO", "q"], False),
        (["\x1bO", "q", "q"], True),
        (["", "Q"], True),
        ([""], False),
    ],
)
def test_where_keys_have_no_other_use_q_alone_quits(texts: list[str], quits: bool) -> None:
    key = QuitKey()
    for text in texts:
        key.type(text)
    assert key.quit is quits


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("", "q quits  ? keys"),
        ("/x", "Enter keeps  Esc clears"),
        ("/x\r", "q quits  ? keys  Esc clears the filter"),
    ],
)
def test_the_hint_says_what_the_keys_do_now(texts: str, said: str) -> None:
    assert hint(typed(texts).view) == said


def test_the_help_names_every_key() -> None:
    said = hint(typed("?").view)
    assert all(f"{key} " in said for key in [*SORTS, "q", "t", "/", "s", "r"])


@given(st.lists(st.text(st.sampled_from("\x1b[O;19~AqQ/\r\n\x7f\x15stvй\x00 "), max_size=12) | st.text(max_size=5)))
def test_whatever_is_typed_gives_a_view(texts: list[str]) -> None:
    keys = typed(*texts)
    assert keys.view.order.sort in SORTS.values()
    assert len(keys.view.order.text) <= MAX_TEXT
    assert keys.view.order.text.isprintable()
    assert hint(keys.view)
