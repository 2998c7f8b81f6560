from feedbus.venues.moex.session import Account

__all__ = ["Account"]
