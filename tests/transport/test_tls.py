"""TLS contexts, and reading many records at once."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trio
import trustme
from trio.testing import memory_stream_pair

from feedbus.errors import ConfigError
from feedbus.transport.tls import BatchingSSLObject, system_tls_context, tls_context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


async def encrypted(authority: trustme.CA, ca_file: str) -> tuple[trio.SSLStream[trio.abc.Stream], ...]:
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("venue.example").configure_cert(server_context)
    near, far = memory_stream_pair()
    client: trio.SSLStream[trio.abc.Stream] = trio.SSLStream(
        near, tls_context(ca_file), server_hostname="venue.example", https_compatible=True
    )
    server: trio.SSLStream[trio.abc.Stream] = trio.SSLStream(far, server_context, server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.do_handshake)
        nursery.start_soon(server.do_handshake)
    return client, server


@pytest.mark.parametrize("own", [True, False])
def test_certificates_and_host_names_are_verified(own: bool, ca_file: str) -> None:
    context = tls_context(ca_file if own else None)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_ca_file_takes_the_place_of_the_systems_authorities(ca_file: str) -> None:
    assert len(tls_context(ca_file).get_ca_certs()) == 1


def test_the_systems_context_is_made_once() -> None:
    assert system_tls_context() is system_tls_context()


def test_a_missing_ca_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.pem: can't be used as CA file: No such file or directory$"):
        tls_context(str(tmp_path / "no.pem"))


def test_a_ca_file_without_a_certificate_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.pem"
    path.write_text("nothing\n")
    with pytest.raises(ConfigError, match=r"empty\.pem: can't be used as CA file: no certificate in it$"):
        tls_context(str(path))


async def test_all_records_that_have_come_are_read_at_once(authority: trustme.CA, ca_file: str) -> None:
    client, server = await encrypted(authority, ca_file)
    for number in range(20):
        await server.send_all(b"%d " % number)
    assert await client.receive_some(65536) == b"".join(b"%d " % number for number in range(20))


async def test_a_read_of_many_records_is_bounded(authority: trustme.CA, ca_file: str) -> None:
    client, server = await encrypted(authority, ca_file)
    await server.send_all(b"ab")
    await server.send_all(b"cd")
    assert await client.receive_some(3) == b"abc"
    assert await client.receive_some(3) == b"d"


async def test_data_before_a_failure_are_read_first(authority: trustme.CA, ca_file: str) -> None:
    client, server = await encrypted(authority, ca_file)
    await server.send_all(b"last")
    await server.transport_stream.send_all(b"\x17\x03\x03\x00\x05wrong")
    assert await client.receive_some(100) == b"last"
    with pytest.raises(trio.BrokenResourceError):
        await client.receive_some(100)


async def test_data_before_the_end_are_read_first(authority: trustme.CA, ca_file: str) -> None:
    client, server = await encrypted(authority, ca_file)
    assert isinstance(client.context.sslobject_class, type(BatchingSSLObject))
    await server.send_all(b"last")
    await trio.aclose_forcefully(server.transport_stream)
    assert await client.receive_some(100) == b"last"
    assert await client.receive_some(100) == b""
