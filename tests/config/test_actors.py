"""Actors of a configuration: their options, read by their own structs. What is refused is in tests/config/broken."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from feedbus import actors as subscribers
from feedbus import config
from feedbus.config import Config
from feedbus.errors import ConfigError

FEEDS = "bus: {publish: inproc://b}\nfeeds: {moex: {venue: moex, url: ws://h/, symbols: [TQBR.SBER]}}\n"


def read(text: str) -> Config:
    return config.parse(FEEDS + text, name="c.yaml", directory=Path(), environ={"HOOK": "https://h/s3cret"})


def test_there_may_be_none() -> None:
    assert read("").actors == {}
    assert read("actors:\n").actors == {}


@pytest.mark.parametrize("name", subscribers.names())
@pytest.mark.parametrize("text", ["", " {}", " ~"])
def test_an_actor_without_options_has_its_defaults(name: str, text: str) -> None:
    assert read(f"actors:\n  {name}:{text}\n").actors == {name: subscribers.actor_class(name).Options()}


def test_the_order_of_the_file_is_kept() -> None:
    assert list(read("actors: {metrics: , alerting: , aggregator: }\n").actors) == ["metrics", "alerting", "aggregator"]


def test_lists_of_numbers_and_of_structs_and_keys_that_python_has_other_words_for() -> None:
    actors = read(
        """
actors:
  aggregator: {periods: [1, 60], indicators: [{name: ema, window: 5}], empty: true}
  alerting:
    rules:
      - {kind: stale, threshold: 30, for: 2.5, symbols: ["moex:TQBR.*", TQBR.SBER]}
    webhook: {url: "${HOOK}", retries: 2}
"""
    ).actors
    aggregator, alerting = (msgspec.to_builtins(actors[name]) for name in ("aggregator", "alerting"))
    assert (aggregator["periods"], aggregator["empty"]) == ((1, 60), True)
    assert aggregator["indicators"] == ({"name": "ema", "window": 5},)
    (rule,) = alerting["rules"]
    assert (rule["for"], rule["symbols"]) == (2.5, ("moex:TQBR.*", "TQBR.SBER"))
    assert (alerting["webhook"]["url"], alerting["webhook"]["retries"]) == ("https://h/s3cret", 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("actors: {aggregator: {periods: [0]}}", "actors.aggregator.periods: must be a whole number from 1 to 86400"),
        ("actors: {aggregator: {periods: [5, 5]}}", "actors.aggregator: periods: the same is there twice"),
        ("actors: {alerting: {rules: []}}", "actors.alerting: rules: there are none"),
        ("actors: {alerting: {rules: [{threshold: 3}]}}", "actors.alerting.rules.kind: is missing"),
        ("actors: {alerting: {webhook: {url: 'https://h/s3cret', x: 1}}}", "actors.alerting.webhook.x: unknown key"),
        ("actors: {alerting: {webhook: {url: 'http://h/s3cret'}}}", "actors.alerting: webhook.url: plain http"),
        (
            "actors: {alerting: {webhook: {url: 'https://h/x', insecure: 'https://h/s3cret'}}}",
            "actors.alerting.webhook.insecure: must be true or false",
        ),
        (
            "actors: {alerting: {webhook: {url: 'https://h/x', retries: '${HOOK}'}}}",
            "actors.alerting.webhook.retries: must be a whole number from 0 to 100",
        ),
        ("actors: {metrics: {listen: '0.0.0.0:1'}}", "actors.metrics: listen"),
    ],
)
def test_what_an_actor_refuses_is_said_with_its_place_and_without_secrets(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value).startswith(f"c.yaml:3: {said}")
    assert "s3cret" not in str(caught.value)
