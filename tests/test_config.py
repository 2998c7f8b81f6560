"""The configuration: what is read, what is refused with which words, and that nothing else ever happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from feedbus import config
from feedbus.config import Backoff, Bus, Config, Feed, Sharding
from feedbus.errors import ConfigError

ROOT = Path(__file__).parents[1]
SECRETS = {"MOEX_LOGIN": "s3cr3t-l0gin", "MOEX_PASSCODE": "s3cr3t-p4ss"}
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
    backoff:
      first: 1
      cap: 30
    login_retry: 60
actors: {}
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


def edited(*edits: tuple[str, str]) -> str:
    """The small configuration with some of its text replaced."""
    text = SMALL
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def refusal(text: str, directory: Path = ROOT) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, directory)
    return str(caught.value)


def with_line(line: str) -> str:
    """The small configuration and one more line in its feed, the seventh."""
    return f"{SMALL}    {line}\n"


def test_every_key_is_read() -> None:
    assert parse(VALID) == Config(
        path="c.yaml",
        bus=Bus("ipc:///run/feedbus/events.ipc", linger=0.002),
        feeds=(
            Feed(
                name="moex",
                venue="moex",
                url="wss://iss.moex.com/infocx/v3/websocket",
                credentials={"domain": "DEMO", "login": "s3cr3t-l0gin", "passcode": "s3cr3t-p4ss"},
                channels=("orderbooks", "securities"),
                symbols=("TQBR.SBER", "TQBR.GAZP"),
                sharding=Sharding(30, 50),
                backoff=Backoff(first=1.0, cap=30.0),
                login_retry=60.0,
            ),
        ),
    )


def test_what_is_left_out_has_a_default() -> None:
    feed = parse(SMALL).feeds[0]
    assert feed == Feed(name="moex", venue="moex", url="ws://127.0.0.1:9000/", symbols=("TQBR.SBER",))
    assert (feed.sharding, feed.channels, feed.transport, feed.ca_file) == (Sharding(1, 50), (), "sansio", None)
    assert (feed.connect_timeout, feed.ping_interval, feed.ping_timeout) == (10, 20, 20)
    assert (feed.max_message_size, feed.login_retry) == (4 * 1024 * 1024, 900)
    assert feed.backoff == Backoff(0.5, 60, 30)
    assert parse(SMALL).bus == Bus("inproc://bus", linger=0.001, stalled_bytes=64 * 1024 * 1024)


def test_keys_with_nothing_have_their_defaults() -> None:
    lines = ["credentials:", "channels:", "sharding:", "transport:", "ca_file:", "backoff:", "login_retry: ~"]
    assert parse(SMALL + "".join(f"    {line}\n" for line in lines) + "actors:\n") == parse(SMALL)


def test_two_feeds_keep_their_order() -> None:
    text = SMALL + SMALL[SMALL.index("  moex:") :].replace("moex:", "a-b_2:", 1)
    assert [feed.name for feed in parse(text).feeds] == ["moex", "a-b_2"]


@pytest.mark.parametrize("secid", ["NO", "1e5", "0x10", "null", "2024-01-01", "T", "Y", "010"])
def test_a_symbol_is_text_whatever_yaml_would_make_of_it(secid: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("feedbus.venues.moex.Account.check_symbol", lambda self, symbol: None)
    symbols = parse(edited(("[TQBR.SBER]", f"[{secid}, TQBR.{secid}]"))).feeds[0].symbols
    assert symbols == (secid, f"TQBR.{secid}")


def test_a_credential_is_text_and_may_be_the_word_null() -> None:
    feed = parse(with_line("credentials: {login: 007, passcode: null, domain: }")).feeds[0]
    assert feed.credentials == {"login": "007", "passcode": "null"}


@pytest.mark.parametrize(
    "address",
    [
        "inproc://bus",
        "ipc://events.ipc",
        f"ipc:///{'x' * 106}",
        "tcp://127.0.0.1:5555",
        "tcp://127.255.0.1:0",
        "tcp://[::1]:5555",
        "tcp://localhost:5555",
    ],
)
def test_the_bus_takes_local_addresses(address: str) -> None:
    assert parse(edited(("inproc://bus", address))).bus.publish == address


@pytest.mark.parametrize(
    "url", ["ws://localhost", "wss://iss.moex.com:443/infocx?a=b&c=%20", "ws://[::1]:9000/", "ws://a_b.c-d."]
)
def test_a_url_may_have_a_port_a_path_and_a_query(url: str) -> None:
    assert parse(edited(("ws://127.0.0.1:9000/", url))).feeds[0].url == url


URL = "must be ws://HOST or wss://HOST, with a port and a path if need be, and no user in it"
PUBLISH = "must be inproc://NAME, ipc://PATH or tcp://HOST:PORT"
DOLLAR = "a $ begins neither ${NAME} nor ${NAME:-default}: write $$ for a dollar sign"
LOOPBACK = "tcp is taken on a loopback host only: 127.0.0.1, [::1] or localhost"
NAMED = "a feed is named in a-z, 0-9, _ and -, from a letter on, by at most 32 characters"
FEED_KEYS = (
    "backoff, ca_file, channels, connect_timeout, credentials, login_retry, max_message_size, ping_interval, "
    "ping_timeout, sharding, symbols, transport, url, venue"
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        # The file as a whole
        ("", "c.yaml: is empty"),
        ("hello", "c.yaml:1: must be a mapping of keys"),
        ("bus: {publish: 'inproc://x'}\n", "c.yaml:1: feeds: is missing"),
        (SMALL.replace("feeds:", "feed:"), "c.yaml:2: feed: unknown key; did you mean 'feeds'?"),
        (SMALL + "venues: {}\n", "c.yaml:7: venues: unknown key; there are: actors, bus, feeds"),
        (SMALL + "path: x\n", "c.yaml:7: path: unknown key; there are: actors, bus, feeds"),
        (SMALL + "bus: {}\n", "c.yaml:7: bus: is here twice; first on line 1"),
        (SMALL + "actors: {recorder: {}}\n", "c.yaml:7: actors.recorder: unknown actor; there are none yet"),
        (SMALL + "actors: []\n", "c.yaml:7: actors: must be a mapping of keys"),
        # The bus
        (SMALL.replace('bus: {publish: "inproc://bus"}', "bus: {}"), "c.yaml:1: bus.publish: is missing"),
        (SMALL.replace('bus: {publish: "inproc://bus"}', "bus:"), "c.yaml:1: bus: has no value"),
        (edited(("inproc://bus", "")), f"c.yaml:1: bus.publish: {PUBLISH}"),
        (edited(("inproc://bus", "inproc://")), f"c.yaml:1: bus.publish: {PUBLISH}"),
        (edited(("inproc://bus", "/run/feedbus")), f"c.yaml:1: bus.publish: {PUBLISH}"),
        (edited(("inproc://bus", "ws://127.0.0.1:1")), f"c.yaml:1: bus.publish: {PUBLISH}"),
        (edited(("inproc://bus", "ipc:///a\\0b")), f"c.yaml:1: bus.publish: {PUBLISH}"),
        (
            edited(("inproc://bus", f"ipc:///{'x' * 107}")),
            "c.yaml:1: bus.publish: the path of an ipc address has at most 107 bytes, and this one more",
        ),
        (edited(("inproc://bus", "tcp://127.0.0.1")), "c.yaml:1: bus.publish: must be tcp://HOST:PORT"),
        (edited(("inproc://bus", "tcp://*:5555")), "c.yaml:1: bus.publish: must be tcp://HOST:PORT"),
        (edited(("inproc://bus", "tcp://:5555")), "c.yaml:1: bus.publish: must be tcp://HOST:PORT"),
        (edited(("inproc://bus", "tcp://127.0.0.1:65536")), "c.yaml:1: bus.publish: must be tcp://HOST:PORT"),
        (edited(("inproc://bus", "tcp://127.0.0.1:1/x")), "c.yaml:1: bus.publish: must be tcp://HOST:PORT"),
        (edited(("inproc://bus", "tcp://0.0.0.0:5555")), f"c.yaml:1: bus.publish: {LOOPBACK}"),
        (edited(("inproc://bus", "tcp://10.0.0.1:5555")), f"c.yaml:1: bus.publish: {LOOPBACK}"),
        (edited(("inproc://bus", "tcp://[::]:5555")), f"c.yaml:1: bus.publish: {LOOPBACK}"),
        (edited(("inproc://bus", "tcp://localhost.example:5555")), f"c.yaml:1: bus.publish: {LOOPBACK}"),
        (
            edited(('"inproc://bus"', "'inproc://bus', linger: 2")),
            "c.yaml:1: bus.linger: must be a number from 0 to 1, not '2'",
        ),
        (
            edited(('"inproc://bus"', "'inproc://bus', stalled_bytes: 1000")),
            "c.yaml:1: bus.stalled_bytes: must be a whole number from 1048576 to 17179869184, not '1000'",
        ),
        # Feeds
        ("bus: {publish: 'inproc://x'}\nfeeds: {}\n", "c.yaml:2: feeds: there are 0 feeds; there must be 1 to 100"),
        ("bus: {publish: 'inproc://x'}\nfeeds:\n", "c.yaml:2: feeds: has no value"),
        (
            SMALL + "".join(f"  m{number}: {{}}\n" for number in range(100)),
            "c.yaml:2: feeds: there are 101 feeds; there must be 1 to 100",
        ),
        (edited(("moex:", "Moex:")), f"c.yaml:3: feeds.Moex: {NAMED}"),
        (edited(("moex:", "moex/1:")), f"c.yaml:3: feeds.'moex/1': {NAMED}"),
        (edited(("moex:", f"m{'x' * 32}:")), f"c.yaml:3: feeds.m{'x' * 32}: {NAMED}"),
        (SMALL + "  moex: {}\n", "c.yaml:7: feeds.moex: is here twice; first on line 3"),
        (SMALL + "  other:\n", "c.yaml:7: feeds.other: must be a mapping of keys"),
        (edited(("    venue: moex\n", "")), "c.yaml:3: feeds.moex.venue: is missing"),
        (edited(("venue: moex", "venue: moexx")), "c.yaml:4: feeds.moex.venue: unknown venue; did you mean 'moex'?"),
        (edited(("venue: moex", "venue: [moex]")), "c.yaml:4: feeds.moex.venue: must be text, not a list"),
        (with_line("name: x"), f"c.yaml:7: feeds.moex.name: unknown key; there are: {FEED_KEYS}"),
        (with_line("symbol: x"), "c.yaml:7: feeds.moex.symbol: unknown key; did you mean 'symbols'?"),
        (with_line("transport: curl"), "c.yaml:7: feeds.moex.transport: must be one of sansio, not 'curl'"),
        (
            with_line("login_retry: -1"),
            "c.yaml:7: feeds.moex.login_retry: must be a number above 0 and at most 86400, not '-1'",
        ),
        (
            with_line("ping_interval: ${UNSET}"),
            "c.yaml:7: feeds.moex.ping_interval: the environment variable UNSET is not set",
        ),
        (
            with_line("max_message_size: 4 MiB"),
            "c.yaml:7: feeds.moex.max_message_size: must be a whole number from 1024 to 1073741824, not '4 MiB'",
        ),
        (with_line("ca_file: README.md"), "c.yaml:7: feeds.moex.ca_file: holds no certificate that can be used"),
        (with_line("ca_file: no.pem"), "c.yaml:7: feeds.moex.ca_file: can't be read: No such file or directory"),
        (
            with_line("backoff: {first: 5, cap: 2}"),
            "c.yaml:7: feeds.moex.backoff: first (5 s) is above cap (2 s)",
        ),
        (
            with_line("backoff: {last: 5}"),
            "c.yaml:7: feeds.moex.backoff.last: unknown key; there are: cap, first, reset_after",
        ),
        # Credentials and channels
        (with_line("credentials: hunter2"), "c.yaml:7: feeds.moex.credentials: must be a mapping of keys"),
        (with_line("credentials: {passcode: [hunter2]}"), "c.yaml:7: feeds.moex.credentials.passcode: must be text"),
        (
            with_line("credentials: {token: hunter2}"),
            "c.yaml:7: feeds.moex.credentials: unknown key 'token'; there are: domain, login, passcode",
        ),
        (
            with_line("credentials: {passcode: hunt$er2}"),
            f"c.yaml:7: feeds.moex.credentials.passcode: {DOLLAR}",
        ),
        (
            with_line('credentials: {passcode: "hunter2\\n"}'),
            "c.yaml:7: feeds.moex.credentials: passcode is empty or holds a control character",
        ),
        (
            with_line("channels: [orderbooks,\n      trades]"),
            "c.yaml:8: feeds.moex.channels: unknown channel 'trades'; there are: orderbooks, securities",
        ),
        (with_line("channels: orderbooks"), "c.yaml:7: feeds.moex.channels: must be a list of channels"),
        (
            with_line("channels: [orderbooks, orderbooks]"),
            "c.yaml:7: feeds.moex.channels: channel 'orderbooks' is here twice; first on line 7",
        ),
        # Symbols and sharding
        (edited(("    symbols: [TQBR.SBER]\n", "")), "c.yaml:3: feeds.moex.symbols: is missing"),
        (edited(("[TQBR.SBER]", "")), "c.yaml:6: feeds.moex.symbols: has no value"),
        (edited(("[TQBR.SBER]", "[]")), "c.yaml:6: feeds.moex.symbols: there are no symbols"),
        (
            edited(("[TQBR.SBER]", "TQBR.SBER")),
            "c.yaml:6: feeds.moex.symbols: must be a list of symbols, or {file: NAME}",
        ),
        (edited(("[TQBR.SBER]", "[TQBR.SBER, '']")), "c.yaml:6: feeds.moex.symbols: a symbol is empty"),
        (edited(("[TQBR.SBER]", "\n    - TQBR.SBER\n    -\n")), "c.yaml:8: feeds.moex.symbols: a symbol is empty"),
        (
            edited(("[TQBR.SBER]", "[[TQBR.SBER]]")),
            "c.yaml:6: feeds.moex.symbols: must be text, not a list",
        ),
        (
            edited(("[TQBR.SBER]", "\n    - TQBR.SBER\n    - TQBR.GAZP\n    - TQBR.SBER\n")),
            "c.yaml:9: feeds.moex.symbols: symbol 'TQBR.SBER' is here twice; first on line 7",
        ),
        (
            edited(("[TQBR.SBER]", "[TQBR.SBER,\n      SBER]")),
            "c.yaml:7: feeds.moex.symbols: symbol 'SBER': not BOARD.SECID, like TQBR.SBER",
        ),
        (
            edited(("[TQBR.SBER]", "{files: x}")),
            "c.yaml:6: feeds.moex.symbols.files: unknown key; did you mean 'file'?",
        ),
        (
            with_line("sharding: {connections: thirty}"),
            "c.yaml:7: feeds.moex.sharding.connections: must be a whole number from 1 to 1000, not 'thirty'",
        ),
        (
            with_line("sharding: {per_connection: 5001}"),
            "c.yaml:7: feeds.moex.sharding.per_connection: must be a whole number from 1 to 5000, not '5001'",
        ),
        (
            edited(("[TQBR.SBER]", "[A.1, A.2, A.3]\n    sharding: {per_connection: 2}")),
            "c.yaml:7: feeds.moex.sharding: 3 symbols are 1 too many: 1 connections of 2 carry 2",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(text: str, reason: str) -> None:
    assert refusal(text) == reason


@pytest.mark.parametrize(
    "url",
    [
        "http://h/",
        "iss.moex.com",
        "ws://",
        "ws:///path",
        "ws://:80/",
        "ws://h:port/",
        "ws://h:0/",
        "ws://h:65536/",
        "ws://user:hunter2@h/",
        "ws://h/#f",
        "ws://h/a b",
        "ws://h/é",
        "ws://биржа.рф/",
        "ws://[::1/",
        "ws://a..b/",
        f"ws://{'a' * 64}/",
        "ws://h\\n/",
        "ws://h\\0/",
    ],
)
def test_a_url_that_cannot_be_dialled_is_refused(url: str) -> None:
    assert refusal(edited(("ws://127.0.0.1:9000/", f'"{url}"'))) == f"c.yaml:5: feeds.moex.url: {URL}"


def test_symbols_may_come_from_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_bytes("\ufeff# boards\n\nTQBR.SBER\r\n  TQBR.NO  # a remark\n#TQBR.X\n".encode())
    text = edited(("[TQBR.SBER]", "{file: t.txt}"))
    assert parse(text, tmp_path).feeds[0].symbols == ("TQBR.SBER", "TQBR.NO")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "c.yaml:6: feeds.moex.symbols: DIR/t.txt: can't be read: No such file or directory"),
        (b"# none\n", "c.yaml:6: feeds.moex.symbols: there are no symbols"),
        (b"A.1\nA.2\n\nA.1\n", "DIR/t.txt:4: feeds.moex.symbols: symbol 'A.1' is here twice; first on line 1"),
        (b"A.1\nA B\n", "DIR/t.txt:2: feeds.moex.symbols: symbol 'A B': holds a character that a selector can't carry"),
        (b"A.1\n\xff\n", "c.yaml:6: feeds.moex.symbols: DIR/t.txt:2: is not UTF-8"),
    ],
)
def test_a_symbols_file_that_cannot_be_used_is_refused(tmp_path: Path, data: bytes | None, reason: str) -> None:
    if data is not None:
        (tmp_path / "t.txt").write_bytes(data)
    assert refusal(edited(("[TQBR.SBER]", "{file: t.txt}")), tmp_path) == reason.replace("DIR", str(tmp_path))


def test_a_ca_file_is_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    assert parse(with_line("ca_file: ca.pem"), tmp_path).feeds[0].ca_file == str(tmp_path / "ca.pem")


def test_printing_a_configuration_shows_no_secret() -> None:
    made = parse(VALID)
    copy = Feed(name="a", venue="moex", url="ws://h", symbols=(), credentials=dict(SECRETS))
    for shown in (repr(made), str(made.feeds[0]), f"{made.feeds[0].credentials}", repr(copy)):
        assert "s3cr3t" not in shown
    assert "credentials=<domain, login, passcode>" in repr(made)
    assert made.feeds[0].credentials["passcode"] == "s3cr3t-p4ss"


@pytest.mark.parametrize(
    ("old", "new"),
    [
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
    ],
)
def test_no_error_holds_a_secret(old: str, new: str) -> None:
    assert VALID.count(old) == 1
    error = refusal(VALID.replace(old, new))
    assert "s3cr3t" not in error
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


def test_the_environment_goes_over_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEEDBUS_TEST_A", "process")
    assert config.environment(tmp_path)["FEEDBUS_TEST_A"] == "process"
    (tmp_path / ".env").write_text("# x\nFEEDBUS_TEST_A=file\nexport FEEDBUS_TEST_B='a${HOME}$b'\nFEEDBUS_TEST_C=\n")
    environ = config.environment(tmp_path)
    assert environ["FEEDBUS_TEST_A"] == "process"
    assert environ["FEEDBUS_TEST_B"] == "a${HOME}$b"
    assert environ["FEEDBUS_TEST_C"] == ""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"A=1\nhunter 2\n", ":2: is not NAME=value"),
        (b"A=1\nB\n", ":2: is not NAME=value"),
        (b"\xff", ":1: is not UTF-8"),
    ],
)
def test_an_env_file_that_cannot_be_used_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / ".env"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        config.environment(tmp_path)
    assert str(caught.value) == f"{path}{reason}"
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match="can't be read: Is a directory"):
        config.environment(tmp_path)


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_the_shipped_configurations_are_valid(path: Path) -> None:
    if path.name == "moex-1500.yaml" and not path.with_suffix(".txt").exists():
        pytest.skip("its list of symbols isn't there")
    made = config.load(path, {"XDG_RUNTIME_DIR": "/run/user/1"})
    assert made.bus.publish == config.substitute(config.DEFAULT_PUBLISH, {"XDG_RUNTIME_DIR": "/run/user/1"})
    if path.name == "moex-1500.yaml":
        assert len(made.feeds[0].symbols) == 1500


def test_the_example_of_an_env_file_names_the_variables_of_the_configurations() -> None:
    named = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    used = re.findall(r"\$\{(MOEX_\w+)", "".join(path.read_text() for path in (ROOT / "configs").glob("*.yaml")))
    assert named == set(used)


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


def outcome(text: str) -> None:
    """A Config or a ConfigError of one line without secrets; anything else fails the test."""
    try:
        shown = repr(parse(text))
    except ConfigError as error:
        shown = str(error)
    assert re.match(r"c\.yaml(:\d+)?: |Config\(", shown)
    assert shown.isprintable()
    assert "s3cr3t" not in shown


@given(st.text())
def test_any_text_gives_a_configuration_or_a_refusal(text: str) -> None:
    outcome(text)


@given(st.lists(st.sampled_from(PIECES)))
def test_any_pieces_of_a_configuration_give_a_configuration_or_a_refusal(pieces: list[str]) -> None:
    outcome("".join(pieces))


@given(st.lists(st.tuples(st.integers(0, len(VALID)), st.integers(0, 12), st.sampled_from(PIECES)), max_size=3))
def test_a_damaged_configuration_gives_a_configuration_or_a_refusal(damage: list[tuple[int, int, str]]) -> None:
    text = VALID
    for start, length, piece in damage:
        text = text[:start] + piece + text[start + length :]
    outcome(text)


@given(st.permutations(VALID.splitlines(keepends=True)), st.integers(0, 20))
def test_the_lines_in_any_order_give_a_configuration_or_a_refusal(lines: list[str], count: int) -> None:
    outcome("".join(lines[:count]))
