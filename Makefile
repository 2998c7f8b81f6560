# Everything runs in .venv, which any target makes when it is missing or older than pyproject.toml.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo install test test-edges check format clean

demo: $(STAMP)          ## the live table over a simulated exchange; q quits
	$(BIN)/feedbus demo

install: $(STAMP)       ## make the environment

test: $(STAMP)          ## the tests that need pip alone
	$(BIN)/python -m pytest -m "not edge"

test-edges: $(STAMP)    ## the venues' own clients against the simulators, each in an environment of its own
	$(BIN)/python -m pytest -m edge tests/edges

check: $(STAMP)         ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "feedbus needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
