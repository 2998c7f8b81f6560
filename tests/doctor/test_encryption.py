"""TLS over real sockets, with certificates that are good, and bad in every way."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio
import trustme

from feedbus.doctor.findings import CheckFinding
from feedbus.doctor.patience import Patience
from tests.doctor.examined import encrypted, examined, failed, found, simulated
from tests.doctor.ways import AUTHORITY, DAY, NOW, ca_file, of, server, way_to


async def tls(context: ssl.SSLContext, ca: str | None) -> CheckFinding:
    """What is found of a server with this certificate, which is reached as 127.0.0.1."""
    async with encrypted(context, "127.0.0.1:9") as port:
        way = await way_to(f"wss://127.0.0.1:{port}/?token=s3cr3t", ca)
    assert way.broken == ("tls" if of(way, "tls").verdict == "failed" else "")
    assert "s3cr3t" not in str(way)
    return of(way, "tls")


async def test_a_whole_examination_over_tls(tmp_path: Path) -> None:
    async with (
        simulated("moex", rate=20.0) as (url, _),
        encrypted(server(AUTHORITY, "127.0.0.1"), url.split("/")[2]) as port,
    ):
        secure = f"wss://127.0.0.1:{port}/{url.split('/', 3)[3]}"
        keys = f"venue: moex, url: '{secure}', symbols: [TQBR.SBER], ca_file: '{ca_file(tmp_path)}'"
        report = await examined(tmp_path, f"  moex: {{{keys}}}\n")
    assert failed(report) == []
    (finding,) = found(report, "tls")
    assert finding.verdict == "good"
    assert "TLSv1.3" in finding.said
    assert "accepted for 127.0.0.1" in finding.said
    assert "issued by Venues' own" in finding.said
    assert "alone (1, without the Russian Trusted ones)" in finding.said
    assert finding.facts["names"] == ["127.0.0.1"]


async def test_a_certificate_that_is_over(tmp_path: Path) -> None:
    finding = await tls(
        server(AUTHORITY, "127.0.0.1", not_before=NOW - 30 * DAY, not_after=NOW - 3 * DAY), ca_file(tmp_path)
    )
    assert finding.verdict == "failed"
    assert "certificate has expired" in finding.said
    assert f"to {(NOW - 3 * DAY):%Y-%m-%d}" in finding.said
    assert finding.remedy.startswith("It ended 3 d ago by our clock.")
    assert "timedatectl" in finding.remedy


async def test_a_certificate_of_tomorrow(tmp_path: Path) -> None:
    finding = await tls(
        server(AUTHORITY, "127.0.0.1", not_before=NOW + 3 * DAY, not_after=NOW + 30 * DAY), ca_file(tmp_path)
    )
    assert finding.remedy.startswith("It becomes good in 3 d by our clock.")


async def test_a_certificate_that_ends_soon(tmp_path: Path) -> None:
    finding = await tls(server(AUTHORITY, "127.0.0.1", not_after=NOW + 5 * DAY), ca_file(tmp_path))
    assert finding.verdict == "warning"
    assert finding.remedy.startswith("It ends in 5 d:")


async def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    finding = await tls(server(AUTHORITY, "other.example", "10.0.0.1"), ca_file(tmp_path))
    assert finding.verdict == "failed"
    assert "IP address mismatch" in finding.said
    assert finding.remedy.startswith("It is for other.example, 10.0.0.1. So the address")


@pytest.mark.parametrize("own", [True, False])
async def test_an_unknown_authority(own: bool, tmp_path: Path) -> None:
    other = ca_file(tmp_path, trustme.CA())
    finding = await tls(server(AUTHORITY, "127.0.0.1"), other if own else None)
    assert finding.verdict == "failed"
    assert "certificate verify failed" in finding.said
    assert "issued by Venues' own" in finding.said
    assert "The authority (Venues' own) isn't among those that are trusted here." in finding.remedy
    assert (f"add it to {other}" if own else "name the file by ca_file in this feed") in finding.remedy


async def test_the_authority_of_russian_hosts() -> None:
    authority = trustme.CA(organization_name="Russian Trusted Sub CA")
    finding = await tls(server(authority, "127.0.0.1"), None)
    assert finding.verdict == "failed"
    assert "without the Russian Trusted ones" in finding.said
    assert "gosuslugi.ru/crt" in finding.remedy
    assert "name the file by ca_file in this feed" in finding.remedy
    assert "Never switch the verification off" in finding.remedy


async def test_the_russian_authority_is_told_where_it_is_trusted(tmp_path: Path) -> None:
    authority = trustme.CA(organization_name="Russian Trusted Root CA")
    finding = await tls(server(authority, "127.0.0.1"), ca_file(tmp_path, authority))
    assert finding.verdict == "good"
    assert "with the Russian Trusted ones" in finding.said


async def test_a_ca_file_that_shuts_out_what_the_system_accepts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "system").mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", ca_file(tmp_path / "system"))
    finding = await tls(server(AUTHORITY, "127.0.0.1"), ca_file(tmp_path, trustme.CA()))
    assert finding.remedy.startswith("The system's authorities accept it, and ")
    assert "leave ca_file out" in finding.remedy


async def test_a_port_without_tls() -> None:
    async with simulated("moex") as (url, _):
        way = await way_to(url.replace("ws:", "wss:"))
    assert way.broken == "tls"
    assert "doesn't speak TLS at this port" in of(way, "tls").remedy


async def test_a_server_that_never_shakes_hands() -> None:
    async def hold(_: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, hold, [listener])
        way = await way_to(f"wss://127.0.0.1:{listener.socket.getsockname()[1]}/", patience=Patience(tls=0.1))
        nursery.cancel_scope.cancel()
    assert of(way, "tls").said == "no TLS handshake within 0.1 s"
