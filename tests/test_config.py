"""The configuration as a whole: what is read, that no error holds a secret, and that whatever comes gives a Config or
a ConfigError and nothing else. What is refused with which words is in tests/config/broken.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from feedbus import config
from feedbus.config import BackoffConfig, BusConfig, Config, FeedConfig, ShardingConfig, TelemetryConfig
from feedbus.errors import ConfigError
from feedbus.urls import usual_bus
from feedbus.venues.listings import Selection

ROOT = Path(__file__).parents[1]
SECRETS = {"MOEX_DOMAIN": "passport", "MOEX_LOGIN": "s3cr3t-l0gin", "MOEX_PASSCODE": "s3cr3t-p4ss", "WORD": "s3cr3t"}
VALID = """\
bus:
  publish: "ipc://${XDG_RUNTIME_DIR:-/run}/feedbus/events.ipc"
  linger: 0.002
feeds:
  moex:
    venue: moex
    url: wss://iss.moex.com/infocx/v3/websocket
    credentials:
      domain: ${MOEX_DOMAIN:-DEMO}
      login: ${MOEX_LOGIN}
      passcode: ${MOEX_PASSCODE}
    channels: [orderbooks, securities]
    symbols: [TQBR.SBER, TQBR.GAZP]
    sharding: {connections: 30, per_connection: 50}
    transport: sansio
    compression: true
    rest: https://iss.moex.com/iss
    backoff:
      first: 1
      cap: 30
    login_retry: 60
actors: {}
telemetry: {listen: 127.0.0.1:9469}
cache_dir: /var/cache/feedbus
"""
SMALL = """\
bus: {publish: "inproc://bus"}
feeds:
  moex:
    venue: moex
    url: ws://127.0.0.1:9000/
    symbols: [TQBR.SBER]
"""


def parse(text: str, directory: Path = ROOT, environ: dict[str, str] = SECRETS) -> Config:
    return config.parse(text, name="c.yaml", directory=directory, environ=environ)


def refusal(text: str, directory: Path = ROOT) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, directory)
    return str(caught.value)


def test_every_key_is_read() -> None:
    assert parse(VALID) == Config(
        path="c.yaml",
        bus=BusConfig("ipc:///run/feedbus/events.ipc", linger=0.002),
        feeds=(
            FeedConfig(
                name="moex",
                venue="moex",
                url="wss://iss.moex.com/infocx/v3/websocket",
                credentials={"domain": "passport", "login": "s3cr3t-l0gin", "passcode": "s3cr3t-p4ss"},
                channels=("orderbooks", "securities"),
                symbols=("TQBR.SBER", "TQBR.GAZP"),
                sharding=ShardingConfig(30, 50),
                backoff=BackoffConfig(first=1.0, cap=30.0),
                login_retry=60.0,
                compression=True,
                rest="https://iss.moex.com/iss",
            ),
        ),
        telemetry=TelemetryConfig("127.0.0.1:9469"),
        cache_dir="/var/cache/feedbus",
    )


def test_what_is_left_out_has_a_default() -> None:
    feed = parse(SMALL).feeds[0]
    assert feed == FeedConfig(name="moex", venue="moex", url="ws://127.0.0.1:9000/", symbols=("TQBR.SBER",))
    assert (feed.sharding, feed.channels, feed.transport, feed.ca_file) == (ShardingConfig(1, 50), (), "sansio", None)
    assert (feed.connect_timeout, feed.ping_interval, feed.ping_timeout) == (10, 20, 20)
    assert (feed.max_message_size, feed.login_retry) == (4 * 1024 * 1024, 900)
    assert feed.backoff == BackoffConfig(0.5, 60, 30)
    assert (feed.compression, feed.selection, feed.rest) == (False, None, None)
    assert parse(SMALL).bus == BusConfig("inproc://bus", pace=None, linger=None, stalled_bytes=64 * 1024 * 1024)
    assert (parse(SMALL).telemetry, parse(SMALL).cache_dir) == (None, "")


@pytest.mark.parametrize(
    ("keys", "seconds"),
    [
        ("", 0.001),
        (", pace: latency", 0),
        (", pace: balanced", 0.001),
        (", pace: economy", 0.005),
        (", linger: 0.1", 0.1),
    ],
)
def test_a_pace_or_a_linger_says_how_long_events_are_gathered(keys: str, seconds: float) -> None:
    assert parse(SMALL.replace('"inproc://bus"', f'"inproc://bus"{keys}')).bus.gather == seconds


def test_keys_with_nothing_have_their_defaults() -> None:
    lines = ["credentials:", "channels:", "sharding:", "transport:", "ca_file:", "backoff:", "login_retry: ~"]
    lines += ["compression:", "rest:"]
    nothing = "actors:\ntelemetry:\ncache_dir:\n"
    assert parse(SMALL + "".join(f"    {line}\n" for line in lines) + nothing) == parse(SMALL)


def test_downloaded_lists_are_kept_where_the_environment_says_or_the_configuration(tmp_path: Path) -> None:
    assert parse(SMALL, environ={"HOME": "/home/me"}).cache_dir == "/home/me/.cache/feedbus"
    assert parse(SMALL + "cache_dir: /var/x\n", environ={"HOME": "/home/me"}).cache_dir == "/var/x"
    assert parse(SMALL + "cache_dir: x\n", tmp_path).cache_dir == str(tmp_path / "x")
    (tmp_path / "x").mkdir()
    assert parse(SMALL + "cache_dir: x\n", tmp_path).cache_dir == str(tmp_path / "x")


def test_two_feeds_keep_their_order() -> None:
    text = SMALL + SMALL[SMALL.index("  moex:") :].replace("moex:", "a-b_2:", 1)
    assert [feed.name for feed in parse(text).feeds] == ["moex", "a-b_2"]


def test_printing_a_configuration_shows_no_secret() -> None:
    made = parse(VALID)
    by_hand = FeedConfig(name="a", venue="moex", url="ws://h", symbols=(), credentials=dict(SECRETS))
    for shown in (repr(made), str(made.feeds[0]), f"{made.feeds[0].credentials}", repr(by_hand)):
        assert "s3cr3t" not in shown
    assert "credentials=<domain, login, passcode>" in repr(made)
    assert made.feeds[0].credentials["passcode"] == "s3cr3t-p4ss"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("TQBR.SBER", "'${WORD}'"),
        ("[TQBR.SBER, TQBR.GAZP]", '{boards: ["${WORD}"]}'),
        ("TQBR.SBER", "'${MOEX_PASSCODE}'"),
        ("orderbooks, ", "'${MOEX_PASSCODE}', "),
        ("venue: moex", "venue: ${MOEX_PASSCODE}"),
        ("connections: 30", "connections: '${MOEX_PASSCODE}'"),
        ("transport: sansio", "transport: ${MOEX_PASSCODE}"),
        ("wss://iss", "wss://u:${MOEX_PASSCODE}@iss"),
        ("first: 1", "first: ${MOEX_PASSCODE}"),
        ('"ipc://${XDG_RUNTIME_DIR:-/run}', '"tcp://${MOEX_PASSCODE}'),
        ("      passcode: ${MOEX_PASSCODE}", "      passcode: ${MOEX_PASSCODE}\n      token: ${MOEX_PASSCODE}"),
        ("passcode: ${MOEX_PASSCODE}", 'passcode: "${MOEX_PASSCODE}\\n"'),
        ("passcode: ${MOEX_PASSCODE}", "passcode: !s3cr3t"),
        ("passcode: ${MOEX_PASSCODE}", "passcode: !s3cr3t!x"),
        ("passcode: ${MOEX_PASSCODE}", "passcode: *s3cr3t"),
        ("passcode: ${MOEX_PASSCODE}", "passcode: @s3cr3t"),
        ("passcode: ${MOEX_PASSCODE}", "passcode: s3cr3t: x"),
        ("passcode: ${MOEX_PASSCODE}", "passcode: 's3cr3t"),
        ("passcode: ${MOEX_PASSCODE}", "passcode: s3cr3t$x"),
        ("passcode: ${MOEX_PASSCODE}", "passcode: {s3: cr3t}"),
        ("passcode: ${MOEX_PASSCODE}", "passcode: s3cr3t\n      s3cr3t: ${MOEX_PASSCODE}"),
        ("passcode: ${MOEX_PASSCODE}", "passcode:s3cr3t: x"),
        ("passcode: ${MOEX_PASSCODE}", "passcode_file: ${MOEX_PASSCODE}"),
        ("passcode: ${MOEX_PASSCODE}", "passcode_file: s3cr3t"),
        ("listen: 127.0.0.1:9469", 'listen: "${MOEX_PASSCODE}"'),
        ("https://iss", "https://${MOEX_PASSCODE}@iss"),
        ("[TQBR.SBER, TQBR.GAZP]", '{boards: ["${MOEX_PASSCODE}"]}'),
        ("[TQBR.SBER, TQBR.GAZP]", '{boards: [TQBR], sample: "${MOEX_PASSCODE}"}'),
        ("compression: true", "compression: ${MOEX_PASSCODE}"),
    ],
)
def test_no_error_holds_a_secret(old: str, new: str) -> None:
    assert VALID.count(old) == 1
    error = refusal(VALID.replace(old, new))
    assert "s3cr3t" not in error.lower()
    assert re.match(r"c\.yaml:\d+: ", error)


def test_a_configuration_is_loaded_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(SMALL)
    assert config.load(str(path), {}) == config.load(path, {})
    assert config.load(path, {}).path == str(path)
    path.write_text(SMALL + "x: 1\n")
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}:7: x: unknown key"):
        config.load(path, {})
    path.write_bytes(b"")
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: is empty$"):
        config.load(path, {})
    path.unlink()
    with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: can't be read: No such file or directory$"):
        config.load(path, {})


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_configurations_are_valid(path: Path) -> None:
    if path.name == "moex-1500.yaml" and not path.with_suffix(".txt").exists():
        pytest.skip("its list of symbols isn't there")
    environ = {"XDG_RUNTIME_DIR": "/run/user/1", "HOME": "/home/me", "ALOR_REFRESH_TOKEN": "made at alor.dev"}
    made = config.load(path, environ)
    assert made.bus.publish == usual_bus(environ)
    if path.name == "moex-1500.yaml":
        assert len(made.feeds[0].symbols) == 1500
    if path.name == "moex-boards.yaml":
        assert made.feeds[0].selection == Selection(("TQBR", "TQTF"), sample=1500)


def test_the_example_of_an_env_file_names_the_variables_of_the_configurations() -> None:
    named = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    text = "".join(path.read_text() for path in (ROOT / "configs").glob("*.yaml"))
    used = re.findall(r"\$\{((?:MOEX|ALOR|BINANCE)_\w+)", text)
    addresses = {name for name in used if name.endswith(("_URL", "_AUTH", "_REST"))}
    assert named == set(used) - addresses


PIECES = [
    *re.findall(r"\s+|\w+|[^\w\s]+", VALID),
    "\t",
    "&a",
    "*a",
    "!!str",
    "- ",
    "? ",
    "---",
    "|",
    ">",
    "~",
    "\0",
    "é",
]


def outcome(text: str | Callable[[], Config], name: str = "c.yaml") -> None:
    """A Config, or a ConfigError of one line without secrets; anything else fails the test."""
    try:
        made = parse(text) if isinstance(text, str) else text()
    except ConfigError as error:
        shown = str(error)
        said = bool(re.match(rf"{re.escape(name)}(:\d+)?: ", shown)) and shown.isprintable()
        assert (said, "s3cr3t" in shown) == (True, False), shown
    else:
        assert isinstance(made, Config)


@given(st.lists(st.sampled_from(PIECES)))
def test_any_pieces_of_a_configuration_give_a_configuration_or_a_refusal(pieces: list[str]) -> None:
    outcome("".join(pieces))


@given(st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 12), st.sampled_from(PIECES)), max_size=3))
def test_a_damaged_configuration_gives_a_configuration_or_a_refusal(damage: list[tuple[int, int, str]]) -> None:
    text = VALID
    for start, length, piece in damage:
        text = text[:start] + piece + text[start + length :]
    outcome(text)


GOOD = [VALID, SMALL, *(path.read_text() for path in sorted((ROOT / "configs").glob("*.yaml")))]
KEYS = sorted(set(re.findall(r"(\w+):", VALID)) | {"", "boards", "sample", "file", "insecure", "passcode_file", "é\n"})
WORDS = [
    "",
    "0",
    "-1",
    "1e400",
    ".nan",
    "true",
    "null",
    "2024-01-01",
    "9" * 400,
    "\0",
    "${MOEX_PASSCODE}",
    "${X}",
    "$",
    ".",
]
WORDS += [
    "ws://[::1",
    "wss://h:x/",
    "tcp://127.0.0.1:99999",
    "http://[v1.x]/",
    "ipc:///tmp/",
    "[::1]:x",
    "127.0.0.1:9469",
    "ws://h/\t",
]
SCALARS = (
    st.sampled_from([*KEYS, *WORDS]) | st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=8,
)


def spots(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a tree with each of its keys or indices."""
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from spots(tree[key])


@pytest.mark.parametrize("word", WORDS, ids=lambda word: repr(word[:12]))
def test_any_value_replaced_by_an_odd_one_gives_a_configuration_or_a_refusal(word: str) -> None:
    tree = yaml.safe_load(VALID)
    for container, key in list(spots(tree)):
        kept, container[key] = container[key], word
        outcome(yaml.safe_dump(tree, allow_unicode=True))
        container[key] = kept


@given(st.data())
def test_a_good_configuration_with_parts_replaced_gives_a_configuration_or_a_refusal(data: st.DataObject) -> None:
    tree = copy.deepcopy(yaml.safe_load(data.draw(st.sampled_from(GOOD))))
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(list(spots(tree)) or [({0: 0}, 0)]))
        match data.draw(st.sampled_from(["replace", "replace all", "remove", "repeat", "rename", "wrap"])):
            case "replace":
                container[key] = data.draw(TREES)
            case "replace all":
                tree = data.draw(TREES)
            case "remove":
                del container[key]
            case "repeat" if isinstance(container, list):
                container.append(copy.deepcopy(container[key]))
            case "rename" if isinstance(container, dict):
                container[data.draw(st.sampled_from(KEYS))] = container.pop(key)
            case _:
                container[key] = [container[key]]
    outcome(yaml.safe_dump(tree, allow_unicode=True))


@given(st.binary(max_size=200) | st.text(max_size=80).map(str.encode), st.integers(0, len(VALID)))
def test_any_bytes_in_a_file_give_a_configuration_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, kept: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(VALID.encode()[:kept] + data)
    outcome(lambda: config.load(path, SECRETS), str(path))
