"""MOEX ISS+ ("infocx"): STOMP over WebSocket at wss://iss.moex.com/infocx/v3/websocket. Pure.

| channel     | kinds published | what the venue sends                                                             |
|-------------|-----------------|----------------------------------------------------------------------------------|
| orderbooks  | book            | the full book (10 + 10 levels), conflated by the venue to about 4 a second       |
| securities  | ticker          | a snapshot, then the changed cells; `status` is TRADINGSTATUS (T trading, N not) |
| candles.M1  | bar, 60 s       | 256 candles, then about every 5 s the current one; see candles.py for what       |
| candles.M10 | bar, 600 s      | becomes of them. `volume` is VOLUME, in securities (not lots), `turnover` is     |
| candles.H1  | bar, 3600 s     | VALUE, in the settlement currency                                                |
| candles.D1  | bar, 86400 s    |                                                                                  |

Units: sizes in books are lots; a ticker's `volume` is VOLTODAY, in securities (not lots), its `turnover` VALTODAY, in
the settlement currency. Symbols: see symbols.py. Without `channels` it is orderbooks and securities.

The conversation: CONNECT, CONNECTED (with a catalogue of ~104 KB), then a SUBSCRIBE per channel and symbol, each
answered by RECEIPT or ERROR, and MESSAGEs that are routed by their `subscription` header alone. Source of the rules:
https://moexalgo.github.io (docs/websocket) and the official client `moexalgo`.
"""

from feedbus.venues.moex.account import Account

__all__ = ["Account"]
