from feedbus.venues.binance.session import Account

__all__ = ["Account"]
