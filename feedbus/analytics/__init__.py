"""What the aggregator works out: bars, indicators and book metrics. Pure."""
