"""The body of CONNECTED: the description of all streams and queries of the exchange, column by column. Pure.

The exchange's own body is about 104 KB, by far the largest message of a connection, which a client has to be able to
take. This one is as large: it has the same markets, streams, columns, types and parameters, with captions in words of
our own, which are read from captions.txt, beside this file.
"""
# ruff: noqa: RUF001 - half of the words are Russian

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Any

import msgspec

# enum: value English;Russian|value English;Russian ...
_ENUMS = {
    "Language": "en English;Английский|ru Russian;Русский",
    "languages": "en English;Английский|ru Russian;Русский",
    "TBuySell": "B Someone buys;Покупают|S Someone sells;Продают",
    "TSecStatus": "A Orders are taken;Заявки принимаются|S Trading is suspended;Торги приостановлены"
    "|N Trading is forbidden;Торги запрещены",
    "TStatus": "A Orders are taken;Заявки принимаются|N Trading is forbidden;Торги запрещены",
    "TUnits": "T Tonnes;Тонны|K Kilograms;Килограммы",
    "TDPValIndicator": "L A little is hidden;Скрыто немного|M A middling amount is hidden;Скрыто среднее количество"
    "|H Much is hidden;Скрыто много",
    "TSecType": "1 Ordinary shares;Обыкновенные акции|2 Preferred shares;Привилегированные акции"
    "|3 Government bonds;Государственные облигации|6 Corporate bonds;Корпоративные облигации"
    "|9 Fund units;Паи фондов|D Depositary receipts;Депозитарные расписки",
    "TTradingStatus": "N Not traded now;Сейчас не торгуется|O Opening;Открытие|C Closed;Закрыто"
    "|F Closing period;Период закрытия|B Break;Перерыв|T Trading goes on;Торги идут|L Closing auction;Аукцион закрытия"
    "|D Dark pool auction;Аукцион крупных пакетов|I Discrete auction;Дискретный аукцион"
    "|E Trading at the closing price;Торги по цене закрытия|S Opening auction;Аукцион открытия"
    "|A Auction, orders;Аукцион, сбор заявок|a Auction, matching;Аукцион, сведение"
    "|b Auction, additions;Аукцион, досбор|p Auction, price;Аукцион, определение цены",
    "intervals": "M1 One minute;Минута|M10 Ten minutes;Десять минут|H1 One hour;Час|D1 One day;День|W1 One week;Неделя"
    "|m1 One month;Месяц|m3 Three months;Три месяца|Q1 One quarter;Квартал",
    "cardnames": "common Description;Описание|session Terms of the session;Условия сессии"
    "|boards Boards;Режимы торгов|dividends Dividends;Дивиденды|coupons Coupons;Купоны",
}

_CANDLES = "FROM:datetime TILL:datetime OPEN:fixed HIGH:fixed LOW:fixed CLOSE:fixed VALUE:fixed VOLUME:integer"
_CANDLE_PARAMS = "ticker:string interval?:enum::intervals quantity?:integer till?:datetime"
_PARAMS = "TICKER:string:25 LANGUAGE?:enum:4:Language"
_SMALL_PARAMS = "ticker:string language?:enum::languages"
_LANGUAGE = "language?:enum::languages"
_PHASE = "TRADINGSTATUS:enum:1:TTradingStatus"
_DARK = "DPVALINDICATORBUY:enum:1:TDPValIndicator DPVALINDICATORSELL:enum:1:TDPValIndicator"
_SHARES = (
    "TICKER:string:25 CAPTION:string:10 LAST:fixed:17 CHANGE:fixed:17 BID:fixed:17 OFFER:fixed:17 HIGH:fixed:17 "
    "LOW:fixed:17 HIGHBID:fixed:17 LOWOFFER:fixed:17 BIDDEPTHT:integer:16 OFFERDEPTHT:integer:16 VOLTODAY:fixed:17 "
    "VALTODAY:integer:16 NUMTRADES:integer:9 LCLOSEPRICE:fixed:17 LCURRENTPRICE:fixed:17 PREVPRICE:fixed:17 "
    "WAPRICE:fixed:17 PREVWAPRICE:fixed:17 PRICEMINUSPREVWAPRICE:fixed:17 QTY:integer:16 VALUE:fixed:16 "
    "BASEPRICE:fixed:17 MARKETPRICE:fixed:17 CURRENCYID:string:4 SETTLECODE:string:12 SETTLEDATE1:date:8 "
    "SETTLEDATE2:date:8 LOTSIZE:integer:8 FACEUNIT:string:4 FACEVALUE:fixed:17 ISSUESIZE:integer:16 "
    f"ADMITTEDQUOTE:fixed:17 {_PHASE} STATUS:enum:1:TSecStatus {_DARK} TIME:time:6 MINSTEP:fixed:17 "
    "PRICEMINSTEP:fixed:17"
)
_CURRENCY = (
    "TICKER:string:25 CAPTION:string:10 LAST:fixed:17 CHANGE:fixed:17 BIDDEPTHT:integer:16 OFFERDEPTHT:integer:16 "
    "BID:fixed:17 OFFER:fixed:17 HIGHBID:fixed:17 LOWOFFER:fixed:17 HIGH:fixed:17 LOW:fixed:17 PREVPRICE:fixed:17 "
    "MARKETPRICE:fixed:17 QTY:integer:16 VOLTODAY:fixed:17 VALTODAY:integer:16 NUMTRADES:integer:9 WAPRICE:fixed:17 "
    f"PREVWAPRICE:fixed:17 VALUE:fixed:16 {_PHASE} STATUS:enum:1:TSecStatus LOTSIZE:integer:8 FACEUNIT:string:4 "
    "BASEPRICE:fixed:17 SETTLECODE:string:12 SETTLEDATE1:date:8 SETTLEDATE2:date:8 MARKETCODE:string:4 "
    f"CURRENCYID:string:4 TIME:time:6 {_DARK} MINSTEP:fixed:17 FACEVALUE:fixed:17 PRICEMINSTEP:fixed:17 "
    "LOTDIVIDER:integer:8 CLOSEPRICE:fixed:17 LOPENPRICE:fixed:17"
)
_MONEY = (
    f"TICKER:string:25 CAPTION:string:10 STATUS:enum:1:TSecStatus {_PHASE} MARKETCODE:string:4 LOTSIZE:integer:8 "
    "MINSTEP:fixed:9 FACEVALUE:fixed:16 FACEUNIT:string:4 PREVPRICE:fixed:9 ISSUESIZE:integer:16 PREVWAPRICE:fixed:9 "
    "CURRENCYID:string:4 REGNUMBER:string:20 SECTYPE:enum:1:TSecType BID:fixed:9 BIDDEPTHT:integer:10 "
    "NUMBIDS:integer:6 OFFER:fixed:9 OFFERDEPTHT:integer:10 HIGH:fixed:9 LOW:fixed:9 LAST:fixed:9 CHANGE:fixed:9 "
    "QTY:integer:10 TIME:time:6 VOLTODAY:integer:16 VALTODAY:integer:16 VALUE:fixed:16 WAPRICE:fixed:9 "
    "HIGHBID:fixed:9 LOWOFFER:fixed:9 NUMTRADES:integer:9 PRICEMINUSPREVWAPRICE:fixed:10 BASEPRICE:fixed:9 "
    "MARKETPRICE:fixed:9 REMARKS:string:8 SETTLECODE:string:12 SETTLEDATE1:date:8 SETTLEDATE2:date:8"
)
_GOODS = (
    f"TICKER:string:25 SHORTNAME:string:30 SECNAME:string:120 {_PHASE} LAST:fixed:10 WAPRICE:fixed:10 "
    "VALTODAY:fixed:16 VOLTODAY:integer:16 NUMTRADES:integer:9 BID:fixed:10 OFFER:fixed:10 OPEN:fixed:10 "
    "HIGH:fixed:10 LOW:fixed:10 STATUS:enum:1:TStatus TIME:time:6 CURRENCYID:string:4 DECIMALS:integer:2 "
    "FACEUNIT:string:12 FACEVALUE:fixed:17 LOTSIZE:integer:8 MINSTEP:fixed:10 PREVLAST:fixed:10 "
    "PREVTRADEDATE:date:8 PREVWAPRICE:fixed:10 UNIT:enum:1:TUnits"
)
_DERIVATIVES = (
    "TICKER:string CAPTION:string BID:fixed OFFER:fixed HIGH:fixed LOW:fixed LAST:fixed TIME:time NUMTRADES:integer "
    f"PREVPRICE:fixed CHANGE:fixed BIDDEPTHT:integer OFFERDEPTHT:integer {_PHASE} VALTODAY:float VOLTODAY:integer "
    "MINSTEP:fixed"
)
_INDICES = (
    "TICKER:string CAPTION:string BIDDEPTHT:integer OFFERDEPTHT:integer LAST:fixed CHANGE:fixed HIGH:fixed LOW:fixed "
    "PREVPRICE:fixed OPENVALUE:fixed LASTCHANGETOOPENPRC:fixed LASTCHANGETOOPEN:fixed MONTHCHANGEPRC:fixed "
    "YEARCHANGEPRC:fixed MONTHCHANGEBP:fixed YEARCHANGEBP:fixed CAPITALIZATION:integer VALTODAY:integer "
    f"VALTODAY_USD:integer CAPITALIZATION_USD:integer TRADEDATE:date TIME:time {_PHASE}"
)
_FIXING = (
    "TICKER:string CAPTION:string LAST:fixed PREVPRICE:fixed CHANGE:fixed OPENVALUE:fixed LOW:fixed HIGH:fixed "
    f"TRADEDATE:date TIME:time UPDATETIME:time BIDDEPTHT:integer OFFERDEPTHT:integer {_PHASE}"
)
_BANK = (
    "TICKER:string CAPTION:string LAST:fixed PREVPRICE:fixed CHANGE:fixed NOMINAL:integer BIDDEPTHT:integer "
    f"OFFERDEPTHT:integer TRADEDATE:date {_PHASE}"
)
_RATES = f"TICKER:string CAPTION:string LAST:fixed PREVPRICE:fixed CHANGE:fixed TRADEDATE:date {_PHASE}"
_BOOK = "BUYSELL:enum:1:TBuySell PRICE:fixed:17 QUANTITY:integer:16"
_FOUND = (
    "ticker:string secid:string boardid:string board_name:string marketplace:string shortname:string latname:string "
    "name:string isin:string regnumber:string primary_boardid:string emitent_id:integer emitent_title:string "
    "emitent_inn:string emitent_okpo:string"
)
_CARD = (
    "CARDID:string:32 NAME:string:32 CAPTION:string:256 HINT:string:256 IS_HIDDEN:bool SORT_ORDER:integer "
    "TYPE:string:32 PRECISION:integer VALUE:string VALUE_INFO:string TAG_ORDER:string TAG_CAPTION:string"
)

_TURNOVERS = (
    "ID:string:8 NAME:string:256 CAPTION:string:256 VALTODAY:float VALTODAY_USD:float NUMTRADES:float "
    "UPDATETIME:datetime"
)
_BOARDS = (
    "ID:integer NAME:string:32 CAPTION:string:256 ENGINEID:integer MARKETID:integer IS_TRADED:bool IS_PRIMARY:bool"
)

# market: (streams or queries, name, its columns, its parameters) ...
_MARKETS: dict[str, list[tuple[str, str, str, str]]] = {
    "MONEY": [("streams", "securities", _MONEY, _PARAMS)],
    "MXCX": [
        ("streams", "candles", _CANDLES, _CANDLE_PARAMS),
        ("streams", "orderbooks", _BOOK, "TICKER:string:25"),
        ("streams", "securities", _CURRENCY, _PARAMS),
    ],
    "SRATES": [
        ("streams", "candles", _CANDLES, _CANDLE_PARAMS),
        ("streams", "securities", _RATES, "ticker:string"),
    ],
    "SEARCH": [("queries", "ticker", _FOUND, "pattern?:string ticker?:string preset?:string")],
    "INDICES": [
        ("streams", "candles", _CANDLES, _CANDLE_PARAMS),
        ("streams", "securities", _INDICES, _SMALL_PARAMS),
    ],
    "CBRF": [("streams", "candles", _CANDLES, _CANDLE_PARAMS), ("streams", "securities", _BANK, _SMALL_PARAMS)],
    "FIXING": [("streams", "candles", _CANDLES, _CANDLE_PARAMS), ("streams", "securities", _FIXING, _SMALL_PARAMS)],
    "OPTIONS": [
        ("streams", "candles", _CANDLES, _CANDLE_PARAMS),
        ("streams", "securities", _DERIVATIVES, _SMALL_PARAMS),
    ],
    "MXAGRO": [("streams", "orderbooks", _BOOK, "TICKER:string:25"), ("streams", "securities", _GOODS, _PARAMS)],
    "FORTS": [
        ("streams", "candles", _CANDLES, _CANDLE_PARAMS),
        ("streams", "securities", _DERIVATIVES, _SMALL_PARAMS),
    ],
    "COMMON": [
        ("streams", "news", "ID:integer CAPTION:string:256 SHORTCUT:string:256 PUBLIC_TIME:datetime", _LANGUAGE),
        (
            "streams",
            "turnovers",
            _TURNOVERS,
            f"engine?:string market?:string {_LANGUAGE}",
        ),
        (
            "queries",
            "boards",
            _BOARDS,
            _LANGUAGE,
        ),
        ("queries", "engines", "ID:integer NAME:string:32 CAPTION:string:256", _LANGUAGE),
        ("queries", "markets", "ID:integer NAME:string:32 CAPTION:string:256 ENGINEID:integer", _LANGUAGE),
        ("queries", "news.content", "ID:integer CONTENT:string:1024", "ID:integer"),
        ("queries", "ticker.card", _CARD, f"ticker?:string cardname?:enum::cardnames {_LANGUAGE} list?:bool"),
    ],
    "MXSE": [
        ("streams", "candles", _CANDLES, _CANDLE_PARAMS),
        ("streams", "orderbooks", f"{_BOOK} REPOVALUE:fixed:16", "TICKER:string:25"),
        ("streams", "securities", _SHARES, _PARAMS),
    ],
    "MXSEBB": [
        ("streams", "orderbooks", f"{_BOOK} VALUE:fixed:16", "TICKER:string:25"),
        ("streams", "securities", "TICKER:string:25 CAPTION:string:10", _PARAMS),
    ],
}
_TITLES = {
    "candles": ("Candles", "Свечи"),
    "orderbooks": ("Order book, added up by price", "Стакан, сложенный по ценам"),
    "securities": ("Quotes and totals of the day", "Котировки и итоги дня"),
    "ticker": ("Look for a paper", "Поиск бумаги"),
    "news": ("News of the exchange", "Новости биржи"),
    "turnovers": ("Turnovers by market", "Обороты по рынкам"),
    "boards": ("Boards", "Режимы торгов"),
    "engines": ("Trading systems", "Торговые системы"),
    "markets": ("Markets", "Рынки"),
    "news.content": ("Text of a piece of news", "Текст новости"),
    "ticker.card": ("All about a paper", "Всё о бумаге"),
}
_NOTE = "A simulated exchange: its papers are real in name only"


@functools.cache
def connected_body() -> bytes:
    """The body of CONNECTED: 100 to 108 KB of JSON."""
    lines = files("feedbus.sim.moex").joinpath("captions.txt").read_text("utf-8").splitlines()
    words = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    structure = {market: _market(resources, words) for market, resources in _MARKETS.items()}
    return msgspec.json.encode({"version": {"version.note": _NOTE}, "structure": structure})


@functools.cache
def resources() -> frozenset[str]:
    """The names of all streams and queries, such as `MXSE.orderbooks` and `SEARCH.ticker`."""
    return frozenset(f"{market}.{name}" for market, listed in _MARKETS.items() for _, name, _, _ in listed)


def _market(listed: list[tuple[str, str, str, str]], words: dict[str, str]) -> dict[str, Any]:
    market: dict[str, Any] = {}
    enums: set[str] = set()
    for kind, name, columns, params in listed:
        output = [_field(column, words, described=name != "candles") for column in columns.split()]
        asked = [_field(param, words, described=False) for param in params.split()]
        enums.update(field["enum"] for field in (*output, *asked) if "enum" in field)
        resource = {"output": output, "access": "general", "name": name, "caption": _both(*_TITLES[name])}
        market.setdefault(kind, []).append({**resource, "params": asked})
    return {"enums": [_enum(name) for name in sorted(enums)], **market} if enums else market


def _field(spec: str, words: dict[str, str], *, described: bool) -> dict[str, Any]:
    """The description of a column or a parameter, by its NAME[?]:type[:length[:enum]]; ? marks an optional one."""
    name, kind, length, enum = (*spec.split(":"), "", "")[:4]
    caption = words[name.removesuffix("?")].split(";")
    field: dict[str, Any] = {"name": name.removesuffix("?")}
    if length:
        field["length"] = int(length)
    field["caption"] = _both(*caption[:2])
    if described and len(caption) > 2:
        field["description"] = _both(*caption[2:])
    if name.endswith("?"):
        field["optional"] = True
    field["type"] = kind
    if enum:
        field["enum"] = enum
    return field


def _enum(name: str) -> dict[str, Any]:
    values = []
    for value in _ENUMS[name].split("|"):
        key, _, captions = value.partition(" ")
        english, russian = captions.split(";")
        values.append({"caption": _both(english, russian), "id": key})
    return {"values": values, "name": name}


def _both(english: str, russian: str) -> dict[str, str]:
    return {"en": english, "ru": russian}
