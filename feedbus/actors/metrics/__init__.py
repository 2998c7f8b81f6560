"""The actor `metrics`: what is on the bus, for Prometheus."""

from feedbus.actors.metrics.actor import Actor

__all__ = ["Actor"]
