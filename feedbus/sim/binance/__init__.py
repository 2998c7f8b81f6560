"""The simulated Binance."""
