"""The actor `alerting`: judges what is on the bus by rules, and publishes, logs and posts the alerts."""

from feedbus.actors.alerting.actor import Actor

__all__ = ["Actor"]
