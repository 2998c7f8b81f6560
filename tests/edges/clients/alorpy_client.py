"""AlorPy, unchanged, put through its paces.

usage: alorpy_client.py URL WEBSOCKET_URL
Runs in an environment of its own that has AlorPy. URL is where tokens and REST are; the WebSocket's has to be of TLS.
Prints one JSON line of what it saw.
"""

import json
import sys
from collections.abc import Callable
from queue import Queue
from typing import Any

from AlorPy import AlorPy

ENOUGH = 5


class Elsewhere(AlorPy):
    """AlorPy, which writes its servers' addresses into attributes, with other ones."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, SERVERS.get(name, value))


def collected(event: Any) -> Callable[[int], list[Any]]:
    queue: Queue[Any] = Queue()
    event.subscribe(queue.put)
    return lambda count: [queue.get(timeout=30) for _ in range(count)]


def main() -> None:
    provider = Elsewhere("refresh")
    seen: dict[str, Any] = {"accounts": provider.accounts, "time": provider.get_time()}
    seen["card"] = provider.get_symbol_info("MOEX", "SBER")
    seen["board"] = provider.dataname_to_alor_board_symbol("TQBR.SBER")
    seen["history"] = provider.get_history("MOEX", "SBER", 60, seen["time"] - 600)
    books, trades = collected(provider.on_change_order_book), collected(provider.on_all_trades)
    quotes = collected(provider.on_new_quotes)
    guid = provider.order_book_get_and_subscribe("MOEX", "SBER", depth=5)
    provider.all_trades_subscribe("MOEX", "CNY-12.26", depth=2)
    provider.quotes_subscribe("MOEX", "SBER", format="Slim")
    seen["books"], seen["trades"], seen["quotes"] = books(ENOUGH), trades(ENOUGH), quotes(ENOUGH)
    provider.unsubscribe(guid)
    seen["after"] = trades(ENOUGH)
    provider.close_web_socket()
    print(json.dumps(seen))


url, websocket = sys.argv[1:]
SERVERS = {"oauth_server": url, "api_server": url, "ws_server": websocket, "cws_server": websocket}
main()
