"""Where the checkout is, and the captures of real data that lie beside it where they are to be had."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
CAPTURES = ROOT.parent / "shared" / "captures"
