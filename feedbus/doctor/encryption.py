"""TLS on the way to one address: one handshake as a feed makes it, and why it failed. May touch sockets, by `connect`.

A certificate that isn't accepted is looked at on a second connection, which verifies nothing and on which nothing is
sent. Where a ca_file shuts it out, a third one tells whether the system's authorities would have accepted it.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
import trio

from feedbus.doctor import certificates, remedies
from feedbus.doctor.certificates import Certificate
from feedbus.doctor.findings import CheckFinding, Fact
from feedbus.doctor.words import some
from feedbus.errors import ProxyFailed
from feedbus.text import time_span
from feedbus.transport.reasons import why
from feedbus.transport.streams import STREAM_ERRORS
from feedbus.transport.tls import tls_context

EXPIRES_SOON = 14 * 86400.0
"""Seconds before a certificate ends from when that is worth a warning."""

Connect = Callable[[], Awaitable[trio.SocketStream]]
"""Makes a new connection to the address. Raises OSError or ProxyFailed."""

_FAILURES = (trio.TooSlowError, OSError, ProxyFailed, *STREAM_ERRORS)


class _Handshaken(msgspec.Struct, frozen=True):
    version: str
    cipher: str
    der: bytes


async def of_tls(host: str, ca_file: str | None, connect: Connect, within: float) -> CheckFinding:
    """Make a handshake with this host, for which there are `within` seconds. `ca_file` is that of the feed."""
    began = trio.current_time()
    context = tls_context(ca_file)
    trusted = _trusted(context, ca_file)
    try:
        done = await _handshake(host, context, connect, within)
    except _FAILURES as error:
        finding = await _failed(error, host, ca_file, connect, within)
    else:
        finding = _done(done, host, trusted)
    return msgspec.structs.replace(
        finding, seconds=trio.current_time() - began, facts={**finding.facts, "trusts": trusted}
    )


def _done(done: _Handshaken, host: str, trusted: str) -> CheckFinding:
    """The handshake succeeded."""
    shown = _certificate(done.der)
    facts: dict[str, Fact] = {"version": done.version, "cipher": done.cipher}
    said = f"{done.version}, {done.cipher}; trusts {trusted}"
    if shown is None:
        return CheckFinding("tls", "good", f"the certificate is accepted for {host}; {said}", facts=facts)
    said = f"certificate {_described(shown)}, accepted for {host}; {said}"
    facts |= _facts_of(shown)
    left = shown.not_after - time.time_ns() / 1e9
    if left >= EXPIRES_SOON:
        return CheckFinding("tls", "good", said, facts=facts)
    remedy = f"It ends in {time_span(max(left, 0.0))}: the venue has to renew it. Look again in some days."
    return CheckFinding("tls", "warning", said, "", remedy, facts=facts)


async def _failed(error: Exception, host: str, ca_file: str | None, connect: Connect, within: float) -> CheckFinding:
    """Say why the handshake failed. Where the certificate is why, look at what was shown."""
    refused = _refusal(error)
    if refused is None:
        late = isinstance(error, trio.TooSlowError)
        said = f"no TLS handshake within {within:g} s" if late else why(error)
        return CheckFinding("tls", "failed", said, "", remedies.of_tls(said))
    shown = await _looked_at(host, connect, within)
    context = tls_context(None)
    system_accepts = ca_file is not None and await _is_accepted(host, context, connect, within)
    remedy = remedies.of_certificate(
        refused.verify_code,
        shown,
        host,
        ca_file=ca_file or "",
        system_accepts=system_accepts,
        now=time.time_ns() / 1e9,
    )
    said = f"{why(error)}; trusts {_trusted(tls_context(ca_file), ca_file)}"
    said += "" if shown is None else f"; was shown {_described(shown)}"
    facts: dict[str, Fact] = {"verify_code": refused.verify_code}
    return CheckFinding("tls", "failed", said, "", remedy, facts=facts | (_facts_of(shown) if shown else {}))


async def _looked_at(host: str, connect: Connect, within: float) -> Certificate | None:
    """The certificate that a server shows, which is verified by nobody; None when it can't be had or read."""
    look = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    look.check_hostname, look.verify_mode = False, ssl.CERT_NONE
    with suppress(*_FAILURES):
        return _certificate((await _handshake(host, look, connect, within)).der)
    return None


async def _is_accepted(host: str, context: ssl.SSLContext, connect: Connect, within: float) -> bool:
    with suppress(*_FAILURES):
        await _handshake(host, context, connect, within)
        return True
    return False


async def _handshake(host: str, context: ssl.SSLContext, connect: Connect, within: float) -> _Handshaken:
    """One TLS handshake on a connection of its own. Raises what that or OpenSSL says, and TooSlowError."""
    with trio.fail_after(within):
        stream = await connect()
        try:
            # https_compatible: as the transports do it.
            encrypted = trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)
            await encrypted.do_handshake()
            cipher = encrypted.cipher()
            der = encrypted.getpeercert(binary_form=True) or b""
            return _Handshaken(str(encrypted.version()), cipher[0] if cipher else "", der)
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)


def _refusal(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """OpenSSL's verdict about a certificate, if that is the cause of an error."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__
    return error


def _certificate(der: bytes) -> Certificate | None:
    try:
        return certificates.read(der)
    except ValueError:
        return None


def _trusted(context: ssl.SSLContext, ca_file: str | None) -> str:
    """Whose authorities are trusted, in words."""
    held = context.get_ca_certs()
    russian = "with" if any(remedies.RUSSIAN_AUTHORITY in str(each.get("subject")) for each in held) else "without"
    if ca_file is not None:
        return f"the authorities of {ca_file} alone ({len(held)}, {russian} the Russian Trusted ones)"
    paths = ssl.get_default_verify_paths()
    where = paths.cafile or paths.capath or "nowhere"
    if not held:  # those of a directory are read when one of them is needed
        return f"the system's authorities ({where})"
    return f"the system's authorities ({len(held)} of {where}, {russian} the Russian Trusted ones)"


def _described(shown: Certificate) -> str:
    names = some(shown.names) or "no host"
    until = f"good {_day(shown.not_before)} to {_day(shown.not_after)}"
    return f"{shown.subject} for {names}, issued by {shown.issuer}, {until}"


def _facts_of(shown: Certificate) -> dict[str, Fact]:
    return {
        "subject": str(shown.subject),
        "issuer": str(shown.issuer),
        "names": list(shown.names),
        "not_before": _day(shown.not_before),
        "not_after": _day(shown.not_after),
    }


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
