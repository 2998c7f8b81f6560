"""The alerting rules and the state machines that judge events by them.

Everything in this package is pure: events and the time are arguments, Alert events are return values. Nothing here
knows the bus, a clock or the log; feedbus/actors/alerting supplies them.

rules     the rules as an operator writes them: which instruments a rule applies to, which topics it needs, whether it
          makes sense
states    one rule about one instrument as a state machine (quiet, pending, firing), and its timers
market    the kinds of rules that judge trades, last prices and bars
spreads   the kinds of rules that judge the best bid and ask
watched_books  the books that they judge
presence  the kinds of rules that judge what doesn't come: stale instruments, connections that are down
not_live  the kind of rule that judges how far an instrument may be trusted
status_watch  what is said of an instrument, in the words of an alert
window    the lowest and the highest price of the last seconds
engine    which rules see which event, and when the timers have to be checked
"""

from feedbus.alerts.engine import AlertEngine
from feedbus.alerts.rules import Rule, check_rules, topics

__all__ = ["AlertEngine", "Rule", "check_rules", "topics"]
