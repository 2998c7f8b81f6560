"""Control messages: what is understood, and the venue's errors for the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedbus.sim.binance import control
from feedbus.sim.binance.control import BinanceRefusal, ControlRequest


@pytest.mark.parametrize(
    "key", [1, 0, -5, 2**63 - 1, -(2**63), None, "abc", "a" * 36, "8d0e5ff4-3a5c-4f4e-9c57-1b2c3d4e5f60"]
)
def test_ids_are_numbers_texts_or_null(key: Any) -> None:
    text = json.dumps({"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": key})
    assert control.parse(text) == ControlRequest("SUBSCRIBE", ["btcusdt@trade"], key)


def test_what_may_be_left_out() -> None:
    assert control.parse('{"method":"LIST_SUBSCRIPTIONS"}') == ControlRequest("LIST_SUBSCRIPTIONS", [], None)


VARIANTS = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
ID = "Invalid request: request ID must be an unsigned integer"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", 3, "Invalid JSON: expected value at line 1 column 1"),
        ("ping", 3, "Invalid JSON: expected value at line 1 column 1"),
        ('{"method":', 3, "Invalid JSON: expected value at line 1 column 11"),
        ('{\n"method": ?}', 3, "Invalid JSON: expected value at line 2 column 11"),
        ("[" * 5000, 3, None),
        ('{"id":1}', 2, "Invalid request: missing field `method` at line 1 column 8"),
        ("[1,2]", 2, "Invalid request: missing field `method` at line 1 column 5"),
        ("7", 2, "Invalid request: missing field `method` at line 1 column 1"),
        (
            '{"method":"DANCE","id":1}',
            2,
            f"Invalid request: unknown variant `DANCE`, expected one of {VARIANTS} at line 1 column 17",
        ),
        ('{"method":7}', 2, f"Invalid request: unknown variant `7`, expected one of {VARIANTS} at line 1 column 12"),
        ('{"method":"SUBSCRIBE","id":1.5}', 2, ID),
        ('{"method":"SUBSCRIBE","id":true}', 2, ID),
        ('{"method":"SUBSCRIBE","id":""}', 2, ID),
        ('{"method":"SUBSCRIBE","id":"a b"}', 2, ID),
        ('{"method":"SUBSCRIBE","id":[1]}', 2, ID),
        ('{"method":"SUBSCRIBE","id":9223372036854775808}', 2, ID),
        (f'{{"method":"SUBSCRIBE","id":"{"a" * 37}"}}', 2, ID),
        ('{"method":"SUBSCRIBE","params":"x"}', 2, None),
    ],
)
def test_what_can_not_be_understood_is_refused_in_the_venues_words(text: str, code: int, message: str | None) -> None:
    with pytest.raises(BinanceRefusal) as refused:
        control.parse(text)
    answer = json.loads(refused.value.answer)
    assert list(answer) == ["code", "msg"]
    assert answer["code"] == code
    assert message is None or answer["msg"] == message


@pytest.mark.parametrize("params", [[], [1], ["btcusdt@trade", None]])
def test_streams_are_texts(params: list[Any]) -> None:
    with pytest.raises(BinanceRefusal, match="Invalid request: "):
        control.stream_names(ControlRequest("SUBSCRIBE", params, 1))


@pytest.mark.parametrize(
    ("params", "values", "answer"),
    [
        (["combined", True, 1], 1, '{"code":2,"msg":"Invalid request: too many parameters"}'),
        (["combined", True], 0, '{"code":2,"msg":"Invalid request: too many parameters"}'),
        ([], 0, '{"code":2,"msg":"Invalid request: property name must be a string"}'),
        ([1, True], 1, '{"code":2,"msg":"Invalid request: property name must be a string"}'),
        (["colour", True], 1, '{"code":0,"msg":"Unknown property","id":"k"}'),
        (["colour"], 0, '{"code":0,"msg":"Unknown property","id":"k"}'),
        (["combined"], 1, '{"code":1,"msg":"Invalid value type: expected Boolean"}'),
        (["combined", 1], 1, '{"code":1,"msg":"Invalid value type: expected Boolean"}'),
        (["combined", "true"], 1, '{"code":1,"msg":"Invalid value type: expected Boolean"}'),
    ],
)
def test_properties_that_are_not_right(params: list[Any], values: int, answer: str) -> None:
    with pytest.raises(BinanceRefusal) as refused:
        control.check_property(ControlRequest("SET_PROPERTY", params, "k"), values)
    assert refused.value.answer == answer


def test_answers_are_written_as_the_venue_writes_them() -> None:
    assert control.result(None, 1) == '{"result":null,"id":1}'
    assert control.result(["btcusdt@aggTrade"], "a") == '{"result":["btcusdt@aggTrade"],"id":"a"}'
    assert control.result(True, None) == '{"result":true,"id":null}'


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
MESSAGES = st.fixed_dictionaries(
    {}, optional={"method": st.sampled_from(control.METHODS) | VALUES, "params": VALUES, "id": VALUES}
)


@given(text=MESSAGES.map(json.dumps) | VALUES.map(json.dumps) | st.text(max_size=40))
def test_whatever_comes_is_understood_or_refused(text: str) -> None:
    try:
        asked = control.parse(text)
    except BinanceRefusal as refusal:
        answer = json.loads(refusal.answer)
        assert answer["code"] in (2, 3)
        assert answer["msg"].startswith("Invalid ")
    else:
        assert asked.method in control.METHODS
        assert json.loads(control.result(None, asked.id))["id"] == asked.id
