"""ALOR Broker OpenAPI v2: JSON over WebSocket at wss://api.alor.ru/ws. Pure.

| channel   | kinds published | what the venue sends                                                                   |
|-----------|-----------------|----------------------------------------------------------------------------------------|
| orderbook | book            | the full book, `depth` levels a side, conflated to one in `frequency` ms; it bears no  |
|           |                 | number, so that a lost one can't be told. An old and empty one is normal off hours     |
| alltrades | trade           | every trade, one a frame, nothing conflated; what happened while we were away is not   |
|           |                 | sent. `side` is taken for the aggressor's: the venue doesn't say whose it is           |
| quotes    | quote, ticker   | the best prices and the day's statistics, conflated to one in `frequency` ms; a frame  |
|           |                 | is complete, and becomes one of each kind                                              |
| bars_60…  | bar             | the last `history` bars, then the current one as it changes, conflated to one in       |
|           |                 | `frequency` ms; bars.py says which versions are final and complete. bars_15 to         |
|           |                 | bars_14400 (seconds), bars_D and bars_W                                                |
| instru-   | instrument      | the board and the trading status, at first and at each change; instruments.py          |
| ments     |                 |                                                                                        |

Units: sizes are lots. A ticker's `volume` is the venue's for the day, whose unit it doesn't say, and neither does it of
a bar's, which its users take for lots. `previous_close` comes in the format Simple alone, and there is no turnover,
count of trades or status. Times are milliseconds, and for trades in Simple 100 ns; bars, instruments and quotes without
the time of their book have none. Symbols: see symbols.py. Without `channels` it is the first three.

The format Heavy isn't read: it has nothing besides that an event has room for, and comes twice a second at most.

A refresh token (`refresh_token` of the credentials) is worth an access token, which every message to the venue carries:
tokens.py. The conversation is in session.py. Limits: 10 connections, 5000 subscriptions on each; more than 5000
messages that we haven't read make the venue cut the connection. Source: alor.dev and ALOR's AsyncAPI 3.1 specification.
"""

from feedbus.venues.alor.account import Account

__all__ = ["Account"]
