# Everything runs in the environment .venv. Any target makes it when it is missing or older than pyproject.toml.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH := .venv-bench
BENCH_STAMP := $(BENCH)/.installed
PARSE := .venv-parse
PARSE_STAMP := $(PARSE)/.installed
BOOKS := .venv-books
BOOKS_STAMP := $(BOOKS)/.installed
PYTHON313 ?= python3.13
PEERS := .venv-peers
PEERS_STAMP := $(PEERS)/.installed
CRYPTOFEED3_STAMP := $(PEERS)-cryptofeed3/.installed
PEERS_313_STAMPS := $(CRYPTOFEED3_STAMP) $(PEERS)-nautilus/.installed

.PHONY: demo install test test-edges bench bench-parts bench-parse bench-depth bench-books bench-peers fuzz fuzz-truth soak check format clean autobahn

demo: $(STAMP)          ## show the live table over a simulated exchange; q quits
	$(BIN)/feedbus demo

install: $(STAMP)       ## make the environment .venv

test: $(STAMP)          ## run all tests that need nothing but what pip installs
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not edge"

test-edges: $(STAMP)    ## run the tests with real processes, and with the venues' own clients (in environments of their own) against the simulators
	$(BIN)/python -m pytest -n auto --dist loadfile -m edge tests/edges

fuzz: $(STAMP)          ## run the property tests for FUZZ_SECONDS, in rounds of FUZZ_EXAMPLES fresh examples, and then the simulation of the truth
	@end=$$(( $$(date +%s) + $${FUZZ_SECONDS:-300} )); while \
		FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-200} $(BIN)/python -m pytest -m hypothesis --hypothesis-profile=fuzz \
			tests/properties tests/venues tests/schema tests/analytics tests/alerts tests/actors tests/table \
			tests/test_config.py tests/transport/test_contract_fuzz.py tests/transport/test_watch.py || exit 1; \
		[ $$(date +%s) -lt $$end ]; do :; done
	$(BIN)/python -m tests.fuzz.truth --seconds $${FUZZ_SECONDS:-300}

fuzz-truth: $(STAMP)    ## run the simulation of the truth with fresh seeds for FUZZ_SECONDS
	$(BIN)/python -m tests.fuzz.truth --seconds $${FUZZ_SECONDS:-300}

soak: $(STAMP)          ## run a service for SOAK_SECONDS, cut and stall its connections again and again, and judge memory, recovery and losses
	$(BIN)/python -m tests.soak.soak

bench: $(STAMP) $(BENCH_STAMP)  ## measure what an event costs, in turns with the hand-written rivals (docs/benchmarks.md)
	$(BIN)/feedbus bench --compare

bench-parts: $(STAMP)   ## measure what bars, book metrics, rules of alerting and trust cost, and what killing one process does to the others
	$(BIN)/python -m tests.bench.analytics
	$(BIN)/python -m tests.bench.alerting
	$(BIN)/python -m tests.bench.trust
	$(BIN)/python -m tests.bench.killed

bench-parse: $(STAMP) $(PARSE_STAMP) $(CRYPTOFEED3_STAMP)  ## measure what Binance's frames in CAPTURE=FILE.gz cost, in turns with two cryptofeeds' handlers; needs a Python 3.13 (PYTHON313=)
	$(BIN)/python -m tests.bench.parse_binance $(CAPTURE) --rival $(PARSE)/bin/python \
		--rival $(dir $(CRYPTOFEED3_STAMP))bin/python

bench-depth: $(STAMP)   ## measure what the changes of Binance's books in CAPTURE=FILE.gz cost in the whole service, part by part
	$(BIN)/python -m tests.bench.depth_service $(CAPTURE)

bench-books: $(STAMP) $(BOOKS_STAMP) $(PARSE_STAMP)  ## measure structures of order books on the changes in CAPTURE=FILE.gz (docs/books.md)
	$(BIN)/python -m tests.bench.book_structures $(CAPTURE) --others $(BOOKS)/bin/python --cryptofeed $(PARSE)/bin/python

bench-peers: $(STAMP) $(PEERS_STAMP) $(PEERS_313_STAMPS)  ## measure feedbus and other programs under the same loads, by turns; takes half an hour, and a Python 3.13 (PYTHON313=)
	$(BIN)/python -m tests.bench.peers --json bench-peers.json

check: $(STAMP)         ## run ruff, mypy --strict and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP)        ## let ruff format and fix the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

autobahn: $(STAMP)      ## test both transports with the Autobahn test suite; takes half an hour and needs a Python 2.7
	$(BIN)/python tests/autobahn/run.py

clean:
	rm -rf $(VENV) .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "feedbus needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# The rivals have environments of their own, without feedbus and its dependencies.
$(BENCH_STAMP): tests/bench/requirements.txt
$(PARSE_STAMP): tests/bench/requirements-parse.txt
$(BOOKS_STAMP): tests/bench/requirements-books.txt
$(PEERS_STAMP): tests/bench/requirements-peers.txt
$(BENCH_STAMP) $(PARSE_STAMP) $(BOOKS_STAMP) $(PEERS_STAMP):
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(PEERS_313_STAMPS): $(PEERS)-%/.installed: tests/bench/requirements-peers-%.txt
	@$(PYTHON313) -c 'import sys; sys.exit(sys.version_info < (3, 13))' \
		|| { echo "the newest cryptofeed needs Python 3.13; set PYTHON313=/path/to/python3.13"; exit 1; }
	$(PYTHON313) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
