"""Hypothesis for all tests: the same examples in every run, and no verdict on how long one takes. `make fuzz` takes the
other profile: fresh examples, FUZZ_EXAMPLES for each property that has 100 otherwise, and how to repeat a failure.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("feedbus", deadline=None, derandomize=True, max_examples=100)
settings.register_profile(
    "fuzz",
    deadline=None,
    derandomize=False,
    database=None,
    print_blob=True,
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "1000")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("feedbus")
