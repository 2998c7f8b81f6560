"""What the benchmark needs from a checkout beyond feedbus: the hand-written rivals, the Python that runs them, and the
package of the made-up venue that sends trades.

`python -m feedbus.bench.rivals FOLDER CONFIG` is `feedbus run CONFIG`, except that venues are also found in FOLDER. The
scenario `trades` starts its connector in this way.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import msgspec

from feedbus import venues
from feedbus.bench.slotted_frames import Protocol
from feedbus.errors import FeedbusError

PROGRAMS = {"moex": "rival_books.py", "trades": "rival_trades.py"}
TUNED = "rival_books_tuned.py"


class Rivals(msgspec.Struct, frozen=True):
    """The benchmark's files in the checkout at `root`."""

    root: Path

    @property
    def venues(self) -> Path:
        """The folder with the venue package `bench_trades`."""
        return self.root / "tests" / "bench" / "venues"

    @property
    def python(self) -> Path:
        """The interpreter of the rivals' environment, which `make bench` makes."""
        return self.root / ".venv-bench" / "bin" / "python"

    def program(self, protocol: Protocol, tuned: bool = False) -> list[str]:
        """The command that runs the rival for this protocol, or the tuned rival for books. Raises FeedbusError when the
        rivals' environment is missing."""
        if not self.python.exists():
            raise FeedbusError("bench: --compare needs the environment .venv-bench: `make bench` makes it")
        return [str(self.python), str(self.root / "tests" / "bench" / (TUNED if tuned else PROGRAMS[protocol]))]


def find() -> Rivals | None:
    """The checkout that this feedbus runs from; None when it was installed from a wheel."""
    rivals = Rivals(Path(__file__).resolve().parents[2])
    return rivals if rivals.venues.is_dir() else None


def required() -> Rivals:
    """The checkout, once it is certain that its rivals can run. Raises FeedbusError when they can't."""
    rivals = find()
    if rivals is None:
        raise FeedbusError("bench: --compare needs the checkout of feedbus: the rivals are in its tests/bench")
    rivals.program("moex")
    return rivals


def run_with_venues(folder: str, config: str) -> None:
    """Do what `python -m feedbus run CONFIG` does, with one more folder of venue packages. Ends with SystemExit."""
    venues.__path__.append(folder)
    sys.argv = ["feedbus", "run", config]
    runpy.run_module("feedbus", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run_with_venues(sys.argv[1], sys.argv[2])
