"""What the doctor found: a finding for each check, sections of them, and what they say together. Pure.

A finding that fails says the likely cause and what to do about it. A check that can't be made because another one
failed is skipped, and says which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from feedbus.text import one_line

CheckVerdict = Literal["good", "warning", "failed", "skipped"]
"""A warning is about what works and will cause trouble some day, or what is worth knowing. Only what failed counts for
the exit status."""

Fact = str | int | float | bool | None | Sequence[str]

MAX_SAID = 600
"""Characters of what a finding says, or of its remedy."""
MAX_LISTED = 100
"""Items of a fact."""
MAX_LOG = 20
"""Lines of a feed's log that are kept with its findings."""


class CheckFinding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One check and what came of it.

    check    what was looked at, in a word that never changes
    subject  of what: an address, a channel and symbol; "" where the section says it
    verdict  good, warning, failed or skipped
    said     what was found, in a sentence
    remedy   what to do about it, "" where nothing need be done
    seconds  how long the check took, None where that says nothing
    facts    the same by name, for programs
    """

    check: str
    verdict: CheckVerdict
    said: str
    subject: str = ""
    remedy: str = ""
    seconds: float | None = None
    facts: Mapping[str, Fact] = {}


class Section:
    """The findings about one thing, the machine or a feed, in the order in which they are shown.

    `clean` takes our secrets out of every text, and `told` is called whenever there is something new.
    """

    def __init__(
        self,
        name: str,
        about: str,
        *,
        clean: Callable[[str], str] = lambda text: text,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.about = clean(about)
        self.findings: list[CheckFinding] = []
        self.log: list[str] = []
        self.is_done = False
        self.clean = clean
        self._told = told

    def add(self, *findings: CheckFinding) -> None:
        """Take these findings in."""
        self.findings += [self._fit(finding) for finding in findings]
        self._told()

    def note(self, line: str) -> None:
        """Keep a line of the feed's log, as long as there is room."""
        if len(self.log) < MAX_LOG:
            self.log.append(self._text(line))

    def done(self) -> None:
        """Nothing more will come."""
        self.is_done = True
        self._told()

    def _fit(self, finding: CheckFinding) -> CheckFinding:
        """The finding as it is shown: without secrets, on one line, of bounded length."""
        return msgspec.structs.replace(
            finding,
            said=self._text(finding.said),
            subject=self._text(finding.subject),
            remedy=self._text(finding.remedy),
            facts={name: self._fact(value) for name, value in finding.facts.items()},
        )

    def _fact(self, value: Fact) -> Fact:
        if isinstance(value, str):
            return self._text(value)
        return [self._text(each) for each in value[:MAX_LISTED]] if isinstance(value, Sequence) else value

    def _text(self, text: str) -> str:
        return one_line(self.clean(text), MAX_SAID) if text else ""


class Report(msgspec.Struct, frozen=True):
    """Everything that was found. `at_most_s` bounds the time that all of it may take. `at` is when it began, by this
    machine's clock, in UTC as ISO 8601 writes it."""

    config: str
    at: str
    at_most_s: float
    versions: Mapping[str, str]
    sections: Sequence[Section]


def counts(sections: Sequence[Section]) -> Counter[CheckVerdict]:
    """How many findings have which verdict."""
    return Counter(finding.verdict for section in sections for finding in section.findings)


def has_failed(sections: Sequence[Section]) -> bool:
    """Whether anything failed, or wasn't looked at because the doctor was stopped before."""
    return counts(sections)["failed"] > 0 or not all(section.is_done for section in sections)


def skipped(check: str, because: str, subject: str = "") -> CheckFinding:
    """A check that wasn't made, for this reason."""
    return CheckFinding(check, "skipped", f"not tried: {because}", subject)
