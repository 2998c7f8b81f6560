"""STOMP frames: what is built, what is parsed, what is refused, and that the short cut agrees with the parser."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from feedbus.errors import BadData
from feedbus.venues.moex import stomp
from feedbus.venues.moex.stomp import MAX_FRAMES, MAX_HEAD, MAX_HEADERS, StompFrame, build, parse, split_message
from tests import places

CAPTURES = places.CAPTURES / "moex"

COMMANDS = st.sampled_from(["MESSAGE", "RECEIPT", "CONNECTED", "ERROR", "CLOSED", "XYZ"])
PLAIN = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r\n\\"), max_size=12)
NAMES = PLAIN.filter(lambda name: ":" not in name and name != "content-length")
HEADERS = st.dictionaries(NAMES, PLAIN, max_size=4)
BODIES = st.binary(max_size=40)


@pytest.mark.parametrize(
    ("command", "headers", "body", "data"),
    [
        ("DISCONNECT", {}, b"", b"DISCONNECT\n\n\0"),
        (
            "CONNECT",
            {"domain": "DEMO", "login": "guest", "passcode": "guest"},
            b"",
            b"CONNECT\ndomain:DEMO\nlogin:guest\npasscode:guest\n\n\0",
        ),
        ("CONNECT", {"passcode": "a:b\\c"}, b"", b"CONNECT\npasscode:a:b\\c\n\n\0"),
        ("SEND", {"имя": "é"}, b"{}", "SEND\nимя:é\n\n{}\0".encode()),
    ],
)
def test_a_frame_is_written_with_lf_and_raw_values(
    command: str, headers: Mapping[str, str], body: bytes, data: bytes
) -> None:
    assert build(command, headers, body) == data


@pytest.mark.parametrize(
    ("command", "headers"),
    [("A\nB", {}), ("A", {"id": "1\nid:2"}), ("A", {"id": "1\0"}), ("A", {"id\r": "1"}), ("A", {"id": "\r"})],
)
def test_a_header_that_would_break_the_frame_is_not_written(command: str, headers: Mapping[str, str]) -> None:
    with pytest.raises(ValueError, match="line end or a NUL"):
        build(command, headers)


@pytest.mark.parametrize(
    ("data", "frames"),
    [
        (b"", []),
        (b"\n", []),
        (b"\r\n\n\r\n", []),
        (b"RECEIPT\nreceipt-id:7\n\n\0", [StompFrame("RECEIPT", {"receipt-id": "7"}, b"")]),
        (b"\n\nRECEIPT\nreceipt-id:7\n\n\0\n\r\n", [StompFrame("RECEIPT", {"receipt-id": "7"}, b"")]),
        (b"RECEIPT\nreceipt-id:7\n\n", [StompFrame("RECEIPT", {"receipt-id": "7"}, b"")]),
        (b"RECEIPT\r\nreceipt-id:7\r\n\r\n\0", [StompFrame("RECEIPT", {"receipt-id": "7"}, b"")]),
        (b"CONNECTED\n\n{}\0", [StompFrame("CONNECTED", {}, b"{}")]),
        (b"CONNECTED\n\n{}", [StompFrame("CONNECTED", {}, b"{}")]),
        (b"CONNECTED\n\n{\n\n}\n\0", [StompFrame("CONNECTED", {}, b"{\n\n}\n")]),
        (b"E\nmessage:a:b:c\n\n\0", [StompFrame("E", {"message": "a:b:c"}, b"")]),
        (b"E\nmessage: a\n\n\0", [StompFrame("E", {"message": " a"}, b"")]),
        (b"E\nmessage:\n:x\n\n\0", [StompFrame("E", {"message": "", "": "x"}, b"")]),
        (b"E\nid:1\nid:2\n\n\0", [StompFrame("E", {"id": "1"}, b"")]),
        (b"E\nm:a\\cb\\nc\\rd\\\\e\\qf\\\n\n\0", [StompFrame("E", {"m": "a:b\nc\rd\\e\\qf\\"}, b"")]),
        (b"M\ncontent-length:3\n\na\0b\0", [StompFrame("M", {"content-length": "3"}, b"a\0b")]),
        (b"M\ncontent-length:3\n\na\0b", [StompFrame("M", {"content-length": "3"}, b"a\0b")]),
        ("M\ncontent-length:4\n\nжж\0".encode(), [StompFrame("M", {"content-length": "4"}, "жж".encode())]),
        (b"M\ncontent-length:0\n\n\0", [StompFrame("M", {"content-length": "0"}, b"")]),
        (b"A\n\n1\0B\n\n2\0\nC\n\n", [StompFrame("A", {}, b"1"), StompFrame("B", {}, b"2"), StompFrame("C", {}, b"")]),
        (
            b"A\ncontent-length:1\n\n1B\n\n\0",
            [StompFrame("A", {"content-length": "1"}, b"1"), StompFrame("B", {}, b"")],
        ),
    ],
)
def test_frames_are_read(data: bytes, frames: list[StompFrame]) -> None:
    assert parse(data) == frames
    assert parse(bytearray(data)) == frames


@pytest.mark.parametrize(
    ("data", "place", "reason"),
    [
        (b"garbage", "STOMP", "no empty line after the headers in 7 bytes"),
        (b'{"X-CspHub-Session": "1"}', "STOMP", "no empty line"),
        (b"message\n\n\0", "STOMP", "not a command: 'message'"),
        (b"\0\n\n", "STOMP", "not a command"),
        ("СООБЩЕНИЕ\n\n\0".encode(), "STOMP", "not a command"),
        (b"MESSAGE\nsubscription\n\n\0", "STOMP MESSAGE", "a header without a colon: 'subscription'"),
        (b"MESSAGE\na:\xff\n\n\0", "STOMP", "headers aren't UTF-8 at byte 10"),
        (b"MESSAGE\ncontent-length:9\n\nab\0", "STOMP MESSAGE", "cut short: 3 of 9 bytes"),
        (b"MESSAGE\ncontent-length:3\n\nab", "STOMP MESSAGE", "cut short: 2 of 3 bytes"),
        (b"MESSAGE\ncontent-length:-1\n\n\0", "STOMP MESSAGE", "content-length is not a number: '-1'"),
        (b"MESSAGE\ncontent-length:\n\n\0", "STOMP MESSAGE", "content-length is not a number: ''"),
        ("MESSAGE\ncontent-length:٣\n\n\0".encode(), "STOMP MESSAGE", "content-length is not a number"),
        (b"MESSAGE\ncontent-length:%b\n\n\0" % (b"9" * 5000), "STOMP MESSAGE", "content-length is not a number"),
        (b"MESSAGE\ncontent-length:1\n\n[]\0", "STOMP", "no empty line"),
        (b"A\n\n\0" * (MAX_FRAMES + 1), "STOMP", f"more than {MAX_FRAMES} frames"),
        (b"A\n" + b"h:v\n" * (MAX_HEADERS + 1) + b"\n\0", "STOMP", f"more than {MAX_HEADERS} headers"),
        (b"A\nh:" + b"v" * MAX_HEAD + b"\n\n\0", "STOMP", f"no empty line after the headers in {MAX_HEAD} bytes"),
    ],
)
def test_what_is_no_frame_is_bad_data_that_says_where(data: bytes, place: str, reason: str) -> None:
    with pytest.raises(BadData) as caught:
        parse(data)
    assert caught.value.place == place
    assert reason in caught.value.reason
    assert str(caught.value).isprintable()


def test_the_limits_themselves_are_allowed() -> None:
    assert len(parse(b"A\n\n\0" * MAX_FRAMES)) == MAX_FRAMES
    headers = "".join(f"h{number}:v\n" for number in range(MAX_HEADERS))
    assert len(parse(f"A\n{headers}\n\0".encode())[0].headers) == MAX_HEADERS


def test_the_frames_before_a_bad_one_are_not_lost() -> None:
    found = stomp.frames(b"A\n\n1\0B\n\n2\0garbage")
    assert [next(found).command, next(found).command] == ["A", "B"]
    with pytest.raises(BadData):
        next(found)


def test_a_message_of_line_ends_alone_is_read_at_once() -> None:
    assert parse(b"\r\n" * 2_000_000) == []


MESSAGE = b"MESSAGE\ncontent-length:2\ndestination:MXSE.orderbooks\nsubscription:17\nX-gateway-stamp:1\n\n{}\0"


@pytest.mark.parametrize(
    ("data", "split"),
    [
        (MESSAGE, (b"17", b"{}")),
        (b"MESSAGE\ncontent-length:2\nsubscription:17\n\n{}\0", (b"17", b"{}")),
        (b"MESSAGE\ncontent-length:0\nsubscription:\n\n\0", (b"", b"")),
        (MESSAGE.replace(b"X-gateway-stamp:1\n", b""), (b"17", b"{}")),
        (b"MESSAGE\nsubscription:17\ncontent-length:2\n\n{}\0", None),
        (b"MESSAGE\ncontent-length:0\nsubscription:1\nsubscription:2\n\n\0", None),
        (MESSAGE.replace(b":17", b":\\c"), None),
        (MESSAGE.replace(b"destination", b"x-subscription"), None),
        (MESSAGE + b"\n", None),
        (MESSAGE + MESSAGE, None),
        (MESSAGE[:-1], None),
        (MESSAGE[:-2] + b"\0", None),
        (MESSAGE[:-1] + b"x", None),
        (b"\n" + MESSAGE, None),
        (MESSAGE.replace(b"\n", b"\r\n"), None),
        (MESSAGE.replace(b"content-length:2\n", b""), None),
        (MESSAGE.replace(b"subscription:17\n", b""), None),
        (MESSAGE.replace(b"h:2", b"h:+2"), None),
        (MESSAGE.replace(b"h:2", b"h:"), None),
        (MESSAGE.replace(b"h:2", b"h:" + b"2" * 5000), None),
        (b"MESSAGE\nx:1\n\nsubscription:1\ncontent-length:0\n\n\0", None),
        (b"MESSAGE\nsubscription:17\ncontent-length:2\nx:" + b"x" * MAX_HEAD + b"\n\n{}\0", None),
        (b"RECEIPT\nreceipt-id:17\n\n\0", None),
        (b"", None),
    ],
)
def test_the_short_cut_takes_the_usual_message_apart_and_leaves_the_rest(
    data: bytes, split: tuple[bytes, bytes] | None
) -> None:
    assert split_message(data) == split
    assert split_message(bytearray(data)) == split


@given(COMMANDS, HEADERS, BODIES, st.booleans())
def test_what_is_built_is_parsed(command: str, headers: dict[str, str], body: bytes, with_nul: bool) -> None:
    headers = {**headers, "content-length": str(len(body))}
    data = build(command, headers, body)
    assert parse(data if with_nul else data[:-1]) == [StompFrame(command, headers, body)]


@given(st.lists(st.tuples(COMMANDS, HEADERS, BODIES.filter(lambda body: b"\0" not in body)), max_size=4))
def test_frames_without_a_length_end_at_their_nul(frames: list[tuple[str, dict[str, str], bytes]]) -> None:
    data = b"\n".join(build(*frame) for frame in frames)
    assert parse(data) == [StompFrame(*frame) for frame in frames]


@given(PLAIN, PLAIN, BODIES, st.integers(0, 2**60))
def test_the_short_cut_agrees_with_the_parser_on_every_message_in_the_venue_s_order(
    destination: str, subscription: str, body: bytes, stamp: int
) -> None:
    headers = {"content-length": str(len(body)), "destination": destination, "subscription": subscription}
    data = build("MESSAGE", headers | {"X-gateway-stamp": str(stamp)}, body)
    [frame] = parse(data)
    assert split_message(data) == (frame.headers["subscription"].encode(), frame.body)
    assert split_message(bytearray(data)) == split_message(data)


@given(HEADERS, PLAIN, BODIES, st.randoms(use_true_random=False))
def test_in_any_other_order_the_short_cut_says_the_same_or_nothing(
    headers: dict[str, str], subscription: str, body: bytes, random: Random
) -> None:
    everything = [*{**headers, "subscription": subscription, "content-length": str(len(body))}.items()]
    random.shuffle(everything)
    data = build("MESSAGE", dict(everything), body)
    [frame] = parse(data)
    assert split_message(data) in (None, (frame.headers["subscription"].encode(), frame.body))


PIECES = st.sampled_from(
    [b"MESSAGE\n", b"subscription:1\n", b"content-length:2\n", b"x:\\c\n", b"\n", b"\r\n", b"{}", b"\0", b"\xff", b"A"]
)


@given(st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=10).map(b"".join)))
@example(b"A\n\r\n\n")
def test_any_bytes_are_frames_or_bad_data(data: bytes) -> None:
    split = split_message(data)
    try:
        frames = parse(data)
    except BadData as error:
        assert_readable(error)
        return
    for frame in frames:
        assert frame.command.isalpha()
    if split is not None and b"\r" not in data:
        assert split == (frames[0].headers["subscription"].encode(), frames[0].body)
        assert len(frames) == 1


def assert_readable(error: BadData) -> None:
    assert str(error).isprintable()
    assert len(str(error)) < 200


def test_the_captured_frame_is_read_by_its_length() -> None:
    path = CAPTURES / "ws_orderbooks_SBER_20240701_1.frame"
    if not path.exists():
        pytest.skip("the capture isn't on this machine")
    data = path.read_bytes()
    [frame] = parse(data)
    assert list(frame.headers) == ["content-length", "destination", "subscription", "X-gateway-stamp"]
    assert len(frame.body) == int(frame.headers["content-length"]) == 694
    assert split_message(data) == (b"", frame.body)


def test_the_official_client_s_frames_are_read_and_written_alike() -> None:
    if not CAPTURES.exists():
        pytest.skip("the captures aren't on this machine")
    paths = sorted(CAPTURES.glob("client_*.frame"))
    assert paths
    for path in paths:
        [frame] = parse(path.read_bytes())
        assert build(frame.command, frame.headers, frame.body) == path.read_bytes()
