"""The page about books is held to the code: why there is no book, and what is counted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec

from feedbus.books.books import Books, NoBook
from tests.places import DOCS, ROOT

PAGE = (DOCS / "books.md").read_text()
BINANCE = ROOT / "feedbus" / "venues" / "binance"


def test_every_reason_for_no_book_stands_on_the_page() -> None:
    table = PAGE.partition("| reason | what happened |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z ]+)`", table)) == set(get_args(NoBook)) - {""}


def test_what_is_counted_is_what_the_page_says() -> None:
    source = "".join((BINANCE / name).read_text() for name in ("book_sync.py", "book_audit.py", "kept_books.py"))
    counted = set(re.findall(r'"((?:depth|snapshots|audits|quotes|books)(?:_[a-z_]+)?)"', source)) - {"depth"}
    table = PAGE.partition("| occurrence | counts |")[2]
    assert set(re.findall(r"`([a-z_]+)`", table)) == counted


def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    """But for its endless loop, which has nothing to read."""
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert "feedbus.Books()" in example
    compile(example, "books.md", "exec")
    assert msgspec.structs.asdict(Books().counters).keys() >= {"pictures", "deltas", "gaps", "holes"}
