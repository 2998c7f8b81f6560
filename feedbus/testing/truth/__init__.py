"""Whether every price that the bus calls live is the venue's own: a simulation of everything, with faults.

A whole feed runs on the virtual clock against a simulated venue, over connections in memory, and its messages go over
the bus in memory to a reader that knows nothing else. Faults come by a schedule that a seed makes. The market of the
simulated venue is the truth: an oracle compares what the reader is told with it at each instant, for every instrument
and topic word, and counts what isn't true. The same seed gives the same run, byte for byte.

    outcome = run(random_schedule(seed))
    assert not outcome.failures, outcome.report()

`oracle.py` has the rule of what is true; `faults.py` the faults; `network.py` carries them out between the venue and
the feed; `moex.py`, `alor.py` and `binance.py` say how a venue speaks and what its market is; `reader.py` reads the
bus; `world.py` puts all of it together.
"""
