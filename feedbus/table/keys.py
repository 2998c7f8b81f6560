"""The keys of the live table: what is typed in, how the table is looked at out. Pure: text in, a View out.

    q  quits                          /  types a text that symbol or venue must contain, in any case:
    s  sorts by the next column          Enter keeps it, Esc clears it, Backspace and Ctrl-U edit it
    r  turns the order around         t  shows the time of the last update, or its age
    u i l p v a  sorts by updates, instrument, last, spread, volume, age; pressed again it turns the order around
    ?  shows the keys

Upper and lower case mean the same. The sequences of special keys (ECMA-48: ESC [ … and ESC O …) and Alt with a key
are passed over whole: they may hold any letter.
"""

from __future__ import annotations

import re

import msgspec
from msgspec.structs import replace

from feedbus.table.market_table import Order, Sort

MAX_TEXT = 40
MAX_SEQUENCE = 64
"""A sequence that is still not over after so many characters is none."""

SORTS: dict[str, Sort] = {
    "u": "updates",
    "i": "instrument",
    "l": "last",
    "p": "spread",
    "v": "volume",
    "a": "age",
}
ESCAPE, ENTER, BACKSPACE, CTRL_U = "\x1b", "\r\n", "\x7f\b", "\x15"

# The console of Linux sends ESC [ [ A for F1.
_KEY = re.compile(r"\x1b+(?:\[\[?[0-?]*[ -/]*[@-~]|O[0-9;]*[^0-9;\x1b])|\x1b[^\[O\x1b]|[\s\S]")
_UNFINISHED = re.compile(r"\x1b+(?:\[\[?[0-?]*[ -/]*|O[0-9;]*)\Z")


class View(msgspec.Struct, frozen=True):
    """How the table is looked at. `typing`: the order's text is being typed."""

    order: Order = Order()
    typing: bool = False
    clock: bool = False
    help: bool = False


class Keys:
    """What has been typed so far. `view` is what it comes to, `quit` whether q was among it."""

    def __init__(self) -> None:
        self.view = View()
        self.quit = False
        self._unfinished = ""

    def type(self, text: str) -> None:
        """Take in what was typed: a key, several, or a part of the sequence of a special key."""
        text = self._unfinished + text
        unfinished = _UNFINISHED.search(text)
        if unfinished is None or len(unfinished[0]) > MAX_SEQUENCE:
            self._unfinished = ""
        else:
            self._unfinished = unfinished[0]
            text = text[: unfinished.start()]
        for key in _KEY.findall(text):
            if len(key) == 1:
                self._press(key)

    def _press(self, key: str) -> None:
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
    """One more key of the text."""
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
    """What the keys do now."""
    if view.typing:
        return "Enter keeps  Esc clears"
    if view.help:
        letters = "  ".join(f"{key} {sort}" for key, sort in SORTS.items())
        return f"q quits  / filter  t time  r reverse  s next sort  {letters}"
    clears = "  Esc clears the filter" if view.order.text else ""
    return f"q quits  ? keys{clears}"
