# Targets are told by `make`; each is a line or two that can be typed by hand as well.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.SUFFIXES:

# uv of the PATH, else one of our own in .uv/.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .uv/bin/uv)
RUN := $(UV) run --locked --all-groups

# Tests start hundreds of processes: each would compile the project anew where this is set.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help
help:  ## print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup:  ## get uv, the Python packages, Java, Maven and the real parts, where missing
	@deploy/setup

.PHONY: demo
demo: setup  ## a realistic day through real Kafka to CSV drops, in some minutes
	@$(RUN) python -m deploy.demo

.PHONY: test
test: setup  ## all tests, with real servers; those without run beside them
	$(RUN) pytest -n 2 --dist loadgroup

.PHONY: test-fast
test-fast: setup-python  ## unit and property tests: no servers
	$(RUN) pytest tests/unit tests/properties

.PHONY: soak
soak: setup  ## the fault tests, long, a year of nights, ten minutes of fuzz, and two gigabytes of text
	$(RUN) pytest --soak tests/faults tests/properties/test_nights.py tests/properties/test_fuzz.py tests/unit/closing/test_wide_rows.py

.PHONY: bench
bench: setup  ## measure against stock Faust, Quix Streams and Bytewax
	$(RUN) python -m benchmarks

.PHONY: example-cdnow
example-cdnow: setup  ## real purchases of 23,570 customers, a drop a month
	@$(RUN) python -m examples.cdnow

.PHONY: reference
reference: setup-python  ## make the tables of docs/exports.md, docs/json.md and the JSON Schemas from the declarations
	@$(RUN) python -m deploy.reference

.PHONY: format
format: setup-python  ## rewrite the code in the project's format
	$(RUN) ruff check --fix-only --quiet .
	$(RUN) ruff format .

.PHONY: lint
lint: setup-python  ## format, rules, and who may import whom
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) lint-imports

.PHONY: types
types: setup-python  ## mypy, strict
	$(RUN) mypy

.PHONY: clean
clean:  ## remove what runs, tests and builds left in the checkout
	rm -rf var build dist *-data .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -not -path './.uv/*' -prune -exec rm -rf {} +

.PHONY: setup-python
setup-python:
	@deploy/setup python
