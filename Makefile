# Needs Python 3.11 or newer and a package index; nothing else. PYTHON=… picks another interpreter.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo test check bench image-test pins clean
.DEFAULT_GOAL := help

help:  ## Show what there is
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## Make .venv from the hashed pins (quick when it is up to date)
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not on PATH; install Python 3.11 or newer, or name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is $$($(PYTHON) --version 2>&1), 3.11 or newer is needed; name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) tests/setup.py

demo: setup  ## See the whole path with real processes (ONCE=1 ends by itself)
	@ONCE=$(ONCE) $(BIN)/python -m tests.demo

test: setup  ## Run the suite
	@$(BIN)/python -m pytest -n 4 --dist loadfile $(ARGS)

check: setup  ## Lint, types, import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup  ## Measure (FULL=1: a ledger of 1 000 000 records)
	@FULL=$(FULL) $(BIN)/python -m tests.bench

image-test: setup  ## Build and run the image (Linux, root, buildah and podman)
	@$(BIN)/python -m tests.image

pins:  ## Renew the hashed pins (needs uv)
	uv lock --upgrade
	uv export -q --frozen --format requirements-txt --no-emit-project --no-header --no-annotate --no-dev --group build -o requirements.txt >/dev/null
	uv export -q --frozen --format requirements-txt --no-emit-project --no-header --no-annotate --no-dev --group build --all-extras -o requirements-extras.txt >/dev/null
	uv export -q --frozen --format requirements-txt --no-emit-project --no-header --no-annotate --all-groups --all-extras -o requirements-dev.txt >/dev/null

clean:  ## Remove what make made
	rm -rf .venv .demo .bench .image .hypothesis .mypy_cache .ruff_cache .import_linter_cache *.egg-info build
