"""The venue's word wins over the calendar."""

from __future__ import annotations

import pytest

from feedbus.trust.phases import Phase, phase_of

PHASES: dict[str, Phase] = {"T": "trading", "N": "closed", "B": "halted"}


@pytest.mark.parametrize(
    ("status", "calendar", "expected"),
    [
        (None, "closed", ("closed", True)),
        (None, "extra", ("extra", True)),
        ("T", "closed", ("trading", False)),  # on a Saturday that is a working day
        ("N", "trading", ("closed", False)),  # a holiday
        ("B", "trading", ("halted", False)),
        ("?", "auction", ("auction", True)),  # a word that the venue has only since yesterday
    ],
)
def test_the_phase_of_an_instrument(status: str | None, calendar: Phase, expected: tuple[Phase, bool]) -> None:
    assert phase_of(status, PHASES, calendar) == expected
