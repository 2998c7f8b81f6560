"""What the actor `aggregator` computes: bars, moving averages and order book metrics.

Everything in this package is pure: events and the time are arguments, derived events are return values. Nothing here
knows the bus, a clock or the log; feedbus/actors/aggregator.py supplies them.

aggregates          the whole model: it hands each event to the maker that needs it, and finds out whom a Gap concerns
options             what the configuration may set, and the counters
bar_maker           the bars and indicators of all instruments, and when each bar is closed and published
bars                one bar, and the series of bars of one instrument, period and source
day_changes         what was traded between two tickers
indicators          the moving averages
book_metrics_maker  the book metrics of all instruments, and when they are published
book_metrics        the formulas of the book metrics
decimals            differences and means of prices as plain decimal numbers
pacing              the limit on how often one thing is published
"""
