"""The actor `metrics`: serves figures about everything on the bus to Prometheus."""

from feedbus.actors.metrics.actor import Actor

__all__ = ["Actor"]
