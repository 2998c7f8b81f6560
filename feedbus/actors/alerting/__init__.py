"""The actor `alerting`: rules over what is on the bus, and a webhook for what fires."""

from feedbus.actors.alerting.actor import Actor

__all__ = ["Actor"]
