"""Where the checkout keeps what isn't part of feedbus: the rivals, their Python, and the Session of the trades."""

from __future__ import annotations

from pathlib import Path

import msgspec

from feedbus.bench.slotted_frames import Protocol
from feedbus.errors import FeedbusError

PROGRAMS = {"moex": "rival_books.py", "trades": "rival_trades.py"}
TUNED = "rival_books_tuned.py"


class Rivals(msgspec.Struct, frozen=True):
    """Files of a checkout."""

    root: Path

    @property
    def venues(self) -> Path:
        """The folder with the Session of the trades."""
        return self.root / "tests" / "bench" / "venues"

    @property
    def python(self) -> Path:
        """The interpreter of the rivals' own environment."""
        return self.root / ".venv-bench" / "bin" / "python"

    def program(self, protocol: Protocol, tuned: bool = False) -> list[str]:
        """The command that runs a rival, or that of the books tuned. Raises FeedbusError without its environment."""
        if not self.python.exists():
            raise FeedbusError("bench: --compare needs the environment .venv-bench: `make bench` makes it")
        return [str(self.python), str(self.root / "tests" / "bench" / (TUNED if tuned else PROGRAMS[protocol]))]


def find() -> Rivals | None:
    """The checkout that this feedbus runs from, None when it runs from a wheel."""
    rivals = Rivals(Path(__file__).resolve().parents[2])
    return rivals if rivals.venues.is_dir() else None


def required() -> Rivals:
    """The checkout with the rivals' environment. Raises FeedbusError where there is none."""
    rivals = find()
    if rivals is None:
        raise FeedbusError("bench: --compare needs the checkout of feedbus: the rivals are in its tests/bench")
    rivals.program("moex")
    return rivals
