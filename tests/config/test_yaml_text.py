"""YAML as nodes with places, substitution, and structs made of nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from feedbus.config import yaml_text
from feedbus.config.yaml_text import (
    MAX_BYTES,
    MAX_DEPTH,
    Node,
    Place,
    YamlMapping,
    YamlReader,
    YamlScalar,
    YamlSequence,
    compose,
    substitute,
)
from feedbus.errors import ConfigError

BOOLEAN_LOOKALIKES = ["yes", "on", "1", "0", "tRue", "t", "2024-01-01"]
Plain = str | list["Plain"] | dict[str, "Plain"]
ENVIRON = {"HOME": "/home/me", "EMPTY": "", "LOOP": "${HOME}"}


class Inner(msgspec.Struct, frozen=True):
    size: Annotated[int, msgspec.Meta(ge=1, le=9)] = 1


class Outer(msgspec.Struct, frozen=True):
    name: str
    rate: Annotated[float, msgspec.Meta(gt=0, le=2)] = 1.0
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    inner: Inner = Inner()
    mode: Literal["fast", "slow"] = "fast"
    loud: bool = False
    large: Annotated[float, msgspec.Meta(ge=0, le=1e15)] = 0.0


def plain(node: Node) -> Plain:
    if isinstance(node, YamlScalar):
        return node.text
    if isinstance(node, YamlSequence):
        return [plain(child) for child in node.nodes]
    return {key: plain(child) for key, child in node.entries.items()}


def outer(text: str) -> Outer:
    return YamlReader(ENVIRON).struct(Outer, compose(text, "f"))


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test here runs on libyaml and on PyYAML's own parser."""
    monkeypatch.setattr(yaml_text, "_LOADER", getattr(yaml, request.param, yaml.SafeLoader))
    return str(request.param)


@pytest.mark.parametrize("text", ["NO", "1e5", "0x10", "null", "~", "2024-01-01", "true", "010", "1_0", ".inf", "="])
def test_a_scalar_is_the_text_that_was_written(text: str) -> None:
    assert plain(compose(f"- {text}\n- '{text}'\n", "f")) == [text, text]


def test_nodes_know_their_lines_and_paths() -> None:
    root = compose("a:\n  b:\n  - x\n  - [y,\n     z]\n'c d': \"q\"\n", "f")
    assert plain(root) == {"a": {"b": ["x", ["y", "z"]]}, "c d": "q"}
    assert isinstance(root, YamlMapping)
    a, c = root.entries["a"], root.entries["c d"]
    assert isinstance(a, YamlMapping)
    b = a.entries["b"]
    assert isinstance(b, YamlSequence)
    assert (a.place, b.place, c.place) == (Place("f", 1, "a"), Place("f", 2, "a.b"), Place("f", 6, "'c d'"))
    inner = b.nodes[1]
    assert isinstance(inner, YamlSequence)
    assert [child.place.line for child in [*b.nodes, *inner.nodes]] == [3, 4, 4, 5]
    assert inner.nodes[0].place.path == "a.b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f: is empty"),
        ("# nothing\n", "f: is empty"),
        ("a: 1\n---\nb: 2\n", "f:2: a second document begins here"),
        ("a: 1\nb: 2\na: 3\n", "f:3: a: appears twice; the first one is on line 1"),
        ("x:\n  a: 1\n  a: 3\n", "f:3: x.a: appears twice; the first one is on line 2"),
        ("a: &x 1\n", "f:1: a: aliases and anchors (* and &) aren't supported: put text in quotes"),
        ("a: *x\n", "f:1: a: aliases and anchors (* and &) aren't supported: put text in quotes"),
        ("&x a: 1\n", "f:1: aliases and anchors (* and &) aren't supported: put text in quotes"),
        ("a: [&x [1], *x]\n", "f:1: a: aliases and anchors (* and &) aren't supported: put text in quotes"),
        ("a: !!python/object:os.system x\n", "f:1: a: tags (!) aren't supported: put text in quotes"),
        ("a: !hunter2\n", "f:1: a: tags (!) aren't supported: put text in quotes"),
        ("a:\n- !!str x\n", "f:2: a: tags (!) aren't supported: put text in quotes"),
        ("a:\n  ? [b]\n  : c\n", "f:2: a: a key must be plain text"),
        ("a: 1\nb: \x07\n", "f:2: holds a control character"),
        ("a: \ud800\n", "f:1: holds a control character"),
        ("[" * 500, f"f:1: is nested deeper than {MAX_DEPTH} levels"),
        ("{a: " * 500, f"f:1: {'.'.join('a' * MAX_DEPTH)}: is nested deeper than {MAX_DEPTH} levels"),
        ("- " * 500, f"f:1: is nested deeper than {MAX_DEPTH} levels"),
        ("x" * (MAX_BYTES + 1), f"f: is larger than {MAX_BYTES} bytes"),
    ],
)
def test_text_that_is_refused_is_named_by_its_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(text, "f")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("${HOME}/x", "/home/me/x"),
        ("${HOME:-/root}", "/home/me"),
        ("${UNSET:-/root}", "/root"),
        ("${EMPTY:-/root}", "/root"),
        ("${UNSET:-}", ""),
        ("[${EMPTY}]", "[]"),
        ("$$", "$"),
        ("$${HOME}", "${HOME}"),
        ("$$$$x", "$$x"),
        ("${UNSET:-a$$b}", "a$b"),
        ("${UNSET:-a b:-{c}", "a b:-{c"),
        ("${LOOP}", "${HOME}"),
        ("${HOME}${HOME}", "/home/me/home/me"),
    ],
)
def test_variables_are_put_in_their_places(text: str, expected: str) -> None:
    assert substitute(text, ENVIRON) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${UNSET}", "the environment variable UNSET is not set"),
        ("pa$word", "a $ begins neither ${NAME} nor ${NAME:-default}: write $$ for a dollar sign"),
        ("${", "a $ begins neither ${NAME} nor ${NAME:-default}: write $$ for a dollar sign"),
        ("${1X}", "a $ begins neither ${NAME} nor ${NAME:-default}: write $$ for a dollar sign"),
        ("${A:-${B}}", "a $ begins neither ${NAME} nor ${NAME:-default}: write $$ for a dollar sign"),
        ("$$$", "a $ begins neither ${NAME} nor ${NAME:-default}: write $$ for a dollar sign"),
    ],
)
def test_a_variable_that_cannot_be_put_in_place_is_an_error(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        substitute(text, ENVIRON)
    assert str(caught.value) == message


@given(st.text(alphabet="$x"), st.text())
def test_doubled_dollars_come_back_as_written(text: str, value: str) -> None:
    assert substitute(text.replace("$", "$$"), {}) == text
    assert substitute("<${A}>", {"A": value}) == f"<{value}>"


def test_a_struct_is_made_of_a_mapping() -> None:
    assert outer("name: 007\n") == Outer(name="007")
    assert outer("{name: n, rate: 2, share: 0, inner: {size: 9}, mode: slow}") == Outer("n", 2.0, 0.0, Inner(9), "slow")
    assert outer("name: ${HOME}\nrate: ${UNSET:-1.5}\n") == Outer("/home/me", 1.5)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("True", True), ("FALSE", False), ("${YES}", True)])
def test_a_boolean_is_written_as_yaml_writes_it(text: str, value: bool) -> None:
    read = YamlReader({"YES": "true"}).struct(Outer, compose(f"name: n\nloud: {text}\n", "f"))
    assert read.loud is value


def test_a_field_that_is_given_is_no_key() -> None:
    fields = YamlReader({}).fields(Outer, compose("rate: 2", "f"), {}, given=("name", "share"))
    assert fields == {"rate": 2.0}
    with pytest.raises(ConfigError, match=r"^f:1: name: unknown key; there are: inner, large, loud, mode, rate$"):
        YamlReader({}).fields(Outer, compose("name: n", "f"), {}, given=("name", "share"))


def test_what_follows_a_name_in_a_key_is_not_shown() -> None:
    assert Place("f").key("passcode:hunter2").path == "'passcode:...'"
    assert Place("f").key("PASSCODE=hunter2").path == "'PASSCODE=...'"
    assert Place("f").key("a b").path == "'a b'"


@pytest.mark.parametrize("nothing", ["", "~", "null", "${EMPTY}", "${UNSET:-}"])
def test_a_key_with_nothing_has_its_default(nothing: str) -> None:
    assert outer(f"name: n\nrate: {nothing}\ninner: {nothing}\nmode: {nothing}\n") == Outer("n")
    with pytest.raises(ConfigError, match="f:1: name: has no value"):
        outer(f"name: {nothing}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "f:1: name: is missing"),
        ("x", "f:1: must be a mapping of keys"),
        ("name: n\ninner:\n  size:1", "f:2: inner: must be a mapping of keys"),
        ("name: n\ninner:\n  size:one", "f:2: inner: must be a mapping of keys: is a space missing after a colon?"),
        ("name: [a]", "f:1: name: must be text, not a list"),
        ("name: n\nrat: 1", "f:2: rat: unknown key; did you mean 'rate'?"),
        ("name: n\nzzz: 1", "f:2: zzz: unknown key; there are: inner, large, loud, mode, name, rate, share"),
        ("name: n\nzzz:", "f:2: zzz: unknown key; there are: inner, large, loud, mode, name, rate, share"),
        ("name: n\ninner:\n  sizes: 1", "f:3: inner.sizes: unknown key; did you mean 'size'?"),
        ("name: n\ninner: 1", "f:2: inner: must be a mapping of keys"),
        ("name: n\ninner:\n  size: 0", "f:3: inner.size: must be a whole number from 1 to 9, not '0'"),
        ("name: n\ninner: {size: 1.5}", "f:2: inner.size: must be a whole number from 1 to 9, not '1.5'"),
        ("name: n\ninner: {size: {}}", "f:2: inner.size: must be a whole number from 1 to 9, not a mapping"),
        ("name: n\nrate: 0", "f:2: rate: must be a number above 0 and at most 2, not '0'"),
        ("name: n\nrate: nan", "f:2: rate: must be a number above 0 and at most 2, not 'nan'"),
        ("name: n\nrate: .inf", "f:2: rate: must be a number above 0 and at most 2, not '.inf'"),
        ("name: n\nrate: 1e400", "f:2: rate: must be a number above 0 and at most 2, not '1e400'"),
        ("name: n\nshare: nan", "f:2: share: must be a number from 0 to 1, not 'nan'"),
        ("name: n\nlarge: -1", "f:2: large: must be a number from 0 to 1000000000000000, not '-1'"),
        ("name: n\nshare: inf", "f:2: share: must be a number from 0 to 1, not 'inf'"),
        ("name: n\nshare: true", "f:2: share: must be a number from 0 to 1, not 'true'"),
        ("name: n\nshare: ${HOME}", "f:2: share: must be a number from 0 to 1, not '${HOME}'"),
        *[(f"name: n\nloud: {text}", f"f:2: loud: must be true or false, not '{text}'") for text in BOOLEAN_LOOKALIKES],
        ("name: n\nloud: []", "f:2: loud: must be true or false, not a list"),
        ("name: n\nmode: swift", "f:2: mode: must be one of fast, slow, not 'swift'"),
        (f"name: n\nmode: {'9' * 99}", f"f:2: mode: must be one of fast, slow, not '{'9' * 37}...'"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_place(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        outer(text)
    assert str(caught.value) == message


def test_an_error_is_one_line_whatever_it_quotes() -> None:
    error = Place("a\nb", 3, "p").key("k\n\u2028\x1b[31m").error("r\n" + "x" * 1000)
    assert str(error).startswith(r"a\nb:3: p.'k\n\u2028\x1b[31m': r\nxxx")
    assert str(error).isprintable()
    assert len(str(error)) < 500


def test_a_file_is_read_as_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes("\ufeff₽é\n".encode())
    assert yaml_text.read_text(path, "f") == "₽é\n"
    path.write_bytes(b"x" * MAX_BYTES)
    assert len(yaml_text.read_text(path, "f")) == MAX_BYTES


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "f: can't be read: No such file or directory"),
        (b"a\nb\n\xff\n", "f:3: is not UTF-8"),
        (b"x" * (MAX_BYTES + 1), f"f: is larger than {MAX_BYTES} bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error(tmp_path: Path, data: bytes | None, message: str) -> None:
    path = tmp_path / "f"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        yaml_text.read_text(path, "f")
    assert str(caught.value) == message


def test_a_directory_or_an_impossible_name_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="f: can't be read: Is a directory"):
        yaml_text.read_text(tmp_path, "f")
    with pytest.raises(ConfigError, match=r"^f: can't be read: not a path$"):
        yaml_text.read_text(tmp_path / "a\0b", "f")
