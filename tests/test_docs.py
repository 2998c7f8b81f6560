"""What the documentation shows is tried: every fenced block by its language, and every command, option, metric and key
that is named. A new block is covered by being there; one of a language that isn't known here fails."""

from __future__ import annotations

import ast
import io
import re
import shlex
import textwrap
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple, get_args

import msgspec
import pytest
import yaml

import feedbus
from feedbus import actors, cli, config, venues
from feedbus.config import Config
from feedbus.errors import ConfigError
from feedbus.schema.events import EVENT_TYPES, Gap
from tests.places import DOCS, ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
ENVIRON = dict.fromkeys(["MOEX_LOGIN", "ALERT_WEBHOOK", "CREDENTIALS_DIRECTORY"], "https://h/x")
FEEDS = """\
bus: {publish: inproc://b}
feeds:
  moex: {venue: moex, url: ws://h/, symbols: [TQBR.SBER, TQBR.GAZP]}
  binance: {venue: binance, url: ws://h/, symbols: [BTCUSDT]}
"""
FOREIGN = {
    "ini",
    "json",
    "c",
}  # judged by others: see below, tests/edges/test_systemd.py and tests/edges/test_bus_in_c.py


class Block(NamedTuple):
    """A fenced block: the page, the line of its first line, the language, and the text without its indentation."""

    page: Path
    line: int
    language: str
    text: str


def blocks(*languages: str) -> list[Any]:
    """The fenced blocks of these languages on all pages, as parameters."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
            indent, language, inner = match.groups()
            line = text.count("\n", 0, match.start()) + 2
            block = Block(page, line, language, re.sub(rf"^{indent}", "", inner, flags=re.MULTILINE))
            if language in languages or not languages:
                found.append(pytest.param(block, id=f"{page.name}:{line}"))
    return found


def test_every_block_is_of_a_language_that_is_tried() -> None:
    languages = {parameter.values[0].language for parameter in blocks()}
    assert languages == {"", "yaml", "python"} | FOREIGN


# YAML


def readings(text: str) -> Iterator[str]:
    """What is shown may be a whole configuration, one without its feeds, or a part of a feed."""
    inner = "".join(f"    {line}\n" for line in text.splitlines())
    yield text
    yield FEEDS + text
    yield f"{FEEDS}  own:\n    venue: moex\n    url: ws://h/\n    symbols: [TQBR.SBER]\n{inner}"


@pytest.mark.parametrize("block", blocks("yaml"))
def test_a_configuration_that_is_shown_is_good(block: Block, tmp_path: Path) -> None:
    for name in ("tickers.txt", "moex-passcode", "x"):
        (tmp_path / name).write_text("TQBR.SBER\n")
    text = textwrap.dedent(block.text).replace("${CREDENTIALS_DIRECTORY}/", "")
    if {"groups", "scrape_configs"} & set(yaml.safe_load(text)):
        return  # Prometheus': tests/edges/test_promtool.py
    if text.startswith("passcode_file"):
        text = f"credentials: {{domain: passport, login: me, {text.strip()}}}"
    refused = []
    for reading in readings(text):
        try:
            assert isinstance(config.parse(reading, name="c", directory=tmp_path, environ=ENVIRON), Config)
        except ConfigError as error:
            refused.append(str(error))
        else:
            return
    pytest.fail("\n".join(refused))


def keys(kind: Any) -> Iterator[str]:
    """The keys that a struct has in YAML, and those of the structs within it."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            yield field.encode_name
            yield from keys(field.type)
    else:
        for inner in get_args(kind):
            yield from keys(inner)


def spans() -> Iterator[tuple[str, str]]:
    """Page and text of every piece of inline code."""
    for page in PAGES:
        text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for inline in re.findall(r"`([^`]+)`", text):
            yield page.name, " ".join(inline.split())


def named(value: Any) -> Iterator[str]:
    """The keys of a YAML value at every depth."""
    if isinstance(value, dict):
        yield from map(str, value)
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from named(child)


def test_keys_in_running_text_are_keys_of_the_configuration() -> None:
    options = [actors.actor_class(name).Options for name in actors.names()]
    options += [venues.account_class(name).Options for name in venues.names()]
    known = {key for kind in [Config, *options] for key in keys(kind)} | {*actors.names(), *venues.names()}
    known |= {"file", "rule_files", "domain", "login", "passcode", "passcode_file", "refresh_token"}
    used = {
        (page, key)
        for page, text in spans()
        if re.match(r"\{[a-z_]+: |[a-z_]+: [^,]*$", text) and "…" not in text
        for key in named(yaml.safe_load(text.replace("{…}", "{}")))
    }
    assert used
    assert {(page, key) for page, key in used if key not in known} == set()


# Python


@pytest.mark.parametrize("block", blocks("python"))
def test_python_that_is_shown_compiles_and_uses_what_there_is(block: Block) -> None:
    """tests/test_library.py runs the program of the README."""
    tree = compile(block.text, str(block.page), "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    used = [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "feedbus"
    ]
    assert used
    assert [name for name in used if name not in feedbus.__all__] == []


# Commands


def commands() -> list[Any]:
    """Every command line of ours, in blocks and in running text, as parameters."""
    lines = [(parameter.id or "", line) for parameter in blocks("") for line in parameter.values[0].text.splitlines()]
    found = set()
    for where, line in [*lines, *spans()]:
        text = line.partition(" #")[0]
        for part in re.split(r"&&|\|", text):
            words = re.match(
                r"(?:\w+=\S+ )*(?:\S*/)?feedbus ((?:demo|run|check|doctor|sim|tail|monitor|book|bench)\b.*)",
                part.strip(),
            )
            if words and not set("[…]") & set(part):
                found.add((where.partition(":")[0], words[1].strip(" ,")))
    return [pytest.param(line, id=f"{page} {line}") for page, line in sorted(found)]


def refusal(words: list[str]) -> str:
    """What argparse says of these arguments, when it refuses them."""
    with redirect_stderr(io.StringIO()) as errors, redirect_stdout(io.StringIO()):
        try:
            cli._parser().parse_args(words)
        except SystemExit as end:
            return errors.getvalue() if end.code else ""
    return ""


@pytest.mark.parametrize("line", commands())
def test_a_command_that_is_shown_is_one(line: str) -> None:
    words = shlex.split(line)
    if len(words) == 1:  # the name of the command
        words.append("--help")
    assert refusal(words) == ""


def test_every_option_that_is_named_is_there_and_so_is_every_target_and_file() -> None:
    sources = [*(ROOT / "feedbus").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
    options = {option for path in sources for option in re.findall(r'"(--[a-z][a-z-]+)"', path.read_text())}
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    missing = []
    for page, text in spans():
        missing += [(page, option) for option in re.findall(r"^(--[a-z-]+)", text) if option not in options]
        missing += [(page, target) for target in re.findall(r"^make ([a-z-]+)$", text) if target not in targets]
        files = re.findall(r"^(?:feedbus|tests|configs|docs|ops)/[\w/.-]+$", text)
        missing += [(page, file) for file in files if "/x/" not in file and not (ROOT / file).exists()]
    assert missing == []


# Metrics and kinds


def test_every_metric_that_is_named_stands_in_a_table() -> None:
    """Whose tables are those of the code: tests/service/test_metric_table.py, tests/actors/metrics/test_actor.py."""
    tables = set(re.findall(r"^\| `(feedbus_\w+)`", (DOCS / "operations.md").read_text(), re.MULTILINE))
    used = {name for page in PAGES for name in re.findall(r"\bfeedbus_[a-z_]+[a-z]\b", page.read_text())}
    of_parts = {f"{name}{part}" for name in tables for part in ("_sum", "_count")}
    assert tables
    assert {name for name in used if name not in tables | of_parts and f"{name}_" not in "".join(tables)} == set()


def test_the_page_of_the_bus_says_which_kinds_nobody_publishes() -> None:
    """A kind is published where an event of it is made. A venue may be documented by its docstring and nowhere else,
    and this page doesn't speak of such a one."""
    of_the_page = re.findall(r"<!-- (\w+) -->", (DOCS / "venues.md").read_text())
    elsewhere = {f"venues/{name}" for name in venues.names() if name not in of_the_page}
    elsewhere |= {"schema", "testing", "bench", "sim"}
    made = set()
    for path in (ROOT / "feedbus").rglob("*.py"):
        inside = path.relative_to(ROOT / "feedbus")
        if elsewhere.isdisjoint({str(folder) for folder in inside.parents}):
            calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
            made |= {func.id for func in calls if isinstance(func, ast.Name)}
    unpublished = [f"`{of.__struct_config__.tag}`" for of in EVENT_TYPES if of.__name__ not in made and of is not Gap]
    (said,) = re.findall(r"^Neither feedbus[^;]* publishes ([^;]*) yet;", (DOCS / "bus.md").read_text(), re.MULTILINE)
    assert sorted(re.findall(r"`\w+`", said)) == sorted(unpublished)
