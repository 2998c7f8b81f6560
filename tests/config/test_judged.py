"""What a venue refuses is told as the file has it, and what a variable holds is never told."""

from __future__ import annotations

import pytest

from feedbus.config.judged import refuse_each, unsubstituted
from feedbus.config.yaml_text import Place, YamlScalar
from feedbus.errors import ConfigError
from feedbus.text import hinted


def capitals(symbol: str) -> str | None:
    return None if symbol.isascii() and symbol.isupper() else hinted("written in capitals", symbol.upper())


def written(*texts: str) -> dict[str, YamlScalar]:
    return {text.replace("${X}", "hunter2"): YamlScalar(Place("f", 7, "symbols"), text) for text in texts}


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("BTC", "ETH"), None),
        (("BTC", "eth", "sol"), "f:7: symbols: symbol 'eth': written in capitals: did you mean ETH?"),
        (("\u0412TC",), "f:7: symbols: symbol '\u0412TC': "),  # a Cyrillic letter that looks like a B
        (("${X}",), "f:7: symbols: symbol '${X}': written in capitals"),
    ],
)
def test_the_first_that_is_refused_is_named_with_its_place(texts: tuple[str, ...], said: str | None) -> None:
    if said is None:
        refuse_each(capitals, written(*texts), "symbol")
        return
    with pytest.raises(ConfigError) as caught:
        refuse_each(capitals, written(*texts), "symbol")
    assert str(caught.value).startswith(said)
    assert "hunter2" not in str(caught.value).lower()


def test_a_reason_that_quotes_a_variable_has_its_name() -> None:
    scalar = YamlScalar(Place("f"), "${X}")
    assert unsubstituted(hinted("no channel 'hunter2'", "hunter3"), "hunter2", scalar) == "no channel '${X}'"
    assert unsubstituted("no channel 'x'", "x", YamlScalar(Place("f"), "x")) == "no channel 'x'"
