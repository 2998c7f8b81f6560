"""`feedbus doctor` as a real process: beside simulated venues that are healthy and that refuse, beside the service
itself, with few descriptors, and with a secret in every slot, none of which it may show."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

from tests.edges.processes import TIMEOUT, Start, line, simulator

pytestmark = pytest.mark.edge

MARKER = "s3cr3t"
SECRETS = {"MOEX_LOGIN": f"{MARKER}-l0gin", "MOEX_PASSCODE": f"{MARKER}-p4ss"}
GUEST = (
    "bus: {{publish: 'ipc://{folder}/bus.ipc'}}\nfeeds: {{moex: {{venue: moex, url: '{url}', symbols: [TQBR.SBER]}}}}\n"
)
LIMITED = """\
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
from feedbus import cli
sys.exit(cli.main())
"""


def diagnose(start: Start, *arguments: str, status: int, log: str = "doctor.log", **how: object) -> str:
    """Run the doctor to its end. Returns what it prints; it must have nothing to say on standard error."""
    process = start("doctor", "c.yaml", "--ntp", "none", *arguments, log=log, **how)
    said, _ = process.communicate(timeout=TIMEOUT)
    assert process.returncode == status, said
    return said


@pytest.mark.timeout(120)
def test_a_healthy_venue_a_service_that_runs_and_too_few_descriptors(start: Start, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(GUEST.format(folder=tmp_path, url=simulator(start)))
    said = diagnose(start, status=0)
    assert "\n  ok    delay " in said
    assert (tmp_path / "doctor.log").read_text() == ""

    found = json.loads(diagnose(start, "--json", status=1, program=(sys.executable, "-c", LIMITED)))
    bad = [each for section in found["sections"] for each in section["findings"] if each["verdict"] == "failed"]
    assert [each["check"] for each in bad] == ["descriptors"]
    assert bad[0]["facts"]["limit"] == 100
    assert "LimitNOFILE" in bad[0]["remedy"]

    service = start("run", "c.yaml")
    tail = start("tail", "--count", "1", "--config", "c.yaml")
    tail.communicate(timeout=TIMEOUT)  # the service publishes
    assert f"\n  FAIL  bus                    ipc://{tmp_path}/bus.ipc: another process publishes there" in diagnose(
        start, status=1
    )
    service.send_signal(signal.SIGTERM)
    service.communicate(timeout=TIMEOUT)
    diagnose(start, status=0)


@pytest.mark.timeout(90)
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_no_secret_is_shown_when_everything_is_refused(form: tuple[str, ...], start: Start, tmp_path: Path) -> None:
    moex = simulator(start)
    alor = start("sim", "alor", "--listen", "127.0.0.1:0", "--rest", "127.0.0.1:0")
    url, rest = line(alor).removeprefix("alor: "), line(alor).removeprefix("alor rest: ")
    (tmp_path / "token").write_text(f"{MARKER}-token")
    (tmp_path / ".env").write_text(f"ALERTS=https://{MARKER}-hook.invalid/x\n")
    passcode = 'credentials: {domain: passport, login: "${MOEX_LOGIN}", passcode: "${MOEX_PASSCODE}"}'
    proxy = f"proxy: 'http://jo:{MARKER}-pr0xy@127.0.0.1:9'"
    (tmp_path / "c.yaml").write_text(
        f"bus: {{publish: 'ipc://{tmp_path}/bus.ipc'}}\nfeeds:\n"
        f"  moex: {{venue: moex, url: '{moex}?token={MARKER}-query', symbols: [TQBR.SBER], {passcode}}}\n"
        f"  alor: {{venue: alor, url: '{url}', rest: '{rest}', auth: '{rest}', symbols: [NONE],\n"
        f"         credentials: {{refresh_token_file: token}}}}\n"
        f"  away: {{venue: moex, url: 'wss://venue.invalid/', symbols: [TQBR.SBER], {proxy}}}\n"
        'actors: {alerting: {rules: [{kind: connection_down, for: 30}], webhook: {url: "${ALERTS}"}}}\n'
    )
    said = diagnose(start, *form, "--wait", "1", status=1, **SECRETS)
    said += (tmp_path / "doctor.log").read_text()
    for words in ("Access denied", "login_refused", "connection refused", "refresh_token", "NONE"):
        assert words in said
    assert MARKER not in said
    assert "Traceback" not in said
