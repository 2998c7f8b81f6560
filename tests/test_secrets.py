"""No command shows a secret of a configuration, wherever the secret stands and whatever is wrong with the rest."""

from __future__ import annotations

import base64
import json
import logging
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

import feedbus
from feedbus import config as configuration
from feedbus import venues
from feedbus.bus.publisher import Publisher
from feedbus.commands.run import mask_of
from feedbus.config import FeedConfig
from feedbus.feed.feed import Feed
from feedbus.proxies import Proxies, Proxy, Route
from feedbus.schema.events import Alert
from feedbus.service.tree import running
from feedbus.telemetry import logs
from feedbus.telemetry.logs import _Counting
from feedbus.testing.fake_transport import FakeDial
from feedbus.testing.memory_bus import MemoryBus
from feedbus.transport import DialOptions, http
from tests.actors.alerting.test_webhook import Receiver, served
from tests.free_port import free_port
from tests.in_process import Command, Done
from tests.transport.peer import BINARY, Peer, closing, frame, listening

MARKER = "s3cr3t"
LOGIN, PASSCODE = f"{MARKER}-l0gin", f"{MARKER}-p4ss"


def feed(name: str, url: str, credentials: str) -> str:
    symbols = "[TQBR.SBER, TQBR.GAZP]"
    return f"  {name}: {{venue: moex, url: '{url}', symbols: {symbols}, credentials: {credentials}}}\n"


GIVEN = {
    "in the configuration": f"{{domain: passport, login: {LOGIN}, passcode: {PASSCODE}}}",
    "in the environment": '{domain: passport, login: "${MOEX_LOGIN}", passcode: "${MOEX_PASSCODE}"}',
    "in .env": '{domain: passport, login: "${DOTENV_LOGIN}", passcode: "${DOTENV_PASSCODE}"}',
    "in files": "{domain: passport, login_file: login, passcode_file: passcode}",
    "by systemd": '{domain: passport, login_file: login, passcode_file: "${CREDENTIALS_DIRECTORY}/moex-passcode"}',
}
EVERY = "".join(feed(f"f{number}", "ws://127.0.0.1:9/", how) for number, how in enumerate(GIVEN.values()))
BUS = "bus: {publish: 'inproc://x'}\nfeeds:\n"


@pytest.fixture
def check(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Done]:
    """`feedbus check` of a text, with secrets in files and in the environment. --debug shows tracebacks too."""
    (tmp_path / ".env").write_text(f"DOTENV_LOGIN={LOGIN}\nDOTENV_PASSCODE='{PASSCODE}'\n")
    (tmp_path / "login").write_text(LOGIN)
    (tmp_path / "passcode").write_text(f"{PASSCODE}\n")
    (tmp_path / "twice").write_text(f"{PASSCODE}\n{PASSCODE}\n")
    (tmp_path / "moex-passcode").write_text(PASSCODE)
    secrets = {"MOEX_LOGIN": LOGIN, "MOEX_PASSCODE": PASSCODE, "CREDENTIALS_DIRECTORY": str(tmp_path)}
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)

    def run(text: str) -> Done:
        (tmp_path / "c.yaml").write_text(text)
        return command("--debug", "check", "c.yaml")

    return run


def test_check_shows_no_secret_however_it_is_given(check: Callable[[str], Done]) -> None:
    done = check(BUS + EVERY)
    assert (done.status, done.err) == (0, "")
    assert all(f"f{number}" in done.out for number in range(len(GIVEN)))
    assert MARKER not in done.out


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (("symbols: [TQBR.SBER,", "symbols: [SBER,"), "not BOARD.SECID"),
        (("passcode: ", "passcode:"), "a space follows its colon"),
        (("passcode: ", "passcode: 'x'"), "a comma is missing"),
        (("passcode_file: passcode", "passcode_file: twice"), "more than one line"),
        (("passcode_file: passcode", f"passcode_file: {PASSCODE}"), "can't be read"),
        (("passcode_file: passcode", f"passcode_file: passcode, passcode: {PASSCODE}"), "exclude each other"),
    ],
)
def test_a_refused_configuration_shows_no_secret(
    damage: tuple[str, str], reason: str, check: Callable[[str], Done]
) -> None:
    assert damage[0] in BUS + EVERY
    done = check((BUS + EVERY).replace(*damage, 1))
    assert "Traceback" in done.err
    assert reason in done.err
    assert MARKER not in done.out + done.err


def test_an_env_file_in_the_place_of_a_configuration_shows_no_secret(
    tmp_path: Path, check: Callable[[str], Done]
) -> None:
    for text in (f"PASSCODE={PASSCODE}\n", f"A=1\nPASSCODE: {PASSCODE}\n", f"PASSCODE={PASSCODE}: x\n"):
        done = check(text)
        assert "c.yaml:" in done.err
        assert MARKER not in done.out + done.err
    (tmp_path / ".env").write_text(f"A=1\nPASSCODE {PASSCODE}\n")
    done = check(BUS + EVERY)
    assert ".env:2: is not NAME=value" in done.err
    assert MARKER not in done.out + done.err


# What a venue repeats

ACCOUNTS = {
    "moex": {"domain": f"{MARKER}-dom/ain", "login": f"{MARKER}+l0gin@desk", "passcode": f'{MARKER}"p4ss%'},
    "alor": {"refresh_token": f"{MARKER}-refresh"},
}


def echo(values: list[str]) -> str:
    """What a venue may make of what we sent it."""
    forms = [*values, json.dumps(values), *map(quote, values), repr(values), " ".join(values).upper()]
    return "|".join([*forms, base64.b64encode(":".join(["x", *values]).encode()).decode()])


@pytest.mark.parametrize("venue", ACCOUNTS)
def test_every_credential_of_every_venue_is_hidden(venue: str) -> None:
    assert set(ACCOUNTS) | {"binance"} == set(venues.names()), "binance has no credentials; does a new venue have some?"
    url = "ws://127.0.0.1:9/"
    proxies = Proxies(chosen=Route(Proxy("http", "p", 1, f"{MARKER}-user", f"{MARKER}-word"), "proxy"))
    config = FeedConfig(venue, venue, url, ("TQBR.SBER",), ACCOUNTS[venue], proxies=proxies)
    feed = Feed(config, Publisher(venue, MemoryBus()), FakeDial(), DialOptions())
    said = echo([*ACCOUNTS[venue].values(), f"{MARKER}-user", f"{MARKER}-word"])
    hidden = feed.clean(said)
    assert left(hidden) == []
    assert hidden.count("***") >= len(ACCOUNTS[venue])


def left(text: str) -> list[str]:
    """Where the marker is still, in any way of writing it."""
    inside = [base64.b64decode(found) for found in re.findall(r"(?:[A-Za-z0-9+/]{4}){3,}", text)]
    texts = [text.lower(), *(each.decode(errors="replace").lower() for each in inside)]
    return [each for each in texts if MARKER in each]


@pytest.fixture
def logged() -> Iterator[None]:
    """Logging as it was before, when the test has ended."""
    loggers = [logging.getLogger("feedbus"), logging.getLogger()]
    before = [(logger, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, level, propagate in before:
        for handler in [each for each in logger.handlers if isinstance(each, _Counting)]:
            logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


async def echoing(how: str, peer: Peer) -> None:
    """A venue that repeats our credentials: in its error, in its close frame, or behind a good login."""
    await peer.accept()
    heard = await peer.heard()
    assert heard is not None
    said = echo([line.partition(b":")[2].decode() for line in heard.data.split(b"\n") if b":" in line])
    if how == "close":
        await peer.say(closing(1008, said[:100].encode()))
        return
    await peer.say(frame(BINARY, f"ERROR\nmessage:{said}\n\n{said}\0".encode()))
    await peer.heard_close()


@pytest.mark.parametrize("how", ["error", "close"])
@pytest.mark.usefixtures("logged")
async def test_what_a_venue_repeats_is_in_no_log_status_alert_post_or_health_page(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bus = f"ipc://{tmp_path}/bus.ipc"
    async with listening(partial(echoing, how)) as place, served(Receiver()) as receiver:
        text = json.dumps(
            {
                "bus": {"publish": bus},
                "feeds": {"f": {"venue": "moex", "url": f"ws://{place}/", "symbols": ["TQBR.SBER"]}},
                "actors": {
                    "alerting": {"rules": [{"kind": "connection_down", "for": 0.3}], "webhook": {"url": receiver.url}}
                },
                "telemetry": {"listen": f"127.0.0.1:{(port := free_port())}"},
            }
        ).replace('"symbols"', f'"credentials": {json.dumps(ACCOUNTS["moex"])}, "symbols"')
        config = configuration.parse(text, name="c", directory=tmp_path, environ={})
        logs.to_stderr(style="json", mask=mask_of(config))
        said = ""
        async with feedbus.subscribe(bus, topics=["feed", "alert"]) as subscription, running(config):
            async for event in subscription:
                said += repr(event)
                if isinstance(event, Alert):  # which tells the reason of the connection
                    break
            await receiver.asked(1)
            async with http.client(f"http://127.0.0.1:{port}") as client:
                for page in ("/readyz", "/healthz", "/metrics"):
                    said += (await client.get(page)).body.decode()
    said += capsys.readouterr().err + "".join(body.decode() for body in receiver.bodies)
    assert said.count("***") > 4, said
    assert left(said) == []
