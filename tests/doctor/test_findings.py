"""Findings as they are kept: without secrets, on one line and bounded; and what they say together."""

from __future__ import annotations

from feedbus.doctor.findings import MAX_LISTED, MAX_LOG, MAX_SAID, CheckFinding, Section, counts, has_failed, skipped
from feedbus.mask import Mask

MASK = Mask(["s3cr3t-p4ss"])


def section(*verdicts: str) -> Section:
    made = Section("moex", "about")
    made.add(*(CheckFinding("tcp", verdict, "x") for verdict in verdicts))  # type: ignore[arg-type]
    return made


def test_every_text_is_clean_on_one_line_and_bounded() -> None:
    told: list[int] = []
    made = Section("moex", "to s3cr3t-p4ss", clean=MASK.hide, told=lambda: told.append(len(made.findings)))
    long = "s3cr3t-p4ss\x1b[2J\n" + "x" * 2000
    made.add(CheckFinding("tcp", "failed", long, long, long, 1.0, {"a": long, "b": [long] * 300, "c": 3, "d": None}))
    (found,) = made.findings
    texts = [found.said, found.subject, found.remedy, found.facts["a"], *found.facts["b"]]  # type: ignore[misc]
    assert all(str(text).startswith("*** [2J xxx") and len(str(text)) == MAX_SAID for text in texts)
    assert len(texts) == 4 + MAX_LISTED
    assert (found.facts["c"], found.facts["d"], found.seconds) == (3, None, 1.0)
    assert made.about == "to ***"
    made.done()
    assert told == [1, 1]


def test_the_log_is_clean_and_bounded() -> None:
    made = Section("moex", "", clean=MASK.hide)
    for number in range(100):
        made.note(f"{number} s3cr3t-p4ss")
    assert made.log == [f"{number} ***" for number in range(MAX_LOG)]


def test_a_cleaner_that_is_never_given_nothing() -> None:
    made = Section("alor", "", clean=lambda text: text or "no message")
    made.add(CheckFinding("tcp", "good", "x"))
    assert made.findings == [CheckFinding("tcp", "good", "x")]


def test_only_a_failure_or_an_early_end_counts() -> None:
    fine, bad = section("good", "warning", "skipped"), section("good", "failed")
    assert has_failed([fine])  # it isn't done
    for each in (fine, bad):
        each.done()
    assert not has_failed([fine])
    assert has_failed([fine, bad])
    assert counts([fine, bad]) == {"good": 2, "warning": 1, "skipped": 1, "failed": 1}


def test_what_was_not_tried_says_why() -> None:
    assert skipped("tls", "tcp failed", "wss://x") == CheckFinding("tls", "skipped", "not tried: tcp failed", "wss://x")
