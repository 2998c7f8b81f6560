"""Autobahn's fuzzing server, on a free port. Runs under Python 2.7, in the environment that run.py makes.

Called with the folder for its reports and then the patterns of the cases to run; prints its port on a line of its own.
"""

import sys
from functools import partial

from autobahntestsuite import wstest  # type: ignore[import-not-found]  # first: it chooses twisted's reactor

factory = wstest.fuzzing.FuzzingServerFactory({"url": None, "outdir": sys.argv[1], "cases": sys.argv[2:]})
factory.createReports = partial(factory.createReports, produceHtml=False)
listener = wstest.reactor.listenTCP(0, factory, interface="127.0.0.1")
sys.stdout.write("port " + str(listener.getHost().port) + "\n")
sys.stdout.flush()
wstest.reactor.run()
