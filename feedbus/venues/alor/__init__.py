"""ALOR Broker OpenAPI v2: JSON over WebSocket at wss://api.alor.ru/ws. Pure.

| channel   | kinds published | what the venue sends                                                                   |
|-----------|-----------------|----------------------------------------------------------------------------------------|
| orderbook | book            | the full book, `depth` levels a side, conflated to one in `frequency` ms; it bears no  |
|           |                 | number, so that a lost one can't be told. An old and empty one is normal off hours     |
| alltrades | trade           | every trade, one a frame, nothing conflated; what happened while we were away is not   |
|           |                 | sent. `side` is taken for the aggressor's: the venue doesn't say whose it is           |
| quotes    | quote, ticker   | the best prices and the day's statistics, conflated to one in `frequency` ms; a frame  |
|           |                 | is complete, and becomes one of each kind                                              |

Units: sizes are lots. A ticker's `volume` is the venue's for the day, whose unit it doesn't say; `previous_close` comes
in the format Simple alone, and there is no turnover, count of trades or status. Times are milliseconds, and for trades
in Simple 100 ns; quotes without the time of their book have none. Symbols: see symbols.py.
Without `channels` it is all three.

A refresh token (`refresh_token` of the credentials) is worth an access token, which every message to the venue carries:
tokens.py. The conversation is in session.py. Limits: 10 connections, 5000 subscriptions on each; more than 5000
messages that we haven't read make the venue cut the connection. Source: alor.dev and ALOR's AsyncAPI 3.1 specification.
"""

from feedbus.venues.alor.account import Account

__all__ = ["Account"]
