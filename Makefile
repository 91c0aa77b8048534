# Everything runs in .venv, which `setup` makes; VENV=DIR takes another environment as it is.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
ARGS ?=

# another environment is not ours to change; a missing one is made whatever the stamp says
READY = $(if $(filter .venv,$(VENV)),.make/setup)
AGAIN = $(if $(wildcard .venv/bin/python),,anew)
PIP = .venv/bin/python -m pip --quiet --quiet --disable-pip-version-check install --no-compile
PINS = --constraint tests/constraints.txt
SUITE = npx --yes --package node@22.23.3 --package @modelcontextprotocol/conformance@0.2.0-alpha.12 conformance

.PHONY: help setup run check test lowest conformance bench bundle clean anew

help: ## list what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## install everything into .venv (done by itself where needed)

run: $(READY) ## the demo: a real server remembers, and is asked
	@$(BIN)/python examples/demo.py $(ARGS)

check: $(READY) ## lint, formatting, types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

test: $(READY) ## all tests, a process for each core; ARGS="-k recall" for some
	@HF_HUB_OFFLINE=1 $(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile $(ARGS)

lowest: ## all tests with the oldest packages that pyproject.toml allows, but for torch
	@$(PYTHON) -m venv --clear .make/lowest
	@.make/lowest/bin/python -m pip --quiet --quiet --disable-pip-version-check install $(PINS) torch uv
	@.make/lowest/bin/uv pip install --quiet --python .make/lowest --resolution lowest-direct --editable ".[local,dev]"
	@$(MAKE) test VENV=.make/lowest

conformance: $(READY) ## the official MCP conformance suite against a real server; needs npx and the network
	@HF_HUB_OFFLINE=1 MEMORY_MCP_TEST_CONFORMANCE="$(SUITE)" $(BIN)/python -m pytest tests/http/test_http_conformance.py $(ARGS)

bench: $(READY) ## measure speed and quality
	@HF_HUB_OFFLINE=1 $(BIN)/python -m tests.benchmarks $(ARGS)

bundle: $(READY) ## the bundle for Claude Desktop and the registry's entry, into dist
	@$(BIN)/python examples/bundle/build.py $(ARGS)

clean: ## remove .venv and everything else that was made here
	rm -rf .venv .make build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find memory_mcp tests examples -name __pycache__ -type d -prune -exec rm -rf {} +

anew:

.make/setup: pyproject.toml tests/constraints.txt $(AGAIN)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or later is needed: make PYTHON=python3.11 ...")'
	@echo "Setting up .venv, once; this takes some minutes."
	@$(PYTHON) -m venv .venv
	@$(PIP) --upgrade pip
	@# torch by itself first: a build for the CPU that is at hand is taken then, and not gigabytes for GPUs
	@$(PIP) $(PINS) torch
	@$(PIP) $(PINS) --editable ".[local,dev]"
	@# compiled here, by all cores at once; some packages bring files that are no Python of this version, which only says so
	@.venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
	@.venv/bin/python -m compileall -q memory_mcp
	@mkdir -p .make && touch $@
