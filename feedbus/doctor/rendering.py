"""How findings are shown: as lines for people, who paste them into a question, and as JSON for programs. Pure.

The lines come in the order of the sections, whichever is done first: `Lines` gives those whose turn has come. They are
plain ASCII but for what a venue or a file wrote, and are not wrapped, so that they can be searched and pasted.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from feedbus.doctor.findings import CheckFinding, CheckVerdict, Report, Section, counts, has_failed
from feedbus.text import escaped, escaped_json

SHAPE = 1
"""The version of the JSON. It rises when a name goes or changes its meaning; new names may come at any time."""

MARKS: dict[CheckVerdict, str] = {"good": "ok", "warning": "warn", "failed": "FAIL", "skipped": "skip"}


class Lines:
    """The lines of a report that is still being made. Each call of `due` returns those that are new."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._section = 0
        self._finding = -1  # -1: the heading of the section is still to come
        self._remedy = ""  # the last one, which isn't written twice

    def head(self) -> list[str]:
        """What stands above all findings."""
        report = self._report
        versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
        return [
            escaped(f"{report.config}: the doctor began at {report.at}, and takes {report.at_most_s:.0f} s at most"),
            escaped(versions),
        ]

    def due(self) -> list[str]:
        """The lines whose turn has come since the last call."""
        lines: list[str] = []
        sections = self._report.sections
        while self._section < len(sections):
            section = sections[self._section]
            if self._finding < 0:
                lines += ["", escaped(f"{section.name}: {section.about}" if section.about else section.name)]
                self._finding = 0
            for finding in section.findings[self._finding :]:
                lines += finding_lines(finding, self._remedy)
                self._remedy = finding.remedy or self._remedy
            self._finding = len(section.findings)
            if not section.is_done:
                break
            lines += _log_lines(section)
            self._section, self._finding = self._section + 1, -1
        return lines

    def foot(self, seconds: float) -> list[str]:
        """What stands below all findings, when the doctor is done or was stopped."""
        return ["", summary(self._report, seconds)]


def finding_lines(finding: CheckFinding, before: str = "") -> Iterator[str]:
    """One finding as lines: what was found, and beneath it what to do. `before` is the remedy above it."""
    took = "" if finding.seconds is None else f"{finding.seconds:.2f} s"
    subject = f"{finding.subject}: " if finding.subject else ""
    yield escaped(f"  {MARKS[finding.verdict]:<4}  {finding.check:<12}  {took:>7}  {subject}{finding.said}".rstrip())
    if finding.remedy:
        yield escaped(f"        -> {finding.remedy if finding.remedy != before else 'as above'}")


def summary(report: Report, seconds: float) -> str:
    """How many findings there are of which verdict."""
    found = counts(report.sections)
    parts = [f"{found[verdict]} {word}" for verdict, word in _WORDS.items()]
    unfinished = "" if all(section.is_done for section in report.sections) else "; stopped before the end"
    return f"{', '.join(parts)}, in {seconds:.1f} s{unfinished}"


def as_json(report: Report, seconds: float) -> str:
    """The whole report as one JSON object, on one line. docs/doctor.md describes its names."""
    found = counts(report.sections)
    value: dict[str, Any] = {
        "doctor": SHAPE,
        "verdict": _overall(report),
        "counts": {verdict: found[verdict] for verdict in MARKS},
        "config": report.config,
        "at": report.at,
        "seconds": round(seconds, 3),
        "at_most_s": report.at_most_s,
        "versions": dict(report.versions),
        "sections": [_section(section) for section in report.sections],
    }
    return escaped_json(msgspec.json.encode(_unicode(value)).decode())


_WORDS: dict[CheckVerdict, str] = {"failed": "failed", "warning": "to look at", "skipped": "skipped", "good": "good"}


def _overall(report: Report) -> CheckVerdict:
    if has_failed(report.sections):
        return "failed"
    return "warning" if counts(report.sections)["warning"] else "good"


def _section(section: Section) -> dict[str, Any]:
    return {
        "name": section.name,
        "about": section.about,
        "done": section.is_done,
        "findings": [_finding(finding) for finding in section.findings],
        "log": section.log,
    }


def _finding(finding: CheckFinding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "subject": finding.subject,
        "verdict": finding.verdict,
        "said": finding.said,
        "remedy": finding.remedy,
        "seconds": None if finding.seconds is None else round(finding.seconds, 4),
        "facts": dict(finding.facts),
    }


def _log_lines(section: Section) -> Iterator[str]:
    """The feed's own log, where something isn't as it should be."""
    if any(finding.verdict in ("failed", "warning") for finding in section.findings):
        yield from (escaped(f"        log: {line}") for line in section.log)


def _unicode(value: Any) -> Any:
    """The value without lone surrogates, which a file name may hold and UTF-8 can't encode."""
    match value:
        case str():
            return value.encode(errors="backslashreplace").decode()
        case dict():
            return {_unicode(name): _unicode(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_unicode(inner) for inner in value]
        case _:
            return value
