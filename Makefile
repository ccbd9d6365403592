# make demo: the whole job on phantoms.  make test: all checks.  Both set everything up by themselves.
# Another build of torch: make TORCH="torch --index-url ADDRESS" demo

PYTHON ?= python3
# the build for processors on a machine without an NVIDIA GPU; the pinned version is in constraints.txt
TORCH ?= torch
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SYSTEM_PACKAGES := python3-venv
PYTEST_ARGS ?=

.PHONY: help demo test lint benchmark clean
help:
	@echo "make demo       train, segment and evaluate on phantoms; the report is demo/report.html"
	@echo "make test       linter and all tests"
	@echo "make lint       linter alone"
	@echo "make benchmark  measurements of memory and of the way around the networks"
	@echo "make clean      remove what the others made"

demo: $(READY)
	$(BIN)/gla demo --output demo

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 $(PYTEST_ARGS)

benchmark: $(READY)
	$(BIN)/python Testing/Benchmarks/memory.py
	$(BIN)/python Testing/Benchmarks/prediction_time.py

clean:
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .ruff_cache

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq $(SYSTEM_PACKAGES); \
	  else echo "install these system packages first: $(SYSTEM_PACKAGES)"; exit 1; fi; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV), this takes some minutes the first time"
	@# torch first and alone, so that nothing after it chooses another build
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt $(TORCH)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@
