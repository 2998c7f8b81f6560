"""The final statistics of a run, by instrument, as lines of text. Pure.

`run_lines(table.totals(10))`, with the table that `run_monitor` returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len, set_cell_size

from feedbus.table.columns import NOTHING, price_text, volume_text, vwap_decimals
from feedbus.table.run_totals import Total
from feedbus.text import replaced

MAX_WIDTH = 24
GAP = "  "
UNITS = {
    ("alor", "trades"): "lots",
    ("binance", "ticker"): "base units",
    ("binance", "trades"): "base units",
    ("moex", "ticker"): "securities",
    ("moex", "trades"): "lots",
}
"""What volumes are counted in, by venue and what they were drawn from, as the venues' modules say."""
UNKNOWN_UNIT = "venue's own"


def unit(total: Total) -> str:
    """What an instrument's volumes are counted in."""
    return NOTHING if total.source is None else UNITS.get((total.venue, total.source), UNKNOWN_UNIT)


COLUMNS: Sequence[tuple[str, Callable[[Total], str]]] = (
    ("venue", lambda total: replaced(total.venue)),
    ("instrument", lambda total: replaced(total.symbol)),
    ("updates", lambda total: f"{total.updates:,}"),
    ("last", lambda total: price_text(total.last, total.decimals)),
    ("VWAP", lambda total: price_text(total.vwap, vwap_decimals(total.decimals))),
    ("volume", lambda total: volume_text(total.volume)),
    ("bought", lambda total: volume_text(total.bought)),
    ("sold", lambda total: volume_text(total.sold)),
    ("unit", unit),
    ("from", lambda total: total.source or NOTHING),
)
LEFT = {"venue", "instrument", "unit", "from"}


def run_lines(totals: Sequence[Total]) -> list[str]:
    """A line of titles, then one an instrument, all aligned; nothing for no instruments. `bought` and `sold` are by the
    side of whoever took the price; VWAP is in the unit of the prices."""
    if not totals:
        return []
    columns = [_aligned([title, *(text(total) for total in totals)], left=title in LEFT) for title, text in COLUMNS]
    return [GAP.join(cells).rstrip() for cells in zip(*columns, strict=True)]


def _aligned(cells: Sequence[str], *, left: bool) -> list[str]:
    """Cells of one width; what is longer than MAX_WIDTH is cut."""
    width = min(MAX_WIDTH, max(map(cell_len, cells)))
    cut = [cell if cell_len(cell) <= width else set_cell_size(cell, width - 1).rstrip() + "…" for cell in cells]
    pads = [" " * (width - cell_len(cell)) for cell in cut]
    return [cell + pad if left else pad + cell for cell, pad in zip(cut, pads, strict=True)]
