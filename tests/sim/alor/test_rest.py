"""What the simulated ALOR answers over REST."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feedbus.sim.alor.market import futures
from feedbus.sim.alor.rest import AlorRest
from feedbus.sim.alor.venue import AlorSimOptions, AlorVenue
from feedbus.sim.moex.catalogue import securities
from feedbus.sim.seam import SimRequest, SimResponse

NOW = 1_800_000_000_000_000_000
LISTED = [*securities()[:30], *futures()[:1]]
TOKEN = AlorVenue(AlorSimOptions(), securities=[]).tokens.issue(NOW)
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}


def rest(**options: Any) -> tuple[AlorRest, AlorVenue]:
    venue = AlorVenue(AlorSimOptions(**options), securities=LISTED)
    return AlorRest(venue), venue


def get(target: str, handler: AlorRest | None = None, headers: dict[str, str] = AUTHORIZED) -> Any:
    answer = (handler or rest()[0])(SimRequest("GET", target, headers=headers, now_ns=NOW))
    assert answer.status == 200, answer.body
    return msgspec.json.decode(answer.body)


def refresh(target: str, body: bytes = b"", method: str = "POST", **options: Any) -> tuple[SimResponse, AlorVenue]:
    handler, venue = rest(**options)
    return handler(SimRequest(method, target, body, now_ns=NOW)), venue


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/refresh?token=r", b""),
        ("/refresh", b'{"token":"r"}'),
        ("/refresh", b'{"Token":"r"}'),
        ("/refresh?token=wrong", b'{"token":"r"}'),
        ("/refresh?token=r", b"{}"),
        ("/Refresh?token=r", b"not JSON"),
    ],
)
def test_a_refresh_token_gets_an_access_token_from_query_or_body(target: str, body: bytes) -> None:
    answer, venue = refresh(target, body, refresh_tokens=("r",))
    assert answer.status == 200
    content = msgspec.json.decode(answer.body)
    assert content.keys() == {"AccessToken"}
    assert venue.tokens.valid(content["AccessToken"], NOW)
    assert venue.counters.tokens_issued == 1


@pytest.mark.parametrize(
    ("target", "body", "tokens"),
    [
        ("/refresh?token=wrong", b"", ("r", "s")),
        ("/refresh", b'{"token":"wrong"}', ("r",)),
        ("/refresh?token=r", b'{"token":"wrong"}', ("r",)),
        ("/refresh", b"", ()),
        ("/refresh", b'{"token":5}', ()),
        ("/refresh", b"[]", ()),
        ("/refresh?token=", b"[" * 5000, ()),
    ],
)
def test_a_wrong_refresh_token_is_forbidden(target: str, body: bytes, tokens: tuple[str, ...]) -> None:
    answer, venue = refresh(target, body, refresh_tokens=tokens)
    assert answer.status == 403
    assert (venue.counters.tokens_issued, venue.counters.logins_refused) == (0, 1)


def test_a_refresh_may_fail_and_has_to_be_posted() -> None:
    answer, venue = refresh("/refresh?token=r", refresh_failure="500")
    assert answer.status == 500
    assert venue.counters.logins_refused == 1
    assert refresh("/refresh?token=r", method="GET")[0].status == 405


def test_the_time_is_the_wall_clocks() -> None:
    assert get("/md/v2/time") == NOW // 10**9


@pytest.mark.parametrize("target", ["/md/v2/Securities/MOEX/SBER", "/md/v2/securities/MOEX/SBER?instrumentGroup=TQBR"])
def test_an_instrument_has_a_card(target: str) -> None:
    card = get(target)
    assert (card["symbol"], card["board"], card["primary_board"]) == ("SBER", "TQBR", "TQBR")
    assert (card["lotsize"], card["minstep"], card["ISIN"]) == (1, 0.01, "RU0009029540")
    assert card["priceMin"] < card["priceMax"]


def test_instruments_are_listed_and_searched() -> None:
    with_an_l = [security.secid for security in LISTED if "L" in security.secid]
    assert [card["symbol"] for card in get("/md/v2/Securities?query=l")] == with_an_l
    assert 1 < len(with_an_l) < 25
    everything = [card["symbol"] for card in get("/md/v2/Securities/MOEX?limit=999")]
    assert everything == [security.secid for security in LISTED]
    assert [card["symbol"] for card in get("/md/v2/Securities/MOEX?limit=3&offset=2")] == everything[2:5]
    assert get("/md/v2/Securities/MOEX") == get("/md/v2/Securities/MOEX?limit=999")
    assert len(get("/md/v2/Securities")) == 25


def codes(target: str) -> list[str]:
    return [card["symbol"] for card in get(target)]


def test_a_list_may_be_of_a_board_of_a_market_and_of_a_kind() -> None:
    boards = {security.secid: security.board for security in LISTED}
    for board in set(boards.values()):
        wanted = [code for code, on in boards.items() if on == board]
        assert codes(f"/md/v2/Securities?exchange=MOEX&instrumentGroup={board}&limit=100") == wanted
    assert codes("/md/v2/Securities?sector=FORTS") == codes("/md/v2/Securities/MOEX?market=FORTS") == ["CNY-12.26"]
    assert codes("/md/v2/Securities?cficode=FXXXXX") == codes("/md/v2/Securities?cficode=FFXCSX") == ["CNY-12.26"]
    assert codes("/md/v2/Securities?sector=CURR") == codes("/md/v2/Securities?instrumentGroup=NO") == []


def test_pages_add_up_to_the_list() -> None:
    pages = [codes(f"/md/v2/Securities?limit=7&offset={offset}") for offset in range(0, 42, 7)]
    assert [code for page in pages for code in page] == [security.secid for security in LISTED]
    assert pages[-1] == []


def test_a_card_and_bars_come_in_the_format_that_is_asked_for() -> None:
    card = get("/md/v2/Securities/MOEX/SBER?format=Heavy")
    assert card["roundTo"] == 2
    assert get("/md/v2/Securities?query=SBER&limit=1&format=heavy") == [card]
    bars = get(f"/md/v2/history?exchange=MOEX&symbol=SBER&tf=15&from={NOW // 10**9 - 60}&format=Slim")["history"]
    assert bars
    assert all(bar.keys() == {"t", "c", "o", "h", "l", "v"} for bar in bars)


@pytest.mark.parametrize(
    ("target", "public"),
    [
        ("/md/v2/time", True),
        ("/md/v2/Securities?limit=1", True),
        ("/md/v2/Securities/MOEX:SBER/quotes", True),
        ("/md/v2/Securities/MOEX/SBER/availableBoards", True),
        ("/md/v2/history?exchange=MOEX&symbol=SBER&tf=60", True),
        ("/md/v2/Securities/MOEX", False),
        ("/md/v2/Securities/MOEX/SBER", False),
        ("/md/v2/Securities/MOEX/SBER/alltrades", False),
        ("/md/v2/orderbooks/MOEX/SBER", False),
    ],
)
def test_some_things_are_told_without_a_token(target: str, public: bool) -> None:
    assert rest()[0](SimRequest("GET", target, now_ns=NOW)).status == (200 if public else 401)
    assert rest()[0](SimRequest("GET", target, headers=AUTHORIZED, now_ns=NOW)).status == 200


def test_boards_books_quotes_trades_and_bars_are_told() -> None:
    assert get("/md/v2/Securities/MOEX/SBER/availableBoards") == ["TQBR"]
    book = get("/md/v2/orderbooks/MOEX/SBER?depth=3")
    assert (len(book["bids"]), book["existing"]) == (3, True)
    assert abs(book["ms_timestamp"] - NOW // 10**6) < 2000
    quotes = get("/md/v2/Securities/MOEX:SBER,MOEX:CNY-12.26/quotes")
    assert [quote["symbol"] for quote in quotes] == ["SBER", "CNY-12.26"]
    trades = get("/md/v2/Securities/MOEX/SBER/alltrades?take=4")
    assert [trade["id"] for trade in trades] == sorted(trade["id"] for trade in trades)
    assert get("/md/v2/Securities/MOEX/SBER/alltrades?take=4&descending=true") == trades[::-1]
    since = NOW // 10**9 - 600
    history = get(f"/md/v2/history?exchange=MOEX&symbol=SBER&tf=60&from={since}&to={since + 180}")
    assert [bar["time"] for bar in history["history"]] == [since, since + 60, since + 120, since + 180]


def test_a_look_does_not_open_the_market() -> None:
    handler, venue = rest()
    get("/md/v2/orderbooks/MOEX/SBER", handler)
    assert not venue.market.opened


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/md/v2/nothing", 404),
        ("GET", "/md/v2/Securities/MOEX/NOPE", 404),
        ("GET", "/md/v2/Securities/SPBX", 404),
        ("GET", "/md/v2/Securities/MOEX/SBER/nothing", 404),
        ("GET", "/md/v2/Securities/MOEX/SBER/alltrades/more", 404),
        ("GET", "/md/v2/Securities/SBER/quotes", 404),
        ("GET", "/md/v2/orderbooks/MOEX/SBER?depth=x", 400),
        ("GET", "/md/v2/Securities?format=Huge", 400),
        ("GET", "/md/v2/history?exchange=MOEX&symbol=SBER&tf=x", 400),
        ("GET", "/md/v2/history?exchange=MOEX&symbol=SBER", 400),
        ("GET", "//[", 404),
        ("POST", "/md/v2/time", 405),
        ("DELETE", "/md/v2/orderbooks/MOEX/SBER", 405),
    ],
)
def test_what_can_not_be_told_is_refused(method: str, target: str, status: int) -> None:
    answer = rest()[0](SimRequest(method, target, headers=AUTHORIZED, now_ns=NOW))
    assert answer.status == status
    assert msgspec.json.decode(answer.body)["message"]


def test_a_request_may_do_without_a_token_but_not_have_a_bad_one() -> None:
    handler, venue = rest(token_s=10)
    token = venue.tokens.issue(NOW)
    assert get("/md/v2/time", handler, {"authorization": f"Bearer {token}"})
    for bad in ("Bearer x", f"Bearer {venue.tokens.issue(NOW - 10 * 10**9)}", "x"):
        answer = handler(SimRequest("GET", "/md/v2/time", headers={"authorization": bad}, now_ns=NOW))
        assert answer.status == 401


TARGETS = st.sampled_from(["/md/v2/Securities/", "/md/v2/orderbooks/MOEX/", "/md/v2/history?", "/refresh?", "/"])


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["GET", "POST"]), TARGETS, st.text(max_size=30), st.binary(max_size=30))
def test_no_request_breaks_it(method: str, start: str, rest_of_it: str, body: bytes) -> None:
    answer = rest()[0](SimRequest(method, start + rest_of_it, body, AUTHORIZED, now_ns=NOW))
    assert answer.status in (200, 400, 403, 404, 405)
