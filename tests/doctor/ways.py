"""The way to servers with certificates of a test."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trio
import trustme

from feedbus.doctor import network
from feedbus.doctor.findings import CheckFinding
from feedbus.doctor.network import Way
from feedbus.doctor.patience import Patience
from feedbus.proxies import DIRECT, Proxies
from tests.doctor.examined import QUICK

AUTHORITY = trustme.CA(organization_name="Venues' own")
NOW = datetime.now(UTC)  # noqa: TID251 - certificates are made for the present
DAY = timedelta(days=1)


def server(
    authority: trustme.CA, *names: str, not_before: datetime | None = None, not_after: datetime | None = None
) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names, not_before=not_before, not_after=not_after).configure_cert(context)
    return context


def ca_file(folder: Path, authority: trustme.CA = AUTHORITY) -> str:
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


async def way_to(url: str, ca: str | None = None, proxies: Proxies = DIRECT, patience: Patience = QUICK) -> Way:
    with trio.fail_after(20):
        return await network.way_to(url, proxies, ca, patience)


def of(way: Way, check: str) -> CheckFinding:
    return next(finding for finding in way.findings if finding.check == check)
