"""The drawing of the live table: texts, colours, what fits where."""

import io
import re
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from feedbus.schema.events import (
    UPDATES,
    Alert,
    Bar,
    BookDelta,
    BookSnapshot,
    Event,
    FeedState,
    FeedStatus,
    Gap,
    Level,
    MarketEvent,
    Quote,
    Status,
    Ticker,
    Trade,
    TrustState,
)
from feedbus.table.columns import span_text
from feedbus.table.connection_table import SECOND
from feedbus.table.keys import SORTS, View
from feedbus.table.market_table import MarketTable, Order, Snapshot
from feedbus.table.market_view import (
    age_style,
    alert_lines,
    connection_lines,
    plain_lines,
    render,
    room_for_rows,
    run_lines,
    unit,
)
from feedbus.table.run_totals import Total
from feedbus.text import replaced

NOW = 1_000_000 * SECOND


def snapshot(
    *events: Event, now: int = NOW, started: int = NOW, rows: int = 100, order: Order | None = None
) -> Snapshot:
    """Of a table with these events, whose instruments are live."""
    table = MarketTable(started)
    for event in events:
        table.add(event)
        if type(event) in UPDATES and isinstance(event, MarketEvent):
            table.add(status("live", event.symbol, event.venue))
    table.tick(now)
    return table.snapshot(now, rows, order or Order())


def status(state: TrustState, symbol: str, venue: str = "moex", reason: str = "", word: str = "") -> Status:
    return Status(venue, symbol, 0, NOW, state, reason, NOW, 1, word)


def ticker(symbol: str, venue: str = "moex", age: int = 0, lag: int = 0) -> Ticker:
    at = NOW - age
    return Ticker(venue, symbol, at - lag, at, bid=306.1, ask=306.15, last=306.1, volume=1234567.0, status="T")


def feed(
    name: str, state: FeedState = "online", reason: str = "", up: int = 1, wanted: int = 1, age: int = 0
) -> FeedStatus:
    return FeedStatus(name.partition("/")[0], name, 0, NOW - age, state, reason, up, wanted, {"live": 50}, 0.0, None, 1)


def bar(symbol: str, venue: str = "moex", vwap: float | None = 306.12, sides: tuple[float, float] | None = None) -> Bar:
    prices = (306.0, 306.2, 305.9, 306.1)
    bought, sold = sides or (None, None)
    return Bar(venue, symbol, 0, NOW, "trades", 60, 0, *prices, 1234.0, None, 9, bought, sold, vwap, False, 0, True)


def alert(rule: str, symbol: str = "", severity: str = "warning", state: str = "firing", at: int = NOW) -> Alert:
    return Alert("moex", symbol, 0, at, rule, severity, state, None, "")  # type: ignore[arg-type]


KEYS = View()


def drawn(
    shown: Snapshot, width: int = 80, height: int = 24, foot: str = "", spare: int = 0, view: View | None = KEYS
) -> list[str]:
    """The lines on a console that is `spare` cells wider than what is drawn."""
    console = Console(file=io.StringIO(), width=width + spare, height=height, color_system=None)
    with console.capture() as capture:
        console.print(render(shown, width, height, foot, view))
    return capture.get().splitlines()


def segments(shown: Snapshot, width: int = 80) -> list[Segment]:
    console = Console(file=io.StringIO(), width=width, height=24, color_system="standard", force_terminal=True)
    return list(console.render(render(shown, width, 24)))


def connections(*statuses: FeedStatus, width: int = 80) -> list[str]:
    return [line.plain for line in connection_lines(snapshot(*statuses).feed, width)]


def test_a_screen_of_80_columns_looks_as_designed() -> None:
    shown = snapshot(
        ticker("TQBR.SBER"),
        ticker("TQBR.SBER"),
        ticker("TQBR.GAZP", age=12 * SECOND),
        BookSnapshot("moex", "TQBR.VTBR", 0, NOW, [(0.07525, 1.0)], [], None),
        *(feed(f"moex/{i}", up=29, wanted=30) for i in range(30) if i != 12),
        feed("moex/12", "waiting", "no route to host", up=29, wanted=30),
        Gap("book.moex.TQBR.ROSN", "moex", 1, 5, 9, "lost"),
        started=NOW - 754 * SECOND,
    )
    assert drawn(shown, foot="ipc:///run/feedbus/bus") == [
        "feedbus  connections 29/30  updates 4  0/s",
        "instruments 3 data, 3 price, 1,500 wanted  uptime 0:12:34  bus gaps 1",
        "online 29: moex/0-11 moex/13-29",
        "not online 1: moex/12 waiting: no route to host",
        "Instrument      Bid      Ask Spread %     Last  Volume Updates▼    Age Status   ",
        "TQBR.SBER    306.10   306.15    0.016   306.10   1.23M        2  0.0 s T     ",
        "TQBR.GAZP    306.10   306.15    0.016   306.10   1.23M        1   12 s T     ",
        "TQBR.VTBR   0.07525        -        -        -       -        1  0.0 s -     ",
        "q quits  ? keys  ipc:///run/feedbus/bus",
    ]


SAID: list[tuple[TrustState, str]] = [
    ("unsubscribed", "refused"),
    ("resyncing", "connecting"),
    ("gapped", "audit"),
    ("stale", "silent"),
    ("delayed", "late"),
    ("closed", "halted"),
    ("quiet", "silent"),
    ("live", ""),
]


def of_each_state() -> Snapshot:
    """A row in each state, and one of which nobody has said anything."""
    table = MarketTable(NOW)
    for state, reason in SAID:
        table.add(ticker(state))
        table.add(status(state, state, reason=reason, word="ticker"))
    table.add(ticker("zzz"))
    return table.snapshot(NOW, 10, Order("instrument"))


def test_an_instrument_that_is_not_live_never_looks_as_if_it_were() -> None:
    shown = of_each_state()
    looks = {}
    for line, row in zip(screen_lines(shown, 200)[-10:-1], shown.rows, strict=True):
        looks[row.symbol] = (
            [line.plain[span.start : span.end].strip() for span in line.spans],
            [str(span.style) for span in line.spans],
        )
    assert set(looks["live"][1]) == {"green"}
    assert looks["live"][0] == ["0.0 s", "live"]
    for symbol, (texts, styles) in looks.items():
        colours = dict(zip(texts, styles, strict=True))
        if symbol != "live":
            word = texts[-2] if texts[-1] in ("T", "-") else texts[-1]
            assert word.startswith("resyncing unheard" if symbol == "zzz" else symbol)
            assert colours[word] != "green"
            assert (colours.get("306.10"), colours.get("0.0 s")) == {
                "quiet": (None, "green"),
                "delayed": ("yellow", "yellow"),
            }.get(symbol, ("dim", "dim"))
    assert looks["zzz"][0][-2] == "resyncing unheard"
    assert "resyncing connecting" in looks["resyncing"][0]
    assert "live 1" in "".join(drawn(shown, 120))
    plain = [line.partition("bid")[0].strip() for line in plain_lines(shown, 10)[-9:]]
    assert plain == [
        "moex closed  closed halted",
        "moex delayed  delayed late",
        "moex gapped  NOT LIVE gapped audit",
        "moex live",
        "moex quiet  quiet silent",
        "moex resyncing  NOT LIVE resyncing connecting",
        "moex stale  NOT LIVE stale silent",
        "moex unsubscribed  NOT LIVE unsubscribed refused",
        "moex zzz  NOT LIVE resyncing unheard",
    ]


def test_the_word_of_trust_has_room_on_a_narrow_screen() -> None:
    for width, word in ((40, "resyncing connect…"), (60, "resyncing connecting"), (80, "resyncing connecting")):
        (row,) = (line for line in drawn(of_each_state(), width) if line.startswith("resyncing"))
        assert word in row.removeprefix("resyncing")


def test_an_empty_table_says_so() -> None:
    assert drawn(snapshot()) == [
        "feedbus  connections ?/0  updates 0  0/s",
        "instruments 0 data, 0 price, ? wanted  uptime 0:00:00  bus gaps 0",
        "online 0:",
        "no connection has spoken yet",
        "Instrument      Bid      Ask Spread %     Last  Volume Updates▼    Age          ",
        "no market data yet",
        "q quits  ? keys",
    ]


@pytest.mark.parametrize(
    ("age_ns", "style"),
    [
        (0, "green"),
        (5 * SECOND - 1, "green"),
        (5 * SECOND, "yellow"),
        (30 * SECOND - 1, "yellow"),
        (30 * SECOND, "red"),
        (3600 * SECOND, "red"),
    ],
)
def test_ages_are_green_under_5_s_yellow_under_30_s_and_red_beyond(age_ns: int, style: str) -> None:
    assert age_style(age_ns) == style
    text = span_text(age_ns / SECOND)
    (age,) = [part for part in segments(snapshot(ticker("SBER", age=age_ns))) if part.text.strip() == text]
    assert age.style is not None
    assert age.style.color is not None
    assert age.style.color.name == style


def test_only_the_age_of_a_row_is_coloured() -> None:
    shown = snapshot(ticker("SBER"), feed("moex/0"))
    coloured = [part.text.strip() for part in segments(shown) if part.style is not None and part.style.color]
    assert coloured == ["online 1:", "0.0 s"]


@pytest.mark.parametrize("height", [7, 10, 24, 50])
def test_as_many_rows_as_fit_are_shown(height: int) -> None:
    lines = drawn(snapshot(*(ticker(f"S{i:03}") for i in range(100))), height=height)
    assert len(lines) == height
    shown = [line for line in lines if line.startswith("S")]
    assert len(shown) == height - 6
    assert lines[-1].startswith(f"{height - 6} most active of 100")


@pytest.mark.parametrize("height", [1, 2, 3, 4, 5])
def test_a_terminal_too_low_for_the_table_shows_the_header(height: int) -> None:
    lines = drawn(snapshot(*(ticker(f"S{i}") for i in range(100))), height=height)
    assert len(lines) == height
    assert lines[0].startswith("feedbus")


@pytest.mark.parametrize(
    ("width", "titles"),
    [
        (200, ["Venue", "Instrument", "Bid", "Ask", "Spread", "%", "Last", "Volume", "Updates▼", "Age", "Status"]),
        (80, ["Venue", "Instrument", "Bid", "Ask", "Spread", "%", "Last", "Volume", "Updates▼", "Age"]),
        (70, ["Venue", "Instrument", "Bid", "Ask", "Last", "Volume", "Updates▼", "Age"]),
        (56, ["Instrument", "Bid", "Ask", "Last", "Volume", "Age"]),
        (30, ["Instrument", "Last", "Age"]),
    ],
)
def test_narrow_terminals_leave_columns_out(width: int, titles: list[str]) -> None:
    lines = drawn(snapshot(ticker("TQBR.SBER"), ticker("TQBR.SBER", venue="alor")), width)
    assert lines[4].split() == titles


@pytest.mark.parametrize(
    ("order", "title"),
    [
        (Order(), "Updates▼"),
        (Order("updates", backwards=True), "Updates▲"),
        (Order("instrument"), "Instrument▼"),
        (Order("spread"), "Spread %▼"),
        (Order("age", backwards=True), "Age▲"),
    ],
)
def test_the_column_that_rows_are_sorted_by_is_marked(order: Order, title: str) -> None:
    titles = drawn(snapshot(ticker("SBER"), order=order), 120, view=View(order))[4]
    assert title in titles
    assert titles.count("▼") + titles.count("▲") == 1


def test_the_column_that_somebody_sorts_by_is_there_however_narrow_the_screen() -> None:
    for sort in SORTS.values():
        order = Order(sort, backwards=True)
        assert "▲" in drawn(snapshot(ticker("SBER"), order=order), 30, view=View(order))[4] or sort == "updates"


def day(symbol: str, **values: float) -> Ticker:
    return Ticker("moex", symbol, NOW, NOW, **({"bid": 306.1, "ask": 306.2, "last": 303.0} | values))  # type: ignore[arg-type]


def test_change_high_and_low_of_the_day_have_columns_where_a_venue_says_them_and_there_is_room() -> None:
    events = [day("SBER", previous_close=300.0, high=310.25, low=299.0, volume=5.41e9), day("GAZP", high=127.0), ALL]
    wide, narrow, narrowest = (drawn(snapshot(*events), width) for width in (160, 80, 56))
    words = re.sub(" +", " ", wide[4])
    assert words.startswith("Instrument Bid Ask Spread % Last Chg % High Low Chg 1m % VWAP 1m Vol 1m Buy 1m % Volume ")
    assert [line.split()[5:8] for line in wide[5:7]] == [["-", "127.0", "-"], ["1.00", "310.25", "299.00"]]
    assert "5.41G" in wide[6]
    assert re.sub(" +", " ", narrow[4]).strip() == "Instrument Bid Ask Spread % Last Chg % Volume Updates▼ Age"
    assert re.sub(" +", " ", narrowest[4]).strip() == "Instrument Bid Ask Last Chg % Age"
    assert "Chg %" not in drawn(snapshot(day("SBER"), ALL), 160)[4]


def test_a_column_that_has_been_there_stays_when_its_rows_are_scrolled_away() -> None:
    table = MarketTable(NOW)
    for number in range(20):
        table.add(day(f"S{number:02}", **({"high": 310.0} if not number else {})))
    by_name = Order("instrument")
    seen = [
        "High" in drawn(table.snapshot(NOW, 5, by_name, above), 160, 11, view=View(by_name, above=above))[4]
        for above in (5, 0, 5)
    ]
    assert seen == [False, True, True]


def test_scrolled_rows_are_those_below_and_the_foot_says_which() -> None:
    table = MarketTable(NOW)
    for number in range(100):
        table.add(ticker(f"S{number:03}"))
    lines = drawn(table.snapshot(NOW, 20, above=30), 100, 20, view=View(above=30))
    assert [line.split()[0] for line in lines[5:19]] == [f"S{number:03}" for number in range(30, 44)]
    assert lines[-1].startswith("31-44 most active of 100  ")
    assert room_for_rows(table.snapshot(NOW, 20), 100, 20) == 14
    assert room_for_rows(table.snapshot(NOW, 20), 100, 3) == 0


@pytest.fixture
def in_moscow(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "MSK-3")
        time.tzset()
        yield
    time.tzset()


def test_the_age_gives_its_place_to_the_time_of_the_last_update(in_moscow: None) -> None:
    old = Ticker("moex", "SBER", 0, 1_719_825_533_789_000_000, status="T")
    shown = snapshot(old, now=old.ts_recv + 12 * SECOND)
    lines = drawn(shown, view=View(clock=True))
    assert re.sub(" +", " ", lines[4]).strip() == "Instrument Bid Ask Spread % Last Volume Updates▼ Updated"
    assert "12:18:53.789" in lines[5]
    console = Console(file=io.StringIO(), width=80, height=24, color_system="standard", force_terminal=True)
    parts = [part for part in console.render(render(shown, 80, 24, view=View(clock=True))) if "12:18" in part.text]
    assert [str(part.style) for part in parts] == ["yellow"]


def test_the_filter_its_matches_and_what_the_keys_do_are_in_the_foot() -> None:
    events = [ticker(f"S{number}") for number in range(30)]

    def foot(order: Order, view: View | None, height: int = 50) -> str:
        return drawn(snapshot(*events, order=order), 120, height, "title", view=view)[-1]

    two = Order(text="s2")
    assert foot(Order(), None) == "Ctrl-C quits  title"
    assert foot(two, View(two)) == "filter: s2 (11)  q quits  ? keys  Esc clears the filter  title"
    assert foot(two, View(two, typing=True)) == "filter: s2_ (11)  Enter keeps  Esc clears  title"
    assert (
        foot(two, View(two), 10)
        == "4 most active of 11  filter: s2 (11)  q quits  ? keys  Esc clears the filter  title"
    )
    assert foot(two, View(two, help=True)).startswith(
        "q quits  / filter  t time  r reverse  s next sort  arrows scroll  u"
    )
    spread = Order("spread", backwards=True)
    assert foot(spread, View(spread)) == "30 by spread, reversed of 30  q quits  ? keys  title"


def test_a_filter_that_nothing_matches_is_told_apart_from_no_data() -> None:
    order = Order(text="z")
    lines = drawn(snapshot(ticker("SBER"), order=order), view=View(order))
    assert lines[5] == "nothing matches the filter"
    assert lines[6].startswith("filter: z (0)")
    assert drawn(snapshot(order=order), view=View(order))[5] == "no market data yet"


def test_the_venue_is_a_column_only_where_there_are_several() -> None:
    assert "Venue" not in drawn(snapshot(ticker("SBER")))[4]


def test_a_long_symbol_is_cut_and_leaves_the_numbers_in_their_places() -> None:
    lines = drawn(snapshot(ticker("A" * 60), ticker("B")))
    assert lines[5].startswith("A" * 23 + "… ")
    assert len({line.index("306.15") for line in lines[5:7]}) == 1


@pytest.mark.parametrize("symbol", ["[red]X[/red]", "X\x1b[31m", "X\nY", "X\ud800", "X\x07"])
def test_what_comes_from_outside_is_shown_as_plain_text(symbol: str) -> None:
    text = drawn(snapshot(ticker(symbol)))[5]
    assert text.startswith(replaced(symbol))
    assert text.isprintable()


def test_one_venue_delayed_says_by_how_much() -> None:
    shown = snapshot(ticker("SBER", lag=901 * SECOND), feed("moex/0"))
    assert drawn(shown)[0] == "feedbus  DELAYED 15 min  connections 1/1  updates 1  0/s"


def test_of_several_venues_the_delayed_ones_are_named() -> None:
    shown = snapshot(ticker("SBER", lag=901 * SECOND), ticker("SBER", venue="alor"))
    assert "DELAYED moex 15 min  " in drawn(shown)[0]


def test_delayed_by_an_unknown_time_says_only_delayed() -> None:
    shown = snapshot(ticker("SBER"), feed("moex/0", "delayed"))
    assert drawn(shown)[0].startswith("feedbus  DELAYED  connections 1/1")
    assert drawn(shown)[2] == "online 1: delayed moex/0"


def test_events_beyond_the_limits_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedbus.table.market_table.MAX_INSTRUMENTS", 1)
    monkeypatch.setattr("feedbus.table.connection_table.MAX_CONNECTIONS", 1)
    shown = snapshot(ticker("A"), ticker("B"), feed("moex/0"), feed("moex/1"), feed("moex/1"))
    assert "3 events not shown" in drawn(shown, 120)[1]


def test_refused_instruments_are_told() -> None:
    status = FeedStatus("moex", "moex/0", 0, NOW, "online", "", 1, 1, {"live": 48, "refused": 2}, 0.0, None, 1)
    assert drawn(snapshot(status))[1].startswith("instruments 0 data, 0 price, 50 wanted, 2 refused  uptime")


ALL = bar("TQBR.SBER", sides=(3.0, 1.0))


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (200, "Last, Chg 1m %, VWAP 1m, Vol 1m, Buy 1m %, Volume"),
        (132, "Last, Chg 1m %, VWAP 1m, Vol 1m, Volume"),
        (100, "Last, Chg 1m %, Vol 1m, Volume"),
        (80, "Last, Chg 1m %, Volume"),
        (72, "Last, Volume"),
    ],
)
def test_the_newest_bars_have_columns_after_the_last_price_where_there_is_room(width: int, columns: str) -> None:
    titles = drawn(snapshot(ticker("TQBR.SBER"), ALL), width)[4]
    known = ["Last", "Chg 1m %", "VWAP 1m", "Vol 1m", "Buy 1m %", "Volume"]
    found = {titles.index(f" {title} "): title for title in known if f" {title} " in titles}
    assert ", ".join(found[at] for at in sorted(found)) == columns


def test_a_bar_is_written_in_its_row() -> None:
    line = drawn(snapshot(ticker("TQBR.SBER"), ALL), 200)[5]
    assert line.split()[5:10] == ["0.033", "306.120", "1,234", "75", "1.23M"]


def test_what_no_bar_ever_said_has_no_column() -> None:
    titles = drawn(snapshot(ticker("TQBR.SBER"), bar("TQBR.SBER", vwap=None)), 200)[4]
    assert ("Chg 1m %" in titles, "VWAP" in titles, "Vol 1m" in titles, "Buy" in titles) == (True, False, True, False)


def test_instruments_without_a_bar_have_none_in_its_columns() -> None:
    lines = drawn(snapshot(ticker("TQBR.SBER"), ticker("TQBR.GAZP"), bar("TQBR.SBER", vwap=None)), 200)
    assert [line.split()[5:7] for line in lines[5:7]] == [["-", "-"], ["0.033", "1,234"]]


def test_firing_alerts_have_a_line_above_the_table() -> None:
    shown = snapshot(ticker("TQBR.SBER"), alert("spread", "TQBR.SBER"), alert("stale", "TQBR.GAZP", at=NOW - 1))
    assert drawn(shown)[3:6] == [
        "no connection has spoken yet",
        "alerts 2: spread TQBR.SBER; stale TQBR.GAZP",
        "Instrument      Bid      Ask Spread %     Last  Volume Updates▼    Age Status   ",
    ]


@pytest.mark.parametrize("height", [8, 9, 24])
def test_the_line_of_alerts_takes_the_place_of_a_row(height: int) -> None:
    lines = drawn(snapshot(*(ticker(f"S{i:03}") for i in range(100)), alert("spread")), height=height)
    assert len(lines) == height
    assert sum(line.startswith("S") for line in lines) == height - 7


@pytest.mark.parametrize(
    ("severities", "style"),
    [(["warning"], "yellow"), (["info", "strange"], "yellow"), (["warning", "critical"], "bold red")],
)
def test_alerts_are_red_when_one_is_critical_and_else_yellow(severities: list[str], style: str) -> None:
    (line,) = alert_lines(snapshot(*(alert(f"r{severity}", "A", severity) for severity in severities)).alerts, 80)
    assert str(line.style) == style


def test_when_all_alerts_are_over_it_says_so_and_nothing_when_there_never_was_one() -> None:
    over = snapshot(alert("spread"), alert("spread", state="resolved")).alerts
    assert [line.plain for line in alert_lines(over, 80)] == ["alerts 0"]
    assert alert_lines(snapshot().alerts, 80) == []


def test_alerts_of_one_rule_are_named_together_and_one_about_no_instrument_by_its_venue() -> None:
    alerts = [alert("down", f"moex/{number}", "critical") for number in (3, 4, 5, 9)]
    found = snapshot(alert("stale"), *alerts, alert("stale", "SBER", at=NOW + 1)).alerts
    (line,) = alert_lines(found, 80)
    assert line.plain == "alerts 6: down moex/3-5 moex/9; stale SBER moex"


def test_alerts_that_have_no_room_are_counted() -> None:
    found = snapshot(*(alert("wide_spread", f"TQBR.T{number}", at=NOW - number) for number in range(9))).alerts
    lines = [alert_lines(found, width)[0].plain for width in (200, 80, 30)]
    assert lines == [
        f"alerts 9: wide_spread {' '.join(f'TQBR.T{number}' for number in range(9))}",
        "alerts 9: wide_spread TQBR.T0; wide_spread TQBR.T1; … and 7 more",
        "alerts 9: wide_…; … and 8 more",
    ]


def test_thirty_connections_online_take_one_line() -> None:
    assert connections(*(feed(f"moex/{i}") for i in range(30))) == ["online 30: moex/0-29", "not online: none"]


def test_connections_that_are_away_for_one_reason_are_named_together() -> None:
    lines = connections(
        feed("moex/0", wanted=9),
        feed("moex/1", "waiting", "timed out", wanted=9),
        feed("moex/2", "waiting", "timed out", wanted=9),
        feed("moex/3", "connecting", wanted=9),
        feed("moex/4", age=23 * SECOND, wanted=9),
        feed("moex/5", age=21 * SECOND, wanted=9),
        width=120,
    )
    assert lines == [
        "online 1: moex/0",
        "not online 5: moex/1-2 waiting: timed out; moex/3 connecting; moex/4-5 no word for 20 s",
    ]


def test_a_dead_publisher_is_seen() -> None:
    shown = snapshot(
        ticker("SBER", age=200 * SECOND), *(feed(f"moex/{i}", up=3, wanted=3, age=200 * SECOND) for i in range(3))
    )
    lines = drawn(shown)
    assert lines[0].startswith("feedbus  connections ?/3")
    assert lines[2:4] == ["online 0:", "not online 3: moex/0-2 no word for 3 min"]
    assert "3 min" in lines[5]


def test_long_reasons_are_cut_before_names() -> None:
    lines = connections(*(feed(f"moex/{i}", "waiting", f"{i} " + "why " * 20, wanted=9) for i in range(3)))
    assert lines[1] == "not online 3: moex/0 waiting: 0…; moex/1 waiting: 1…; moex/2 waiting: 2…"


def test_connections_that_have_no_room_are_counted() -> None:
    statuses = [feed(f"moex/{i}", "waiting", f"{i} " + "why " * 20, wanted=9) for i in range(9)]
    lines = connections(*statuses)
    assert lines[1] == "not online 9: moex/0 waiting: 0…; moex/1 waiting: 1…; … and 7 more"
    assert connections(*statuses, width=40)[1] == "not online 9: moex/0 wait…; … and 8 more"


def test_plain_lines_name_every_number() -> None:
    shown = snapshot(ticker("TQBR.SBER"), ticker("TQBR.GAZP", age=12 * SECOND), feed("moex/0"), rows=1)
    assert plain_lines(shown, 1) == [
        "feedbus  connections 1/1  updates 2  0/s  instruments 2 data, 2 price, 50 wanted  uptime 0:00:00  bus gaps 0",
        "not online: none",
        "  moex TQBR.GAZP  bid 306.10  ask 306.15  last 306.10  volume 1,234,567  updates 1  age 12 s",
    ]


def test_plain_lines_have_alerts_and_bars_too() -> None:
    shown = snapshot(ticker("TQBR.SBER"), ALL, feed("moex/0"), alert("spread", "TQBR.SBER"))
    alerts, line = plain_lines(shown, 1)[2:]
    assert alerts == "alerts 1: spread TQBR.SBER"
    assert line.startswith("  moex TQBR.SBER  bid 306.10  ask 306.15  last 306.10  Chg 1m % 0.033  VWAP 1m 306.120  ")
    assert line.endswith("  Vol 1m 1,234  Buy 1m % 75  volume 1,234,567  updates 1  age 0.0 s")


TEXTS = st.one_of(
    st.sampled_from(["A", "moex/1", "moex/2", "TQBR.SBER", "日本語", "e\u0301\u200d"]), st.text(max_size=40)
)
FLOATS = st.none() | st.floats() | st.sampled_from([0.0, 306.1, sys.float_info.max, 5e-324])
NUMBERS = st.floats() | st.sampled_from([306.1, 1e-9])
TIMES = st.sampled_from([0, NOW, NOW - 20 * SECOND, NOW + SECOND]) | st.integers(-(2**63), 2**64)
LEVELS: st.SearchStrategy[list[Level]] = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=2)
STATES: st.SearchStrategy[FeedState] = st.sampled_from(
    ["connecting", "online", "delayed", "waiting", "refused", "stopped"]
)
COUNTS = st.integers(0, 2**40)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(BookSnapshot, TEXTS, TEXTS, TIMES, TIMES, LEVELS, LEVELS, st.none()),
    st.builds(BookDelta, TEXTS, TEXTS, TIMES, TIMES, LEVELS, LEVELS, st.none(), st.none()),
    st.builds(Quote, TEXTS, TEXTS, TIMES, TIMES, FLOATS, FLOATS, FLOATS, FLOATS, st.none()),
    st.builds(Trade, TEXTS, TEXTS, TIMES, TIMES, NUMBERS, NUMBERS, st.none(), st.none()),
    st.builds(
        Ticker, TEXTS, TEXTS, TIMES, TIMES, bid=FLOATS, ask=FLOATS, last=FLOATS, high=FLOATS, low=FLOATS,
        previous_close=FLOATS, volume=FLOATS, status=st.none() | TEXTS,
    ),
    st.builds(
        FeedStatus, TEXTS, TEXTS, TIMES, TIMES, STATES, TEXTS, COUNTS, COUNTS,
        st.dictionaries(st.sampled_from(["live", "refused"]), COUNTS), NUMBERS, FLOATS, COUNTS,
    ),
    st.just(Gap("", "moex", 1, None, None, "lost")),
    st.builds(Status, TEXTS, TEXTS, TIMES, TIMES, st.sampled_from(["live", "stale", "gapped"]), TEXTS, TIMES, COUNTS),
    st.builds(
        Bar, st.just("A"), st.just("A"), TIMES, TIMES, st.sampled_from(["venue", "trades", "ticker"]),
        st.integers(1, 2**40), TIMES, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, st.none(), FLOATS, FLOATS, FLOATS,
        st.booleans(), st.just(0), st.booleans(),
    ),
    st.builds(
        Alert, TEXTS, TEXTS, TIMES, TIMES, TEXTS, st.sampled_from(["critical", "warning"]) | TEXTS,
        st.sampled_from(["firing", "resolved"]), FLOATS, TEXTS,
    ),
)  # fmt: skip


VIEWS = st.none() | st.builds(
    View,
    st.builds(Order, st.sampled_from(list(SORTS.values())), st.booleans(), st.just("") | TEXTS),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENTS, max_size=15), st.integers(1, 220), st.integers(1, 60), TEXTS, st.sampled_from([0, 40]), VIEWS)
def test_whatever_comes_is_drawn_and_fits(
    events: list[Event], width: int, height: int, foot: str, spare: int, view: View | None
) -> None:
    shown = snapshot(*events, rows=height, order=view.order if view else None)
    lines = drawn(shown, width, height, foot, spare, view)
    assert len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)
    assert all(line.isprintable() for line in [*lines, *plain_lines(shown, 5)])


def test_the_final_statistics_look_as_designed() -> None:
    totals = [
        Total("binance", "BTCUSDT", 1870, 55321.38, 2, 55321.375, 1.10256, 0.72812, 0.37444, "trades"),
        Total("moex", "TQBR.SBER", 80, 306.1, 2, 306.1, 3900.0, None, None, "ticker"),
        Total("moex", "TQBR.VTBR", 3, None, 0, None, None, None, None, None),
    ]
    assert run_lines(totals) == [
        "venue    instrument  updates      last       VWAP  volume  bought    sold  unit        from",
        "binance  BTCUSDT       1,870  55321.38  55321.375    1.10  0.7281  0.3744  base units  trades",
        "moex     TQBR.SBER        80    306.10    306.100   3,900       -       -  securities  ticker",
        "moex     TQBR.VTBR         3         -          -       -       -       -  -           -",
    ]


def test_without_instruments_there_are_no_final_statistics() -> None:
    assert run_lines([]) == []


@pytest.mark.parametrize(
    ("venue", "source", "name"),
    [("moex", "ticker", "securities"), ("alor", "trades", "lots"), ("alor", "ticker", "venue's own"),
     ("new", "trades", "venue's own"), ("moex", None, "-")],
)  # fmt: skip
def test_the_unit_of_volumes_is_named(venue: str, source: str | None, name: str) -> None:
    total = Total(venue, "X", 1, None, 0, None, 1.0, None, None, source)  # type: ignore[arg-type]
    assert unit(total) == name


TOTAL_NUMBERS = st.none() | st.floats()
TOTAL_TEXTS = st.sampled_from(["日本語" * 9, "A" * 60, "\x1b[31m", "X\nY"]) | st.text(max_size=40)


@given(
    st.lists(
        st.builds(
            Total, TOTAL_TEXTS, TOTAL_TEXTS, st.integers(0, 2**60), TOTAL_NUMBERS, st.integers(0, 8),
            TOTAL_NUMBERS, TOTAL_NUMBERS, TOTAL_NUMBERS, TOTAL_NUMBERS,
            st.sampled_from(["trades", "ticker", None]),
        ),
        min_size=1,
        max_size=5,
    )
)  # fmt: skip
def test_the_final_statistics_are_aligned_and_plain_whatever_they_hold(totals: list[Total]) -> None:
    lines = run_lines(totals)
    assert len(lines) == len(totals) + 1
    assert all(line.isprintable() for line in lines)
    ends = {cell_len(line) - cell_len(total.source or "-") for line, total in zip(lines[1:], totals, strict=True)}
    assert len(ends) == 1


def screen_lines(shown: Snapshot, width: int, away: str = "") -> list[Text]:
    group = render(shown, width, 20, away=away)
    return [line for line in group.renderables if isinstance(line, Text) and line.plain]


def test_publishers_that_say_nothing_are_told_at_the_top() -> None:
    table = MarketTable(NOW)
    for symbol, venue in (("SBER", "moex"), ("ETHUSDT", "binance")):
        table.add(ticker(symbol, venue), venue)
        table.add(status("live", symbol, venue), venue)
    table.add(feed("moex/0"), "moex")
    usual = table.snapshot(NOW, 10)
    table.add(Gap("", "moex", 1, None, None, "silent"), "moex")
    table.tick(NOW, {"moex": 7.9})
    silent = table.snapshot(NOW, 10)
    for width in (60, 120):
        lines = [line.plain for line in screen_lines(silent, width, "nobody listens at ipc:///x")]
        assert lines[0].startswith("feedbus  NOT LIVE  connections ?/1")
        assert lines[1].startswith("nothing has come from the publisher moex for 7 s: nobody li")
        assert room_for_rows(silent, width, 20) == room_for_rows(usual, width, 20) - 1
    for symbol, styles in (("SBER", {"dim", "red"}), ("ETHUSDT", {"green"})):
        (row,) = (line for line in screen_lines(silent, 120) if symbol in line.plain)
        assert {str(span.style) for span in row.spans} == styles
        assert ("resyncing publisher silent" in row.plain) == (symbol == "SBER")
    assert "NOT LIVE" not in "".join(drawn(usual, 120, 20))
    plain = plain_lines(silent, 10, "nobody listens at ipc:///x")
    assert plain[0].startswith("feedbus  NOT LIVE  ")
    assert plain[1] == "nothing has come from the publisher moex for 7 s: nobody listens at ipc:///x"
    assert plain[2] == "not online 1: moex/0 no word for 0.0 s"
    assert [line.split("bid")[0].rstrip() for line in plain[3:]] == [
        "  binance ETHUSDT",
        "  moex SBER  NOT LIVE resyncing publisher silent",
    ]
