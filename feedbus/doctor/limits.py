"""What a feed wants of its venue, beside what the venue allows. Pure."""

from __future__ import annotations

from feedbus.config.model import FeedConfig
from feedbus.doctor.findings import CheckFinding, Fact
from feedbus.doctor.words import counted, shown_url
from feedbus.feed import sharding
from feedbus.venues.protocol import Account, Limits


def title(feed: FeedConfig, account: Account) -> str:
    """What a feed is, in a line."""
    wanted = counted(len(feed.symbols), "symbol") if feed.selection is None else str(feed.selection)
    made = counted(connections(feed), "connection")
    return f"{feed.venue}, {wanted} on {', '.join(account.channels)}, {made} to {shown_url(feed.url)}"


def connections(feed: FeedConfig) -> int:
    """How many connections a feed makes."""
    if feed.selection is not None:
        return feed.sharding.connections
    plan = sharding.plan(feed.symbols, feed.sharding.connections, feed.sharding.per_connection)
    return sum(map(bool, plan))


def of_limits(feed: FeedConfig, account: Account) -> CheckFinding:
    """The limits that are known, and what the feed takes of them."""
    limits, channels = account.limits, len(account.channels)
    wanted = connections(feed)
    each = min(feed.sharding.per_connection, len(feed.symbols) or feed.sharding.per_connection) * channels
    connects = feed.budgets.connects or limits.connects
    soonest = _all_up_after(wanted, connects.count, connects.per_s)
    said = [
        _allowed("connection", limits.connections, wanted),
        _allowed("subscription", limits.subscriptions, each) + " on each",
        f"at most {connects.count} connects in {connects.per_s:g} s, so all are up after {soonest:.0f} s at best",
        *_of_requests(feed, limits),
        *_of_messages(feed, limits),
    ]
    facts: dict[str, Fact] = {
        "connections_wanted": wanted,
        "connections_allowed": limits.connections,
        "subscriptions_wanted": each,
        "subscriptions_allowed": limits.subscriptions,
        "connects": connects.count,
        "connects_per_s": connects.per_s,
    }
    remedy = _too_eager(limits, connects.count / connects.per_s)
    return CheckFinding("limits", "warning" if remedy else "good", "; ".join(said), "", remedy, facts=facts)


def _allowed(what: str, most: int | None, wanted: int) -> str:
    return f"{counted(wanted, what)} (no limit is published)" if most is None else f"{wanted} of {counted(most, what)}"


def _of_requests(feed: FeedConfig, limits: Limits) -> list[str]:
    """The weight of requests over HTTP, where the venue counts one."""
    if limits.rest is None:
        return []
    own = feed.budgets.rest_weight
    weight, per_s = (limits.rest.weight, limits.rest.per_s) if own is None else (own.count, own.per_s)
    return [f"requests of weight {weight} in {per_s:g} s"]


def _of_messages(feed: FeedConfig, limits: Limits) -> list[str]:
    """How often a client may ask to subscribe, and how much it may send, where that is known or configured."""
    budgets = feed.budgets
    known = (
        (budgets.subscribes or limits.subscribes, "requests to subscribe or to unsubscribe"),
        (budgets.messages or limits.messages, "messages on each connection"),
    )
    return [f"{rate.count} {what} in {rate.per_s:g} s" for rate, what in known if rate is not None]


def _all_up_after(wanted: int, count: int, per_s: float) -> float:
    """Seconds until so many connections have had their turns: half of the budget at once, the other half evenly."""
    at_once = max(1, count // 2)
    return max(0, wanted - at_once) * per_s / max(1, count - at_once)


def _too_eager(limits: Limits, rate: float) -> str:
    """What to say of a budget that allows more than the venue does."""
    if rate <= limits.connects.count / limits.connects.per_s:
        return ""
    return (
        f"budgets.connects allows more than the venue's {limits.connects.count} in {limits.connects.per_s:g} s: lower "
        "it, unless the venue has allowed you more."
    )
