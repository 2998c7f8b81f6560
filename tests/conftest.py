"""Hypothesis for all tests: the same examples in every run, and no verdict on how long one takes."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("feedbus", deadline=None, derandomize=True)
settings.load_profile("feedbus")
