"""Which files a configuration is made of, and whether others can read the secrets in them."""

from __future__ import annotations

from pathlib import Path

from feedbus import config
from feedbus.doctor import machine
from feedbus.doctor.findings import CheckFinding
from feedbus.doctor.named_files import files_of

SECRETS = frozenset({"s3cr3t-login", "s3cr3t-p4ss", "s3cr3t-env"})
TEXT = """\
bus: {publish: "inproc://x"}
feeds:
  one:
    venue: moex
    url: ws://127.0.0.1:9/
    symbols: {file: "${LIST}"}
    credentials: {domain: passport, login: LOGIN, passcode_file: passcode}
"""


def make(folder: Path, login: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(TEXT.replace("LOGIN", login))
    (folder / "list").write_text("TQBR.SBER\n")
    (folder / "passcode").write_text("s3cr3t-p4ss")
    for name, mode in (("c.yaml", 0o640), ("list", 0o644), ("passcode", 0o604)):
        (folder / name).chmod(mode)
    return path


def test_every_file_is_found_with_its_mode_and_whether_it_holds_a_secret(tmp_path: Path) -> None:
    path = make(tmp_path, "s3cr3t-login")
    (tmp_path / ".env").write_text("LOGIN=s3cr3t-env\n")
    (tmp_path / ".env").chmod(0o600)
    found = files_of(path, {"LIST": "list"}, SECRETS, tmp_path / ".env")
    assert [(Path(each.path).name, each.named_by, each.is_secret, each.mode, each.is_open) for each in found] == [
        ("c.yaml", "", True, "0640", False),
        (".env", "the environment", True, "0600", False),
        ("list", "feeds.one.symbols.file", False, "0644", True),
        ("passcode", "feeds.one.credentials.passcode_file", True, "0604", True),
    ]


def test_a_file_without_a_secret_may_be_open_and_one_that_is_gone_has_no_mode(tmp_path: Path) -> None:
    path = make(tmp_path, '"${LOGIN}"')
    path.chmod(0o644)
    (tmp_path / "passcode").unlink()
    found = {Path(each.path).name: each for each in files_of(path, {"LIST": "list"}, SECRETS, tmp_path / ".env")}
    assert not found["c.yaml"].is_secret
    assert found["c.yaml"].is_open
    assert (found["passcode"].mode, found["passcode"].is_open) == ("", False)


def test_what_the_doctor_says_of_them(tmp_path: Path) -> None:
    path = make(tmp_path, "s3cr3t-login")
    environ = {"LIST": "list", "HOME": str(tmp_path)}
    findings: list[CheckFinding] = list(machine.of_configuration(config.load(path, environ), environ, SECRETS))
    assert [finding.verdict for finding in findings] == ["good", "good", "good", "warning"]
    assert "credentials of one (domain, login, passcode)" in findings[0].said
    assert findings[3].remedy == f"Everybody on this machine can read it: `chmod o-rwx {tmp_path}/passcode`."
    assert "s3cr3t" not in str(findings)
