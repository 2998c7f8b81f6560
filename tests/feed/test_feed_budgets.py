"""Which budgets a feed has, and what counts: the configuration's, or else the venue's."""

from __future__ import annotations

import pytest

from feedbus.config import FeedConfig
from feedbus.config.model import BudgetConfig, BudgetsConfig
from feedbus.feed.budgets import Hold
from feedbus.feed.feed_budgets import FeedBudgets
from feedbus.feed.neighbours import Neighbours
from feedbus.venues import account_class


def made(venue: str, budgets: BudgetsConfig | None = None, neighbours: Neighbours | None = None) -> FeedBudgets:
    config = FeedConfig(name="it", venue=venue, url="ws://venue/", symbols=(), budgets=budgets or BudgetsConfig())
    cls = account_class(venue)
    return FeedBudgets(config, cls.limits, cls.services, neighbours or Neighbours(), Hold())


@pytest.mark.parametrize(
    ("venue", "usual"),
    [
        ("moex", {"connects"}),
        ("alor", {"connects", "rest_weight"}),
        ("binance", {"connects", "rest_weight", "messages"}),
    ],
)
def test_it_has_what_the_venue_counts_and_what_is_configured(venue: str, usual: set[str]) -> None:
    assert set(made(venue).by_name) == usual
    own = BudgetsConfig(subscribes=BudgetConfig(3, 1.0), messages=BudgetConfig(4, 1.0))
    assert set(made(venue, own).by_name) == usual | {"subscribes", "messages"}


def test_messages_are_each_connections_own_and_subscribes_are_shared_by_all() -> None:
    neighbours = Neighbours()
    own = BudgetsConfig(subscribes=BudgetConfig(4, 8.0), messages=BudgetConfig(3, 1.0))
    it = made("moex", own, neighbours)
    one, other, third = (it.turns(lambda: None) for _ in range(3))
    assert (one.take(0.0), one.take(0.0)) == (True, False)
    assert one.ask_at == 1.0, "its own messages"
    assert (other.take(0.0), third.take(0.0)) == (True, False)
    assert third.ask_at == 4.0, "what all of them may ask"
    assert (it.by_name["messages"].waiting, it.by_name["subscribes"].waiting) == (1, 1)
    assert (it.by_name["messages"].taken, it.by_name["subscribes"].taken) == (2, 2)
    assert not made("moex", own, neighbours).turns(lambda: None).take(0.0), "another feed's at the same host, too"


def test_binance_takes_five_messages_a_second_from_a_connection() -> None:
    it = made("binance")
    turns = it.turns(lambda: None)
    sent = []
    now = 0.0
    while now < 10.0:
        if turns.take(now):
            sent.append(now)
        now += 0.05
    assert max(sum(begin <= at < begin + 1 for at in sent) for begin in sent) == 3, "a ping and a pong fit in"
