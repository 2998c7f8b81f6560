# Everything runs in .venv, which any target makes when it is missing or older than pyproject.toml.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH := .venv-bench
BENCH_STAMP := $(BENCH)/.installed
PARSE := .venv-parse
PARSE_STAMP := $(PARSE)/.installed

.PHONY: demo install test test-edges bench bench-parts bench-parse fuzz soak check format clean autobahn

demo: $(STAMP)          ## the live table over a simulated exchange; q quits
	$(BIN)/feedbus demo

install: $(STAMP)       ## make the environment

test: $(STAMP)          ## the tests that need pip alone
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not edge"

test-edges: $(STAMP)    ## real processes, and the venues' own clients against the simulators, each in an environment of its own
	$(BIN)/python -m pytest -n auto --dist loadfile -m edge tests/edges

fuzz: $(STAMP)          ## the properties with fresh examples, round by round for FUZZ_SECONDS, FUZZ_EXAMPLES in each
	@end=$$(( $$(date +%s) + $${FUZZ_SECONDS:-300} )); while \
		FUZZ_EXAMPLES=$${FUZZ_EXAMPLES:-200} $(BIN)/python -m pytest -m hypothesis --hypothesis-profile=fuzz \
			tests/properties tests/venues tests/schema tests/analytics tests/alerts tests/actors tests/table \
			tests/test_config.py tests/transport/test_contract_fuzz.py tests/transport/test_watch.py || exit 1; \
		[ $$(date +%s) -lt $$end ]; do :; done

soak: $(STAMP)          ## a service, cut and stalled again and again for SOAK_SECONDS; judges memory, recovery, balance
	$(BIN)/python -m tests.soak.soak

bench: $(STAMP) $(BENCH_STAMP)  ## what an event costs, by turns with the hand-written rivals (docs/benchmarks.md)
	$(BIN)/feedbus bench --compare

bench-parts: $(STAMP)   ## what bars and book metrics cost, and what killing a process does to the others
	$(BIN)/python -m tests.bench.analytics
	$(BIN)/python -m tests.bench.killed

bench-parse: $(STAMP) $(PARSE_STAMP)  ## CAPTURE=FILE.gz: what Binance's frames cost, by turns with cryptofeed's handler
	$(BIN)/python -m tests.bench.parse_binance $(CAPTURE) --rival $(PARSE)/bin/python

check: $(STAMP)         ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

autobahn: $(STAMP)      ## the Autobahn test suite judges both transports; half an hour, needs a Python 2.7
	$(BIN)/python tests/autobahn/run.py

clean:
	rm -rf $(VENV) .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "feedbus needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# The rivals' own: nothing of it is feedbus's.
$(BENCH_STAMP): tests/bench/requirements.txt
$(PARSE_STAMP): tests/bench/requirements-parse.txt
$(BENCH_STAMP) $(PARSE_STAMP):
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
