"""`feedbus run` for the benchmark's connector process, with one more folder in which venues are found.

`python -m feedbus.bench.launch FOLDER CONFIG`. The folder holds the throw-away Session of tests/bench; everything else
is the product's own path.
"""

from __future__ import annotations

import runpy
import sys

from feedbus import venues


def main(folder: str, config: str) -> None:
    """What `python -m feedbus run CONFIG` does; it ends with SystemExit."""
    venues.__path__.append(folder)
    sys.argv = ["feedbus", "run", config]
    runpy.run_module("feedbus", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
