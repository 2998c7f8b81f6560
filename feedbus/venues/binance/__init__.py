"""Binance spot: market data streams at wss://stream.binance.com:9443/stream. No account is needed. Pure.

| channel       | kinds published | what the venue sends                                                               |
|---------------|-----------------|------------------------------------------------------------------------------------|
| trade         | trade           | every trade, at once                                                               |
| aggTrade      | trade           | at once; what one taker order traded at one price is one trade, with an id of its  |
|               |                 | own kind                                                                           |
| bookTicker    | quote           | the best bid and ask, at each change; no time                                      |
| depth         | book, delta,    | the changed levels, once a second, or with @100ms (depth@100ms) ten times: the     |
|               | status          | whole book is kept of them and of snapshots (docs/books.md)                        |
| depth5, 10,   | book            | the best levels, conflated to one book a second, or with @100ms (depth5@100ms) to  |
| 20            |                 | ten; no time                                                                       |
| kline_1s … 1w | bar, 1 s … 7 d  | the current bar, conflated to one a second (kline_1s) or one in two; 6h, 12h, 1d,  |
|               |                 | 3d and 1w also by days that begin at 16:00 UTC (kline_1d@+08:00)                   |
| miniTicker    | ticker          | the last 24 hours, a rolling window, conflated to one a second                     |
| ticker        | ticker          | the same, with bid, ask, trades and the last price before the window               |
| ticker_1h,    | ticker          | the last 1, 4 or 24 hours and up to a minute more, as the window begins on a whole |
| 4h, 1d        |                 | minute; conflated to one a second                                                  |
| avgPrice      | indicator       | the mean price of the last 5 minutes, named avgPrice, conflated to one a second    |

An indicator avgPrice has one window of `period_s` seconds, which ends at `ts_event` and begins at `start`. The venue
has block trades and reference prices as well: the former aren't part of the trades and would mix with them, and the
latter have no window, so neither can be had.

A bar whose end fell between two connections is ended by the first message about a later one: it is final then, with
what came last of it, and not complete.

Units: sizes and `volume` are base units (BTC of BTCUSDT), `turnover` is in the quote currency. A bar's `buy_volume` is
that of taker buys, `sell_volume` the rest. A symbol is written as the venue writes it: BTCUSDT. `venue_sequence` is the
venue's update id, the same count in quotes and books. Without `channels` it is trade, bookTicker and miniTicker.

The conversation: SUBSCRIBE with many streams at once, answered by {"result":null,"id":…}; data comes as
{"stream":"btcusdt@trade","data":{…}}, mixed with the answers. The venue documents no error for a stream that doesn't
exist: it is confirmed and stays silent, so that only `live` says that a symbol is one. An error may come without the
id of its request. On the address /ws data has no wrapping: what says its event and symbol itself is taken there too,
which depth and bookTicker don't. Source of the rules: https://github.com/binance/binance-spot-api-docs
(web-socket-streams.md).
"""

from feedbus.venues.binance.account import Account

__all__ = ["Account"]
