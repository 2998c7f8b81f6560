"""No command shows a secret of a configuration, wherever the secret stands and whatever is wrong with the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.in_process import Command, Done

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
