"""What is wrong in a text that isn't YAML: the line of the mistake, in words, whichever parser met it."""

from __future__ import annotations

import re

import pytest
import yaml

from feedbus.config import yaml_text
from feedbus.config.yaml_mistakes import Progress, explained
from feedbus.config.yaml_text import MAX_BYTES, compose
from feedbus.errors import ConfigError
from tests.places import ROOT

COLON, SPACE = "a colon is missing?", "a space is missing after the colon?"
DEEPER = "is indented deeper than the line above it, which has a value already"
UNCLOSED = "is never closed, or a comma is missing after it"
COMMA = "a comma is missing between two values, or text after the {} needs quotes"
QUOTE_VARIABLE = 'quote ${…} inside braces and brackets: "${…}"'
FOLLOWS = "something follows a closing quote or bracket: is a quote too many?"
SIGN = "text that begins with @, %, `, a comma or a closing bracket needs quotes"
ALIAS = "text that begins with *, & or ! needs quotes: aliases, anchors and tags aren't supported"
CONFIGS = [path.read_text().splitlines() for path in sorted((ROOT / "configs").glob("*.yaml"))]


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """libyaml and PyYAML's own parser word what they meet differently."""
    monkeypatch.setattr(yaml_text, "_LOADER", getattr(yaml, request.param, yaml.SafeLoader))


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        compose(text, "f")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a: {b: c}\nfeeds\n  moex:\n    venue: x\n", 2, COLON),
        ("f:\n  m:\n    venue moex\n    url: ws://h/\n", 3, COLON),
        ("f:\n  m:\n    url ws://h/\n    x: y\n", 3, COLON),
        ("f:\n  m:\n    url: ws://h/\n    venue moex\n", 4, COLON),
        ("f:\n  m:\n    a: b\n    venue moex\n\n    # x\n    c: d\n", 4, COLON),
        ("f:\n  m:\n    venue moex\n    # x\n    c: d\n", 3, COLON),
        ("f:\n  s:\n    [a,\n     b]\n  sharding {c: 4, d: 5}\n", 5, COLON),
        ("f:\n  domain ${D:-x}\n  a: b\n", 2, COLON),
        ("f:\n  m:\n    venue:moex\n    x: y\n", 3, SPACE),
        ("f:\n  m:\n    x: y\n    venue:moex\n    z: y\n", 4, SPACE),
        ("a: b\nvenue: moex: x\n", 2, "text with a colon and a space in it needs quotes"),
        ("a:\n\tb: 2\n", 2, "a tab can't indent: use spaces"),
        ("₽: 1\n\t\tb: 2\n", 2, "a tab can't indent: use spaces"),
        ("a:\n  c: d\n\tb: 2\n", 3, "a tab can't indent: use spaces"),
        ("a:\n  c: d\n \u00a0b: 2\n", 3, "begins with a no-break space or the like: use plain spaces"),
        ("a: 'x\nb: y\n", 1, "a quote is opened and never closed"),
        ('a: b\nc: "x\nd: y\n', 2, "a quote is opened and never closed"),
        ('a: b\nc: "x\nd: "y"\n', 2, "a quote is opened, and closed by the next one, on line 3"),
        ("a: 'don't'\nb: c\n", 1, FOLLOWS),
        ('a: b\nc: "x" y\n', 2, FOLLOWS),
        ("a: b\nc: [x, y\nd: z\n", 2, f"a [ {UNCLOSED}"),
        ("a: b\nc: [x, y\nd: [z]\n", 2, f"a [ {UNCLOSED}"),
        ("f:\n  a: {x: 1, y: 2\n  b: z\n", 2, f"a {{ {UNCLOSED}"),
        ("a: b\nc: [x, y\n", 2, f"a [ {UNCLOSED}"),
        ("a: b\nc: {\n", 2, "a [ or { is never closed"),
        ("a: b\nc: [x, y}\n", 2, "a [ is closed by }"),
        ("a: b\nc: [x, y]]\nd: e\n", 2, "there is a ] too many"),
        ("a: {x: 1 y: 2}\n", 1, COMMA.format("{")),
        ('a: ["x" "y"]\n', 1, COMMA.format("[")),
        ("a: {x: ,}\nb: [,]\n", 2, "a value is missing before a comma or a bracket"),
        ("a: b\nc: {domain: ${MOEX_DOMAIN:-DEMO}, x: y}\n", 2, QUOTE_VARIABLE),
        ("a: b\nc: [${X}]\n", 2, QUOTE_VARIABLE),
        ("a: b\nc:\n  {login: x,\n   p: a${X}}\n", 4, QUOTE_VARIABLE),
        ("f:\n  venue: moex\n    url: x\n", 3, DEEPER),
        ("f:\n  m:\n    venue: moex\n   url: x\n", 4, "is indented by 3 spaces, what is above it by 0, 2, 4"),
        (" a: b\nc: d\n", 2, "is indented by 0 spaces, what is above it by 1"),
        ("a:\n  c: d\n  - b\n", 3, "an item of a list stands where a key has to be: is its indentation right?"),
        ("a:\n  - b\n  c: d\n", 3, "a key stands where an item of the list (- …) has to be: is its indentation right?"),
        ("a: - x\n", 1, "an item of a list begins on a line of its own; other text that begins with - needs quotes"),
        *[(f"a: b\np: {sign}hunter2\n", 2, SIGN) for sign in "@%`],}"],
        *[(f"a: b\np: {sign}\n", 2, ALIAS) for sign in ("*", "&", "!hunter2!x y")],
        *[(f"a: b\np: {sign}hunter2\n", 2, "text that begins with | or > needs quotes") for sign in "|>"],
        ("f:\n  - a\n  - b: moex: c\n", 3, "text with a colon and a space in it needs quotes"),
        ("m:\n  venue: moex: x\n  a: b\n", 2, "text with a colon and a space in it needs quotes"),
        ("# x\n%hunter2\na: b\n", 2, "a line can't begin with %"),
        ("a: b\n...\nc: d\n", 3, "a second document begins here"),
        ('p: "hunter2\\q"\n', 1, "in double quotes a backslash begins an escape: use single quotes"),
    ],
)
def test_a_mistake_is_named_by_its_line_and_in_words(text: str, line: int, reason: str) -> None:
    assert refused(text) == f"f:{line}: {reason}"


@pytest.mark.parametrize(
    ("pattern", "new", "reason"),
    [
        (r"^( *\w+):( |$)", r"\1\2", COLON),
        (r"^( *\w+): ", r"\1:", SPACE),
        (r"([\[{][^\[{]*)[\]}]$", r"\1", UNCLOSED),
        (r'"(\$\{.*?\})"}', r"\1}", QUOTE_VARIABLE),
        (r"(: ?[^\[{]*)$", r" ]\1", ""),
        (r"^ ( *\w+:.*)", r"\t\1", "a tab can't indent"),
    ],
)
def test_one_mistake_anywhere_in_a_shipped_configuration_is_found_on_its_line(
    pattern: str, new: str, reason: str
) -> None:
    """What is still YAML afterwards, such as a file in which the last line has no colon, is left to the keys."""
    said = []
    for lines in CONFIGS:
        for at, line in enumerate(lines):
            broken = line if line.lstrip().startswith("#") else re.sub(pattern, new, line)
            try:
                compose("\n".join([*lines[:at], broken, *lines[at + 1 :]]), "f")
            except ConfigError as error:
                said.append((at + 1, str(error)))
    assert said
    assert [(line, text) for line, text in said if not text.startswith(f"f:{line}: ") or reason not in text] == []


def test_what_no_rule_knows_is_said_in_the_parsers_words_without_what_they_quote() -> None:
    nowhere = Progress(1, None)
    assert explained("", yaml.YAMLError("hunter2"), nowhere) == (0, "not YAML: broken")
    mark = yaml.Mark("f", 5, 1, 0, None, 0)
    error = yaml.MarkedYAMLError(None, None, "found 'hunter2', but not 'x'", mark)
    assert explained("a: b\nc: d", error, nowhere) == (2, "not YAML: found ..., but not 'x'")


@pytest.mark.parametrize("piece", ["  a: b\n", "x ", "[", "a b\n", " ", "{a: ", "'\n", "- "])
def test_a_mistake_at_the_end_of_a_large_text_is_found_in_linear_time(piece: str) -> None:
    assert refused(piece * (MAX_BYTES // 8 // len(piece)) + "\n a: b: '")


def test_typographic_quotes_are_no_quotes() -> None:
    assert refused("a: b\nc: “ipc://x”\n") == "f:2: c: typographic quotes are letters in YAML: use ' or \""
