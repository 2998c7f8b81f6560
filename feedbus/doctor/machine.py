"""The checks of this machine: the configuration's files, the addresses that the service listens at, disks, descriptors,
the clock, and the versions of what runs. May touch files, sockets and the process.

Nothing stays of it: a socket is bound and closed again, a file is made without a name, and of a directory that is
missing is only tried whether it could be made.
"""

from __future__ import annotations

import errno
import os
import platform
import pwd
import resource
import socket
import ssl
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import feedbus
from feedbus.bus.nng import PubSocket
from feedbus.config import Config
from feedbus.doctor import clock, remedies
from feedbus.doctor.findings import CheckFinding, CheckVerdict, Fact
from feedbus.doctor.limits import connections
from feedbus.doctor.named_files import files_of
from feedbus.doctor.patience import Patience
from feedbus.doctor.words import PRECISE, counted
from feedbus.errors import BusError
from feedbus.feed.fetching import AT_A_TIME
from feedbus.service import processes
from feedbus.text import time_span

LIBRARIES = ("trio", "websockets", "trio-websocket", "pynng", "msgspec", "httpx")
SOME_DESCRIPTORS = 128
"""Descriptors besides those of the connections and the requests: of nng and its subscribers, of telemetry, of files."""

LITTLE_SPACE, NO_SPACE = 1 << 30, 1 << 26
"""Bytes free on a disk below which that is worth a warning, and below which it fails."""

CLOCK_WARNS, CLOCK_FAILS = 0.1, 1.0
"""Seconds by which the clock may be wrong."""

TAKEN = (
    "Something publishes there already. If it is this very service, all is well, and this check holds once it is "
    "stopped. Otherwise give each its own bus.publish; `ss -lxp` and `ss -ltnp` show who it is."
)

JOURNAL = Path("/var/log/journal")


def versions() -> dict[str, str]:
    """What runs here."""
    found = {"feedbus": feedbus.__version__, "Python": platform.python_version()}
    found["OpenSSL"] = ssl.OPENSSL_VERSION.removeprefix("OpenSSL ")
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    distribution = ""
    with suppress(OSError):
        distribution = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    found["OS"] = f"{platform.platform()}{f' ({distribution})' if distribution else ''}"
    return found


def who() -> str:
    """The user of this process."""
    user = os.geteuid()
    try:
        return f"{pwd.getpwuid(user).pw_name} (uid {user})"
    except KeyError:
        return f"uid {user}"


# The configuration


def of_configuration(config: Config, environ: Mapping[str, str], secrets: frozenset[str]) -> Iterator[CheckFinding]:
    """What was read, and whether others can read the secrets."""
    names = ", ".join(f"{feed.name} ({', '.join(feed.credentials) or 'none'})" for feed in config.feeds)
    said = f"read as {who()}; {counted(len(config.feeds), 'feed')}, actors: {', '.join(config.actors) or 'none'}; "
    yield CheckFinding("config", "good", f"{said}credentials of {names}", config.path, facts={"user": who()})
    for each in files_of(Path(config.path), environ, secrets, Path.cwd() / ".env"):
        what = each.named_by or "the configuration"
        holds = "holds secrets" if each.is_secret else "holds no secret"
        facts: dict[str, Fact] = {"mode": each.mode, "secret": each.is_secret}
        said = f"{what}, readable, mode {each.mode}, {holds}"
        if each.is_secret and each.is_open:
            remedy = f"Everybody on this machine can read it: `chmod o-rwx {each.path}`."
            yield CheckFinding("file", "warning", said, each.path, remedy, facts=facts)
        else:
            yield CheckFinding("file", "good", said, each.path, facts=facts)


# Addresses of our own


def of_addresses(config: Config) -> Iterator[CheckFinding]:
    """Whether the service can listen where it wants to."""
    process = processes.process(config)
    if process.publish is not None:
        yield _bus(process.publish)
    listening = {"telemetry": process.telemetry.listen} if process.telemetry is not None else {}
    for name, options in config.actors.items():
        if isinstance(listen := getattr(options, "listen", None), str):
            listening[f"actors.{name}"] = listen
    for name, listen in listening.items():
        yield _listen(name, listen)


def _bus(address: str) -> CheckFinding:
    if address.startswith("inproc:"):
        return CheckFinding("bus", "good", "within the process alone, so nobody else has it", address)
    if address.startswith("ipc://") and not (folder := Path(address.removeprefix("ipc://")).parent).exists():
        return _missing_folder(address, folder)
    try:
        PubSocket(address).close()
    except BusError as error:
        said = str(error).removeprefix(f"can't publish at {address}: ")
        in_use = "another process" in said or "in use" in said.lower()
        remedy = TAKEN if in_use else f"{who()} may not publish there: look at the path's owner and mode."
        return CheckFinding("bus", "failed", said, address, remedy)
    return CheckFinding("bus", "good", "free", address)


def _missing_folder(address: str, folder: Path) -> CheckFinding:
    existing = _existing(folder)
    with suppress(OSError):
        tempfile.TemporaryDirectory(dir=existing).cleanup()
        return CheckFinding("bus", "good", f"free; {folder} will be made", address)
    said = f"{folder} doesn't exist, and {who()} can't make it in {existing}"
    remedy = "Make it for the user of the service (systemd: RuntimeDirectory=feedbus), or choose another bus.publish."
    return CheckFinding("bus", "failed", said, address, remedy)


def _listen(name: str, listen: str) -> CheckFinding:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    if port == "0":
        return CheckFinding("listen", "good", "the system chooses a port", f"{name} {listen}")
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, _, _, address in found:
            with socket.socket(family, kind) as made:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                made.bind(address)
    except OSError as error:
        remedy = (
            "Another program listens there, perhaps this very service: `ss -ltnp` shows which. Choose another listen."
            if error.errno == errno.EADDRINUSE
            else "Choose an address of this machine, and a port above 1023."
        )
        said = (error.strerror or str(error)).lower()
        return CheckFinding("listen", "failed", said, f"{name} {listen}", remedy)
    return CheckFinding("listen", "good", "free", f"{name} {listen}")


# Disks


def of_disks(config: Config) -> Iterator[CheckFinding]:
    """Whether there is room for what is kept, and whether it can be written."""
    yield _cache(config)
    yield _log()


def _cache(config: Config) -> CheckFinding:
    needed = [feed.name for feed in config.feeds if feed.selection is not None]
    if not config.cache_dir:
        remedy = "Name a directory by cache_dir: lists of symbols and what was learnt are kept there over a restart."
        return CheckFinding("cache", "failed" if needed else "warning", "there is no cache_dir", "", remedy)
    path = Path(config.cache_dir)
    existing = _existing(path)
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        said = f"{who()} can't write in {existing}: {(error.strerror or str(error)).lower()}"
        remedy = "Give it to the user of the service (systemd: CacheDirectory=feedbus), or name another cache_dir."
        return CheckFinding("cache", "failed", said, str(path), remedy)
    made = "writable" if existing == path else f"will be made in {existing}"
    return _room("cache", os.statvfs(existing), made, str(path))


def _log() -> CheckFinding:
    """Where standard error goes, which the service logs to."""
    mode = os.fstat(2).st_mode
    if stat.S_ISREG(mode):
        return _room("log", os.fstatvfs(2), "standard error is a file", "")
    kinds = {"a terminal": os.isatty(2), "a pipe": stat.S_ISFIFO(mode), "a socket": stat.S_ISSOCK(mode)}
    kind = next((name for name, is_so in kinds.items() if is_so), "a device")
    said = f"standard error is {kind} now; systemd's journal is the usual place of a service's log"
    where = next((each for each in (JOURNAL, JOURNAL.parent) if each.exists()), None)
    return CheckFinding("log", "good", said) if where is None else _room("log", os.statvfs(where), said, str(where))


def _room(check: str, found: os.statvfs_result, said: str, subject: str) -> CheckFinding:
    free, inodes = found.f_bavail * found.f_frsize, found.f_favail
    facts: dict[str, Fact] = {"free_bytes": free, "free_inodes": inodes}
    said = f"{said}; {free / (1 << 20):,.0f} MiB free"
    is_without_inodes = found.f_files > 0 and inodes == 0
    if free >= LITTLE_SPACE and not is_without_inodes:
        return CheckFinding(check, "good", said, subject, facts=facts)
    said += ", and no inode" if is_without_inodes else ""
    verdict: CheckVerdict = "failed" if free < NO_SPACE or is_without_inodes else "warning"
    remedy = "Make room on that disk: `df -h`, `df -i`, `journalctl --vacuum-size=500M`."
    return CheckFinding(check, verdict, said, subject, remedy, facts=facts)


def _existing(path: Path) -> Path:
    """The path, or the nearest directory above it that there is."""
    for each in (path, *path.parents):
        with suppress(OSError):
            if each.exists():
                return each
    return Path("/")


# The process


def of_descriptors(config: Config) -> CheckFinding:
    """Whether the process may open as many files and sockets as all connections need."""
    wanted = sum(connections(feed) for feed in config.feeds)
    needed = wanted + AT_A_TIME * len(config.feeds) + SOME_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    facts: dict[str, Fact] = {"limit": soft, "hard_limit": hard, "needed": needed, "connections": wanted}
    said = f"{soft} may be open (at most {hard}), and {counted(wanted, 'connection')} with all else take up to {needed}"
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return CheckFinding("descriptors", "good", said, facts=facts)
    remedy = f"Raise the limit: `ulimit -n {max(needed, 1024)}` in a shell, LimitNOFILE= in the unit of systemd."
    return CheckFinding("descriptors", "failed", said, "", remedy, facts=facts)


# The clock


async def of_clock(server: str, patience: Patience) -> CheckFinding:
    """By how much the clock is wrong, if the time server answers. `server` is HOST or HOST:PORT, "none" for none."""
    if server == "none":
        return CheckFinding("clock", "skipped", "not tried: no time server is to be asked")
    host, port = clock.place_of(server)
    try:
        found = await clock.ask(host, port, within=patience.ntp, look_up_within=patience.lookup)
    except clock.NoTime as error:
        said = f"unknown: {error}. That is no fault by itself: many networks let no NTP through"
        remedy = "Look at `timedatectl`, or name a time server that can be reached by --ntp."
        return CheckFinding("clock", "skipped", said, server, remedy)
    off = abs(found.ahead_s)
    said = (
        f"{'ahead' if found.ahead_s > 0 else 'behind'} by {off:.3f} s, measured to {found.round_trip_s / 2:.3f} s "
        f"(stratum {found.stratum})"
    )
    if off >= PRECISE:
        said += f", which is {time_span(off)}"
    facts: dict[str, Fact] = {"ahead_s": found.ahead_s, "round_trip_s": found.round_trip_s}
    sure = off - found.round_trip_s / 2
    verdict: CheckVerdict = "failed" if sure > CLOCK_FAILS else "warning" if sure > CLOCK_WARNS else "good"
    remedy = "" if verdict == "good" else remedies.OF_CLOCK
    return CheckFinding("clock", verdict, said, server, remedy, found.round_trip_s, facts)


def of_machine(config: Config, environ: Mapping[str, str], secrets: frozenset[str]) -> Sequence[CheckFinding]:
    """All checks of the machine but the clock, which has to be waited for."""
    found = [*of_configuration(config, environ, secrets), *of_addresses(config), *of_disks(config)]
    return [*found, of_descriptors(config)]
