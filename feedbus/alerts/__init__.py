"""Anomalies: rules, and the state machines that judge events by them. Pure: events and time in, Alert events out.

rules    what an operator writes, which instruments a rule is about, which topics it needs
states   quiet, pending, firing: one rule about one instrument, and its timers
market   the kinds of rules that look at prices, sizes and bars
presence the kinds that look at what doesn't come: stale instruments, connections that are down
engine   who is told of which event
"""

from feedbus.alerts.engine import AlertEngine
from feedbus.alerts.rules import Rule, check_rules, topics

__all__ = ["AlertEngine", "Rule", "check_rules", "topics"]
