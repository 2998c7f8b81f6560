"""The securities that the simulated exchange lists: shares and funds with real names, and made-up bonds. Pure.

The list never depends on the simulator's seed, so that the symbols in a configuration stay valid. Prices, price steps
and lots are plausible, and of no particular day. Shares and funds are read from listing.txt, beside this file.
"""

from __future__ import annotations

import functools
from importlib.resources import files
from random import Random
from typing import Literal

import msgspec

MARKET = "MXSE"
BONDS = 1480

_ISINS = {
    "SBER": "RU0009029540", "SBERP": "RU0009029557", "GAZP": "RU0007661625", "LKOH": "RU0009024277",
    "ROSN": "RU000A0J2Q06", "NVTK": "RU000A0DKVS5", "GMKN": "RU0007288411", "TATN": "RU0009033591",
    "SNGS": "RU0008926258", "SNGSP": "RU0009029524", "MGNT": "RU000A0JKQU8", "MTSS": "RU0007775219",
    "CHMF": "RU0009046510", "NLMK": "RU0009046452", "MAGN": "RU0009084396", "ALRS": "RU0007252813",
    "VTBR": "RU000A0JP5V6", "AFLT": "RU0009062285", "MOEX": "RU000A0JR4A1", "AFKS": "RU000A0DQZE3",
    "AKRN": "RU0009028674", "ABRD": "RU000A0JS5T7", "ABIO": "RU000A0JNAB6",
}  # fmt: skip

SecurityKind = Literal["share", "fund", "bond", "future"]


class Security(msgspec.Struct, frozen=True, gc=False):
    """A listed security. `price` and `tick` are whole numbers of 10^-decimals; `tier` is how busy it is, 0 the most."""

    secid: str
    board: str
    kind: SecurityKind
    name: str
    latin_name: str
    isin: str | None
    price: int
    tick: int
    decimals: int
    lot: int
    face: int
    issue_size: int
    tier: int

    @property
    def symbol(self) -> str:
        """The symbol in feedbus: TQBR.SBER."""
        return f"{self.board}.{self.secid}"

    @property
    def ticker(self) -> str:
        """The ticker on the exchange's wire: MXSE.TQBR.SBER."""
        return f"{MARKET}.{self.board}.{self.secid}"


@functools.cache
def securities() -> tuple[Security, ...]:
    """All listed securities: shares, funds, then bonds, with the busiest shares first."""
    rng = Random("the listing")
    lines = files("feedbus.sim.moex").joinpath("listing.txt").read_text("utf-8").splitlines()
    listed = [_share_or_fund(line, rng) for line in lines if not line.startswith("#")]
    codes: dict[str, None] = {}
    while len(codes) < BONDS:
        codes[_bond_code(rng)] = None
    bonds = [_bond(code, number, rng) for number, code in enumerate(codes, 1)]
    return (*listed, *bonds)


def tickers() -> list[str]:
    """The symbols of all listed securities, `TQBR.SBER` first."""
    return [security.symbol for security in securities()]


def _share_or_fund(line: str, rng: Random) -> Security:
    board, secid, price, tick, lot, tier, names = line.split(" ", 6)
    name, latin_name = names.split("|")
    decimals = len(tick.partition(".")[2])
    return Security(
        secid=secid,
        board=board,
        kind="share" if board == "TQBR" else "fund",
        name=name,
        latin_name=latin_name,
        isin=_ISINS.get(secid),
        price=int(price.replace(".", "")),
        tick=int(tick.replace(".", "")),
        decimals=decimals,
        lot=int(lot),
        face=rng.choice((1, 1, 3, 5)) if board == "TQBR" else 0,
        issue_size=rng.randrange(40_000_000, 20_000_000_000),
        tier=int(tier),
    )


def _bond_code(rng: Random) -> str:
    """An ISIN with a valid check digit, which is the code of a bond on its board."""
    body = "RU000A1" + "".join(rng.choice("0123456789ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(4))
    digits = [int(digit) for char in body for digit in str(int(char, 36))]
    doubled = [digit * 2 if place % 2 == 0 else digit for place, digit in enumerate(reversed(digits))]
    return body + str(-sum(digit // 10 + digit % 10 for digit in doubled) % 10)


def _bond(code: str, number: int, rng: Random) -> Security:
    series = f"{1 + number % 4:03d}P-{1 + number // 4 % 40:02d}"
    return Security(
        secid=code,
        board="TQCB",
        kind="bond",
        name=f"Эмитент {number:04d} {series}",
        latin_name=f"Issuer {number:04d} {series}",
        isin=code,
        price=rng.randrange(8200, 10900),
        tick=1,
        decimals=2,
        lot=1,
        face=1000,
        issue_size=rng.randrange(200, 20_000) * 1000,
        tier=2,
    )


def search(text: str, limit: int) -> list[Security]:
    """Securities whose code or name contains the text, upper or lower case; the code itself comes first."""
    wanted = text.casefold()
    found = [
        security
        for security in securities()
        if wanted in security.ticker.casefold()
        or wanted in security.name.casefold()
        or wanted in security.latin_name.casefold()
    ]
    found.sort(key=lambda security: wanted not in (security.secid.casefold(), security.ticker.casefold()))
    return found[:limit]
