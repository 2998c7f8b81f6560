"""The keys of the live table: turns what is typed into a View, which says how the table is shown. Pure.

    q  quits                          /  begins a filter, a text that symbol or venue must contain:
    s  sorts by the next column          Enter keeps it, Esc clears it, Backspace and Ctrl-U edit it
    r  reverses the order             t  switches between the age and the time of the last update
    u i l p v a  sort by updates, instrument, last, spread, volume, age; pressed again, they reverse the order
    ?  shows the keys
    arrows up and down, Page Up, Page Down, Home, End  scroll

Upper and lower case mean the same. A special key such as an arrow sends a sequence of characters (ECMA-48: ESC [ … and
ESC O …), and Alt with a key sends ESC and the key. Of those that don't scroll, the sequences are ignored as a whole,
because the letters in them aren't commands.
"""

from __future__ import annotations

import re

import msgspec
from msgspec.structs import replace

from feedbus.table.market_table import Order, Sort

MAX_TEXT = 40
MAX_SEQUENCE = 64
"""A sequence that hasn't ended after this many characters isn't one of a special key, and is given up."""

SORTS: dict[str, Sort] = {
    "u": "updates",
    "i": "instrument",
    "l": "last",
    "p": "spread",
    "v": "volume",
    "a": "age",
}
UP, DOWN, PAGE_UP, PAGE_DOWN, HOME, END = "up", "down", "page up", "page down", "home", "end"
SCROLLING = {
    f"\x1b{sequence}": key
    for key, sequences in {
        UP: ("[A", "OA"),
        DOWN: ("[B", "OB"),
        PAGE_UP: ("[5~",),
        PAGE_DOWN: ("[6~",),
        HOME: ("[H", "OH", "[1~", "[7~"),
        END: ("[F", "OF", "[4~", "[8~"),
    }.items()
    for sequence in sequences
}
"""What the keys that scroll send: xterm in its two modes, the Linux console, and rxvt."""
ESCAPE, ENTER, BACKSPACE, CTRL_U = "\x1b", "\r\n", "\x7f\b", "\x15"

# The Linux console sends ESC [ [ A for F1, with a second bracket.
_KEY = re.compile(r"\x1b+(?:\[\[?[0-?]*[ -/]*[@-~]|O[0-9;]*[^0-9;\x1b])|\x1b[^\[O\x1b]|[\s\S]")
_UNFINISHED = re.compile(r"\x1b+(?:\[\[?[0-?]*[ -/]*|O[0-9;]*)\Z")


class View(msgspec.Struct, frozen=True):
    """How the table is shown.

    `typing` is True while the filter, which is the order's text, is being typed; `clock` shows times of day in place of
    ages; `help` shows the keys in the last line; `above` is the number of instruments that are scrolled out at the top.
    """

    order: Order = Order()
    typing: bool = False
    clock: bool = False
    help: bool = False
    above: int = 0


class KeyReader:
    """Cuts what is read from a terminal into keys."""

    def __init__(self) -> None:
        self._unfinished = ""

    def keys(self, text: str) -> list[str]:
        """The keys of what was read: a key, several keys, or a part of a special key's sequence, of which the rest is
        waited for. A special key is its whole sequence.
        """
        text = self._unfinished + text
        unfinished = _UNFINISHED.search(text)
        if unfinished is None or len(unfinished[0]) > MAX_SEQUENCE:
            self._unfinished = ""
        else:
            self._unfinished = unfinished[0]
            text = text[: unfinished.start()]
        return _KEY.findall(text)


class QuitKey:
    """Where the keys have no other use: `quit` is True once q was pressed."""

    def __init__(self) -> None:
        self.quit = False
        self._reader = KeyReader()

    def type(self, text: str) -> None:
        """Take in what was read from the terminal."""
        self.quit = self.quit or any(key in "qQ" for key in self._reader.keys(text))


class Keys:
    """Follows what is typed. `view` is how the table is to be shown after it, and `quit` is True once q was pressed."""

    def __init__(self) -> None:
        self.view = View()
        self.quit = False
        self._reader = KeyReader()
        self._page = 1
        self._last = 0

    def fit(self, instruments: int, rows: int) -> None:
        """Learn how many instruments there are, and how many rows the screen has room for. The view doesn't go beyond
        the last instrument.
        """
        self._page = max(1, rows)
        self._last = max(0, instruments - rows)
        if self.view.above > self._last:
            self.view = replace(self.view, above=self._last)

    def type(self, text: str) -> None:
        """Take in what was read from the terminal: a key, several keys, or a part of a special key's sequence."""
        for key in self._reader.keys(text):
            if len(key) == 1:
                self._press(key)
            elif key in SCROLLING:
                self._scroll(SCROLLING[key])

    def _scroll(self, key: str) -> None:
        above, page = self.view.above, self._page
        to = {UP: above - 1, DOWN: above + 1, PAGE_UP: above - page, PAGE_DOWN: above + page, HOME: 0, END: self._last}
        self.view = replace(self.view, above=max(0, min(self._last, to[key])))

    def _press(self, key: str) -> None:
        before = self.view.order
        self._change(key)
        if self.view.order != before:  # the rows are others now
            self.view = replace(self.view, above=0)

    def _change(self, key: str) -> None:
        view, order = self.view, self.view.order
        if key == ESCAPE:
            self.view = replace(view, typing=False, help=False, order=replace(order, text=""))
        elif view.typing:
            self.view = _edited(view, key)
        else:
            self._command(key.lower())

    def _command(self, key: str) -> None:
        view, order = self.view, self.view.order
        match key:
            case "q":
                self.quit = True
            case "t":
                self.view = replace(view, clock=not view.clock)
            case "?":
                self.view = replace(view, help=not view.help)
            case "/":
                self.view = replace(view, typing=True, help=False, order=replace(order, text=""))
            case "r":
                self.view = replace(view, order=replace(order, backwards=not order.backwards))
            case "s":
                sorts = list(SORTS.values())
                following = sorts[(sorts.index(order.sort) + 1) % len(sorts)]
                self.view = replace(view, order=replace(order, sort=following, backwards=False))
            case _ if key in SORTS:
                again = order.sort == SORTS[key]
                self.view = replace(
                    view, order=replace(order, sort=SORTS[key], backwards=again and not order.backwards)
                )


def _edited(view: View, key: str) -> View:
    """The view after one more key of the filter's text."""
    text = view.order.text
    if key in ENTER:
        return replace(view, typing=False)
    if key in BACKSPACE:
        text = text[:-1]
    elif key == CTRL_U:
        text = ""
    elif key.isprintable() and len(text) < MAX_TEXT:
        text += key
    return replace(view, order=replace(view.order, text=text))


def hint(view: View) -> str:
    """What the keys do now, for the last line."""
    if view.typing:
        return "Enter keeps  Esc clears"
    if view.help:
        letters = "  ".join(f"{key} {sort}" for key, sort in SORTS.items())
        return f"q quits  / filter  t time  r reverse  s next sort  arrows scroll  {letters}"
    clears = "  Esc clears the filter" if view.order.text else ""
    return f"q quits  ? keys{clears}"
