"""Every rule of the configuration has a broken file in tests/config/broken, which says in its first line what is said
of it: `# expect: FILE:LINE: key: reason`. FILE is the file's own path, and HERE the folder's.

A rule is a `raise` in the sources. That each is met by one of the files is seen in the tracebacks of what they raised.
"""

from __future__ import annotations

import ast
import shutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from feedbus import actors as subscribers
from feedbus import config, venues
from feedbus.config import yaml_text
from feedbus.errors import ConfigError

HERE = Path(__file__).with_name("broken")
FILES = sorted([*HERE.glob("*.yaml"), *HERE.glob("*.env")])
SOURCES = [path for path in Path(config.__file__).parent.glob("*.py") if path.name != "files.py"]  # it has no words
ENVIRON = {"EMPTY": "", "HTTP_PROXY": "ftp://hunter2@proxy", "NO_PROXY": "h"}
# Two venues of our own, so that no rule depends on what a real one can do.
VENUE = """\
from msgspec import Struct
from feedbus.errors import ConfigError
from feedbus.venues.protocol import Limits, OpenAccount
class Account(OpenAccount):
    class Options(Struct):
        ABOUT_CHANNELS = dict(levels=("books", "orderbooks"), first=("books",))
        NAMES_SYMBOLS = ("levels", "first")
        depth: int = 10
        levels: int | dict[str, int] = 5
        first: tuple[str, ...] = ()
    venue = {name!r}
    services = dict()
    limits = Limits(connections=99, subscriptions=999)
    services = dict()
    units = dict()
    kinds = dict(orderbooks=("book",), books=("book",))
    bar_periods = dict()
    def __init__(self, credentials, channels, options=None):
        for channel in channels:
            if channel not in ("orderbooks", "books"):
                raise ConfigError(f"channels: unknown channel {{channel!r}}; there are: orderbooks")
        if len(channels) == 2:
            raise ConfigError("channels: books and orderbooks are the same")
        if options is not None and options.depth == 13:
            raise ConfigError("options: a depth of 13")
        self.channels = channels or ("orderbooks",)
    def check_symbol(self, symbol):
        return None
    def check_url(self, url):
        return "no market data comes at /orders: use /data" if url.endswith("/orders") else None
    def session(self, symbols):
        raise NotImplementedError
"""
ACTOR = """\
from typing import Annotated, ClassVar
from msgspec import Meta, Struct
from feedbus.errors import ConfigError
class Rule(Struct):
    seconds: Annotated[int, Meta(ge=1, le=60)] = 1
class Hook(Struct):
    SECRET: ClassVar[bool] = True
    retries: Annotated[int, Meta(ge=0, le=9)] = 1
class Options(Struct):
    hook: Hook | None = None
    rules: Annotated[tuple[Rule, ...], Meta(max_length=2)] = ()
    twice: bool = False
    listen: str = "127.0.0.1:1"
    threshold: Annotated[float, Meta(ge=0, le=1e15)] = 0.0
    resolve_at: Annotated[float, Meta(ge=0, le=1e-5)] | None = None
class Actor:
    Options = Options
    publishes = True
    def __init__(self, options, given):
        if options.twice and not options.rules:
            raise ConfigError("twice: there is nothing to do twice")
"""
LISTS = """
    @staticmethod
    def check_board(board):
        return None if board.isupper() else "not written in capitals"
    @staticmethod
    def check_pattern(pattern):
        return None if pattern.isupper() else "not written in capitals"
    @staticmethod
    def check_selection(selection):
        return "the boards are missing" if selection.quote and not selection.boards else None
    def listing(self, selection):
        raise NotImplementedError
    def listing_of(self, symbols):
        raise NotImplementedError
"""


@pytest.fixture(scope="module", autouse=True)
def toy_actor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`toyactor`, with options of every shape."""
    folder = tmp_path_factory.mktemp("actors")
    (folder / "toyactor.py").write_text(ACTOR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subscribers, "__path__", [*subscribers.__path__, str(folder)])
        patch.setattr(subscribers, "names", lambda: ["aggregator", "alerting", "toyactor"])
        yield
    sys.modules.pop("feedbus.actors.toyactor", None)
    vars(subscribers).pop("toyactor", None)


@pytest.fixture(scope="module", autouse=True)
def toy_venues(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """`toyplain`, and `toylisting`, which can be asked what it lists."""
    folder = tmp_path_factory.mktemp("venues")
    for name, text in (("toyplain", ""), ("toylisting", LISTS)):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(VENUE.format(name=name) + text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(venues, "__path__", [*venues.__path__, str(folder)])
        yield
    for name in ("toyplain", "toylisting"):
        sys.modules.pop(f"feedbus.venues.{name}", None)
        vars(venues).pop(name, None)


def refused(path: Path, folder: Path) -> ConfigError:
    """What the file raises; an .env file is read as the one of `folder`."""
    if path.suffix == ".env":
        shutil.copy(path, folder / ".env")
        with pytest.raises(ConfigError) as caught:
            config.environment(folder)
    else:
        with pytest.raises(ConfigError) as caught:
            config.load(path, ENVIRON)
    return caught.value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_broken_file_is_refused_with_exactly_the_words_in_its_first_line(path: Path, tmp_path: Path) -> None:
    first = path.read_bytes().split(b"\n")[0].decode()
    read = tmp_path / ".env" if path.suffix == ".env" else path
    expected = first.removeprefix("# expect: ").replace("FILE", str(read)).replace("HERE", str(HERE))
    error = refused(path, tmp_path)
    assert str(error) == expected
    assert "hunter2" not in "".join(traceback.format_exception(error)).replace(str(HERE), "")


def uncommitted(folder: Path) -> Iterator[Path]:
    """What can't be kept as a file: one that is too large, and one that isn't there."""
    large = folder / "large.yaml"
    large.write_text("#" * (yaml_text.MAX_BYTES + 1))
    yield large
    yield folder / "missing.yaml"


def rules() -> set[tuple[str, int, int]]:
    """File, first and last line of every `raise` of something."""
    found = set()
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Raise) and node.exc is not None:
                found.add((str(source), node.lineno, node.end_lineno or node.lineno))
    return found


def lines_of(error: BaseException | None) -> Iterator[tuple[str, int]]:
    """Where an exception came by, and those that it was raised for."""
    while error is not None:
        for frame, line in traceback.walk_tb(error.__traceback__):
            yield frame.f_code.co_filename, line
        error = error.__context__


def test_every_rule_has_a_broken_file(tmp_path: Path) -> None:
    errors: list[BaseException] = [refused(path, tmp_path) for path in [*FILES, *uncommitted(tmp_path)]]
    with pytest.raises(ConfigError) as too_long:
        config.parse("#" * (yaml_text.MAX_BYTES + 1), name="c.yaml", directory=tmp_path, environ={})
    met = {line for error in [*errors, too_long.value] for line in lines_of(error)}
    never = [
        f"{Path(name).name}:{first}"
        for name, first, last in rules()
        if not any((name, line) in met for line in range(first, last + 1))
    ]
    assert sorted(never) == []
