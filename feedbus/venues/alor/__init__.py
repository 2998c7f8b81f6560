from feedbus.venues.alor.account import Account

__all__ = ["Account"]
