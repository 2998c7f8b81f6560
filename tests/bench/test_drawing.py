"""What is drawn is the product's table with every instrument in it."""

from __future__ import annotations

from feedbus.bench.drawing import CONNECTIONS, HEIGHT, INSTRUMENTS, WIDTH, measure, news
from feedbus.table.market_table import MarketTable
from feedbus.table.market_view import render


def test_the_news_fill_the_table() -> None:
    table = MarketTable(0)
    for event in news(1, 10**9):
        table.add(event)
    found = table.snapshot(2 * 10**9, HEIGHT)
    assert (found.with_price, len(found.rows)) == (INSTRUMENTS, HEIGHT)
    assert (found.feed.up, len(found.feed.connections)) == (CONNECTIONS, CONNECTIONS)
    assert len(render(found, WIDTH, HEIGHT).renderables) == HEIGHT


def test_every_redraw_is_timed() -> None:
    drawing = measure(3, 0.0)
    assert len(drawing.redraws_ns) == 3
    assert min(drawing.redraws_ns) > 0
    assert drawing.add_ns > 0
