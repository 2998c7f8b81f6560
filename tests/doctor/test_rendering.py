"""What is printed: lines in the order of the sections, whichever is done first, and the JSON."""

from __future__ import annotations

import json

from feedbus.doctor.findings import CheckFinding, Report, Section
from feedbus.doctor.rendering import SHAPE, Lines, as_json, finding_lines

GOOD = CheckFinding("tcp", "good", "connects", "wss://h", seconds=0.5)
BAD = CheckFinding("tls", "failed", "expired", "wss://h", "Renew it.", 1.25, {"names": ["h"], "code": 10})


def report(*sections: Section) -> Report:
    return Report("c.yaml", "2026-01-22T07:00:00Z", 61.4, {"feedbus": "0.1", "Python": "3.11"}, sections)


def test_a_finding_has_a_line_and_its_remedy_one_below() -> None:
    assert list(finding_lines(GOOD)) == ["  ok    tcp            0.50 s  wss://h: connects"]
    assert list(finding_lines(BAD)) == ["  FAIL  tls            1.25 s  wss://h: expired", "        -> Renew it."]
    assert list(finding_lines(BAD, "Renew it."))[1] == "        -> as above"
    assert list(finding_lines(CheckFinding("config", "warning", "x"))) == ["  warn  config                 x"]


def test_lines_come_in_the_order_of_the_sections_as_soon_as_they_can() -> None:
    one, two = Section("one", "first"), Section("two", "")
    lines = Lines(report(one, two))
    assert lines.head() == [
        "c.yaml: the doctor began at 2026-01-22T07:00:00Z, and takes 61 s at most",
        "feedbus 0.1, Python 3.11",
    ]
    assert lines.due() == ["", "one: first"]
    two.add(GOOD)
    two.done()
    assert lines.due() == []
    one.add(GOOD)
    assert lines.due() == list(finding_lines(GOOD))
    one.add(BAD, BAD)
    one.note("a warning")
    one.done()
    assert lines.due() == [
        *finding_lines(BAD),
        *finding_lines(BAD, "Renew it."),
        "        log: a warning",
        "",
        "two",
        *finding_lines(GOOD),
    ]
    assert lines.due() == []
    assert lines.foot(3.25) == ["", "2 failed, 0 to look at, 0 skipped, 2 good, in 3.2 s"]


def test_the_log_is_shown_only_where_something_is_wrong() -> None:
    fine = Section("one", "")
    fine.add(GOOD)
    fine.note("a warning")
    fine.done()
    assert "        log: a warning" not in Lines(report(fine)).due()


def test_what_was_stopped_says_so() -> None:
    begun = Section("one", "")
    assert (
        Lines(report(begun)).foot(1.0)[-1]
        == "0 failed, 0 to look at, 0 skipped, 0 good, in 1.0 s; stopped before the end"
    )
    assert json.loads(as_json(report(begun), 1.0))["verdict"] == "failed"


def test_the_json_holds_all_of_it() -> None:
    one = Section("one", "first")
    one.add(GOOD, BAD, CheckFinding("x", "warning", "a \udcff file"))
    one.note("a warning")
    one.done()
    text = as_json(report(one), 3.14159)
    assert "\n" not in text
    assert text.isprintable()
    value = json.loads(text)
    assert value["doctor"] == SHAPE
    assert (value["verdict"], value["seconds"], value["at_most_s"]) == ("failed", 3.142, 61.4)
    assert value["counts"] == {"good": 1, "warning": 1, "failed": 1, "skipped": 0}
    (section,) = value["sections"]
    assert (section["name"], section["about"], section["done"], section["log"]) == ("one", "first", True, ["a warning"])
    assert section["findings"][1] == {
        "check": "tls",
        "subject": "wss://h",
        "verdict": "failed",
        "said": "expired",
        "remedy": "Renew it.",
        "seconds": 1.25,
        "facts": {"names": ["h"], "code": 10},
    }


def test_the_verdict_of_all() -> None:
    for findings, verdict in (
        ([GOOD], "good"),
        ([GOOD, CheckFinding("x", "warning", "y")], "warning"),
        ([BAD], "failed"),
    ):
        section = Section("one", "")
        section.add(*findings)
        section.done()
        assert json.loads(as_json(report(section), 1.0))["verdict"] == verdict
