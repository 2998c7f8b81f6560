"""Every check of a feed against the simulated venues: healthy, and each of them failing with its remedy."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import trio

from feedbus.doctor.examination import Wishes
from feedbus.doctor.findings import Report
from tests.doctor.examined import MARKER, QUICK, examined, failed, found, one, shown, simulated
from tests.free_port import free_port
from tests.transport.peer import BINARY, Peer, closing, frame, listening

CHANNELS = {
    "moex": ["orderbooks", "securities", "candles.M1"],
    "alor": ["orderbook", "alltrades", "quotes"],
    "binance": ["trade", "bookTicker", "depth"],
}
SYMBOL = {"moex": "TQBR.SBER", "alor": "SBER", "binance": "BTCUSDT"}
WRONG = f"{{domain: passport, login: {MARKER}-l0gin, passcode: {MARKER}-p4ss}}"
IMPATIENT = Wishes(ntp="none", patience=QUICK.__class__(answer=0.5, data=0.3, watch=0.0, login=0.5))


def feed(venue: str, url: str, rest: str = "", **keys: str) -> str:
    """A feed in YAML, with every channel of one symbol."""
    lines = {"venue": venue, "url": f"'{url}'", "symbols": f"[{SYMBOL[venue]}]", "channels": f"{CHANNELS[venue]}"}
    lines |= {"rest": f"'{rest}'"} if rest else {}
    if venue == "alor":
        lines |= {"auth": f"'{rest}'", "credentials": f"{{refresh_token: {MARKER}-token}}"}
    return f"  {venue}: {{{', '.join(f'{key}: {value}' for key, value in (lines | keys).items())}}}\n"


def subjects(report: Report, check: str) -> list[tuple[str, str]]:
    return [(finding.subject, finding.verdict) for finding in found(report, check)]


@pytest.mark.parametrize("venue", sorted(SYMBOL))
async def test_a_healthy_venue_is_good_in_every_check(venue: str, tmp_path: Path) -> None:
    async with simulated(venue, rate=20.0) as urls:
        report = await examined(tmp_path, feed(venue, *urls))
    assert failed(report) == []
    each = [(f"{channel} {SYMBOL[venue]}", "good") for channel in CHANNELS[venue]]
    assert subjects(report, "subscription") == each
    assert subjects(report, "data") == each
    assert [one(report, check).verdict for check in ("limits", "list", "handshake", "login", "delay")] == ["good"] * 5
    assert "listed" not in one(report, "list").remedy
    assert [finding.said for finding in found(report, "route")] == ["directly (a loopback address)"] * 2
    assert len(found(report, "account")) == (venue == "alor")
    delay = one(report, "delay").facts
    assert -0.1 < float(str(delay["least_s"])) <= float(str(delay["most_s"])) < 5


async def test_feeds_are_looked_at_together_and_shown_in_order(tmp_path: Path) -> None:
    async with simulated("moex", rate=20.0) as moex, simulated("binance", rate=20.0) as binance:
        feeds = feed("binance", "ws://127.0.0.1:9/stream", binance[1]) + feed("moex", *moex)
        report = await examined(tmp_path, feeds)
    assert [section.name for section in report.sections] == ["this machine", "binance", "moex"]
    assert failed(report) == ["tcp"]
    text = shown(report)
    assert text.index("\nbinance: ") < text.index("FAIL  tcp") < text.index("\nmoex: ")
    assert one(report, "delay", "moex").verdict == "good"


# What fails, and what is skipped because of it


async def test_a_closed_port(tmp_path: Path) -> None:
    report = await examined(tmp_path, feed("moex", f"ws://127.0.0.1:{free_port()}/"))
    assert failed(report) == ["tcp"]
    tcp = one(report, "tcp")
    assert "connection refused" in tcp.said
    assert "nothing listens at 127.0.0.1 port" in tcp.remedy
    for check in ("handshake", "login", "subscription", "data", "delay"):
        assert {finding.verdict for finding in found(report, check)} == {"skipped"}
    assert "tcp ws://127.0.0.1" in one(report, "handshake").said
    assert one(report, "login").said.startswith("not tried: tcp ws://127.0.0.1")


async def test_an_unknown_name(tmp_path: Path) -> None:
    report = await examined(tmp_path, feed("moex", "wss://venue.invalid/"))
    assert "lookup" in failed(report)
    lookup = found(report, "lookup")[0]
    assert lookup.said.startswith("venue.invalid: IPv4 none (")
    assert "; IPv6 none (" in lookup.said
    assert "getent hosts venue.invalid" in lookup.remedy
    assert found(report, "tcp")[0].said == "not tried: lookup failed"
    assert found(report, "tls")[0].said == "not tried: lookup failed"


async def test_a_server_that_is_no_websocket(tmp_path: Path) -> None:
    async with simulated("moex") as (_, rest):
        report = await examined(tmp_path, feed("moex", rest.replace("http:", "ws:") + "/"))
    assert failed(report) == ["handshake"]
    assert "HTTP 404" in one(report, "handshake").said
    assert "no WebSocket at this path" in one(report, "handshake").remedy


async def test_a_refused_login_of_moex_in_the_venues_own_words(tmp_path: Path) -> None:
    async with simulated("moex") as (url, _):
        report = await examined(tmp_path, feed("moex", url, credentials=WRONG))
    assert failed(report) == ["login"]
    login = one(report, "login")
    assert login.said == "login_refused: Access denied (by domain, login, passcode)"
    assert "domain, login, passcode" in login.remedy
    assert found(report, "subscription")[0].said == "not tried: there is no login"


async def test_a_refused_token_of_alor(tmp_path: Path) -> None:
    async with simulated("alor", refresh_tokens=("another",)) as urls:
        report = await examined(tmp_path, feed("alor", *urls))
    assert failed(report) == ["account"]
    account = one(report, "account")
    assert "login_refused" in account.said
    assert f"POST {urls[1]}/refresh" in account.said
    assert "refresh_token" in account.remedy
    assert one(report, "handshake").said == "not tried: the account isn't ready"


async def test_a_token_service_in_trouble(tmp_path: Path) -> None:
    async with simulated("alor", refresh_failure="500") as urls:
        report = await examined(tmp_path, feed("alor", *urls))
    assert failed(report) == ["account"]
    assert "connect_failed: an answer that can't be used: HTTP 500 (POST " in one(report, "account").said
    assert "maintenance" in one(report, "account").remedy


@pytest.mark.parametrize("venue", ["moex", "binance"])
async def test_an_unknown_symbol_and_the_nearest_that_exists(venue: str, tmp_path: Path) -> None:
    symbols = {"moex": "[TQBR.SBERR]", "binance": "[BTCUSDD]"}
    async with simulated(venue) as urls:
        report = await examined(tmp_path, feed(venue, *urls, symbols=symbols[venue]), wishes=IMPATIENT)
    near = {"moex": "did you mean TQBR.SBER or TQBR.SBERP?", "binance": "did you mean BTCUSDT or "}
    assert near[venue] in one(report, "list").said
    if venue == "moex":
        assert failed(report) == ["list", *["subscription"] * 3]
        assert "refused: gateway.invalidrequest: unknown ticker" in found(report, "subscription")[0].said
        assert found(report, "subscription")[0].remedy.startswith("Did you mean TQBR.SBER or TQBR.SBERP?")
        assert {finding.verdict for finding in found(report, "data")} == {"skipped"}
    else:  # this venue confirms any name, and stays silent
        assert failed(report) == ["list", *["data"] * 3]
        assert "did you mean BTCUSDT" in found(report, "data")[0].remedy
        assert "Invalid symbol" in found(report, "data")[2].said
    assert one(report, "delay").said == "not tried: there is no data"


async def mute(peer: Peer) -> None:
    """A MOEX that lets everybody in, confirms every subscription, and sends nothing."""
    await peer.accept(b"Sec-WebSocket-Protocol: STOMP")
    while (heard := await peer.heard()) is not None:
        if heard.data.startswith(b"CONNECT"):
            await peer.say(frame(BINARY, b"CONNECTED\nversion:1\n\n{}\0"))
        elif heard.data.startswith(b"SUBSCRIBE"):
            name = heard.data.partition(b"receipt:")[2].partition(b"\n")[0]
            await peer.say(frame(BINARY, b"RECEIPT\nreceipt-id:" + name + b"\n\n\0"))


async def test_a_mute_venue(tmp_path: Path) -> None:
    async with listening(mute) as place:
        report = await examined(tmp_path, feed("moex", f"ws://{place}/"), wishes=IMPATIENT)
    assert failed(report) == ["data"] * 3
    assert [verdict for _, verdict in subjects(report, "subscription")] == ["good"] * 3
    data = found(report, "data")[0]
    assert data.said == "nothing within 0.3 s"
    assert "sends nothing" in data.remedy
    assert one(report, "delay").verdict == "skipped"


async def test_a_venue_that_answers_no_login(tmp_path: Path) -> None:
    async def silent(peer: Peer) -> None:
        await peer.accept()
        await trio.sleep_forever()

    async with listening(silent) as place:
        report = await examined(tmp_path, feed("moex", f"ws://{place}/"), wishes=IMPATIENT)
    assert failed(report) == ["login"]
    assert one(report, "login").said == "no answer within 0.5 s (as a guest)"


async def test_a_venue_that_ends_the_connection_says_why(tmp_path: Path) -> None:
    async def closes(peer: Peer) -> None:
        await peer.accept(behind=closing(1008, f"too many connections of {MARKER}-l0gin".encode()))

    async with listening(closes) as place:
        report = await examined(tmp_path, feed("moex", f"ws://{place}/", credentials=WRONG), wishes=IMPATIENT)
    assert failed(report) == ["login"]
    assert "closed by the venue: 1008 too many connections of ***" in one(report, "login").said
    assert "too many connections of one account" in one(report, "login").remedy


async def test_a_venue_that_asks_for_a_pause(tmp_path: Path) -> None:
    async def refuses(peer: Peer) -> None:
        await peer.read_request()
        await peer.say(b"HTTP/1.1 418 I'm a teapot\r\nRetry-After: 7200\r\nContent-Length: 0\r\n\r\n")

    async with listening(refuses) as place:
        report = await examined(tmp_path, feed("binance", f"ws://{place}/stream", channels="[trade]"))
    assert failed(report) == ["handshake"]
    assert "HTTP 418, a ban, to be asked again in 2 h" in one(report, "handshake").said
    assert "banned this IP address" in one(report, "handshake").remedy


@pytest.mark.parametrize("guest", [True, False])
async def test_delayed_data(guest: bool, tmp_path: Path) -> None:
    late = time.time_ns() - 20 * 60 * 1_000_000_000
    async with simulated("alor" if not guest else "moex", start_ns=late, rate=20.0) as urls:
        report = await examined(tmp_path, feed("moex" if guest else "alor", *urls))
    delay = one(report, "delay")
    assert delay.said.startswith("late by 20 min: ")
    assert failed(report) == ([] if guest else ["delay"])
    assert delay.verdict == ("warning" if guest else "failed")
    assert ("guest gets delayed data" if guest else "account gets delayed data") in delay.remedy


async def test_events_of_the_future(tmp_path: Path) -> None:
    early = time.time_ns() + 30 * 1_000_000_000
    async with simulated("moex", start_ns=early, rate=20.0) as urls:
        report = await examined(tmp_path, feed("moex", *urls))
    assert failed(report) == ["delay"]
    assert "ahead of this machine's clock" in one(report, "delay").said
    assert "the clock of this machine is behind" in one(report, "delay").remedy


async def test_the_symbols_of_a_selection_are_asked_for_and_one_is_tried(tmp_path: Path) -> None:
    async with simulated("moex", rate=20.0) as urls:
        report = await examined(tmp_path, feed("moex", *urls, symbols="{boards: [TQBR], sample: 3}"))
    assert failed(report) == []
    assert one(report, "list").said.startswith("3 symbols: at most 3 on TQBR")
    assert found(report, "data")[0].subject.startswith("orderbooks TQBR.")


async def test_a_selection_without_its_list_has_nothing_to_try(tmp_path: Path) -> None:
    async with simulated("moex", rest_failure="html") as urls:
        report = await examined(tmp_path, feed("moex", *urls, symbols="{boards: [TQBR]}"))
    assert failed(report) == ["list"]
    assert one(report, "login").said == "not tried: the symbols are chosen from the venue's list, which didn't come"


async def test_a_list_that_does_not_come_keeps_nothing_from_a_feed_that_names_its_symbols(tmp_path: Path) -> None:
    async with simulated("moex", rest_failure="html", rate=20.0) as urls:
        report = await examined(tmp_path, feed("moex", *urls))
    assert failed(report) == []
    assert one(report, "list").verdict == "warning"
    assert "Data doesn't wait for it" in one(report, "list").remedy


async def test_more_connects_than_the_venue_allows_are_worth_a_warning(tmp_path: Path) -> None:
    budgets = "{connects: {count: 3000, per_s: 60}}"
    report = await examined(tmp_path, feed("binance", "ws://127.0.0.1:9/", channels="[trade]", budgets=budgets))
    assert one(report, "limits").verdict == "warning"
    assert "300 in 300 s" in one(report, "limits").remedy
    assert "1 of 1024 subscriptions on each" in one(report, "limits").said
