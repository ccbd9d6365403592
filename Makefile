# make demo: the whole job on phantoms.  make test: all checks.  Each sets up what it needs by itself, in .venv.
#
# torch is installed first and nothing after it may replace it. Without a word from you pip chooses its build. For
# another one (a small one without CUDA, another CUDA version, torch 2.8 or newer for the tests) give pip's words once:
#     make TORCH_INSTALL="torch==2.13.0 --index-url ADDRESS" demo
# The choice is kept in .venv; "make clean" forgets it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
HOST_READY := $(VENV)/.host-ready
TORCH_CHOICE := $(VENV)/torch-install
TORCH_INSTALL ?= $(or $(shell cat $(TORCH_CHOICE) 2>/dev/null),torch -c constraints.txt)
PIP_INSTALL := $(BIN)/python -m pip --require-virtualenv --disable-pip-version-check install -qq
SYSTEM_PACKAGES := python3-venv
BENCHMARKS := prediction_time memory
HOST_BENCHMARKS := event_loop module_load soak kill_and_resume
DATA ?= ../shared/data/abdomen
PYTEST_ARGS ?=

.PHONY: help demo scene test lint docs screenshots benchmark clean
help:
	@echo "make demo       train, segment and evaluate on phantoms; the report is demo/report.html"
	@echo "make scene      the demo as a scene for Slicer, demo/scene.mrb; fetches the core of Slicer first"
	@echo "make test       linter and all tests; PYTEST_ARGS=\"-k words\" chooses among them"
	@echo "make lint       linter alone"
	@echo "make docs       tables of the pages in docs that say what the code says"
	@echo "make screenshots  pictures of README and tutorial in Screenshots, with the model of the demo"
	@echo "make benchmark  time of predictions, memory of trainings (DATA=FOLDER has real volumes in ct and mr), how long"
	@echo "                the modules hold the window and take to load, a simulated day of training, killed trainings"
	@echo "make clean      remove what the others made, .venv and demo too"
	@echo "For a new .venv: PYTHON=python3.12 takes another Python, TORCH_INSTALL=... another torch (see the Makefile)"

demo: $(READY)
	$(BIN)/gla demo --output demo

scene: demo $(HOST_READY)
	PYTHONPATH=GlobalLocalAlignment $(BIN)/python -m GlobalLocalAlignmentSlicerLib.samples.demoscene demo

test: lint $(HOST_READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist worksteal $(PYTEST_ARGS)

lint: $(READY)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

docs: $(READY)
	$(BIN)/python docs/write_tables.py

screenshots: demo $(HOST_READY)
	QT_QPA_PLATFORM=offscreen $(BIN)/python Screenshots/draw_screenshots.py --demo demo

benchmark: $(HOST_READY)
	@test -d "$(DATA)/ct" || { echo "$(DATA) holds no folder ct: make DATA=FOLDER benchmark" >&2; exit 1; }
	@set -e; for name in $(BENCHMARKS); do $(BIN)/python Testing/Benchmarks/$$name.py --data "$(DATA)"; done
	@set -e; for name in $(HOST_BENCHMARKS); do \
	  QT_QPA_PLATFORM=offscreen $(BIN)/python Testing/Benchmarks/$$name.py; done

clean:
	rm -rf $(VENV) demo build dist .pytest_cache .ruff_cache .hypothesis
	rm -rf *.egg-info GlobalLocalAlignment/*.egg-info
	find GlobalLocalAlignment Testing -name __pycache__ -type d -prune -exec rm -rf {} +

# the stamp comes last, so an interrupted set-up starts over
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing system packages: $(SYSTEM_PACKAGES)"; export DEBIAN_FRONTEND=noninteractive; \
	    apt-get update -qq </dev/null && apt-get install -y -qq $(SYSTEM_PACKAGES) </dev/null >/dev/null; \
	  else echo "$(PYTHON) cannot make virtual environments: install $(SYSTEM_PACKAGES)" >&2; exit 1; fi; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "Python 3.10 or newer is needed: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.prefix == sys.base_prefix)' 2>/dev/null || \
	  $(PYTHON) -m venv --clear $(VENV)
	@echo "setting up $(VENV) with $$($(BIN)/python --version), some minutes the first time"
	@echo "  pip install $(TORCH_INSTALL)"
	@$(PIP_INSTALL) $(TORCH_INSTALL)
	@echo '$(TORCH_INSTALL)' > $(TORCH_CHOICE)
	@sed '/^torch==/d' constraints.txt > $(VENV)/constraints.txt
	@$(BIN)/python -c 'from importlib.metadata import version as v; print("torch==" + v("torch"))' \
	  >> $(VENV)/constraints.txt
	@echo "  pip install -e .[test]"
	@$(PIP_INSTALL) -c $(VENV)/constraints.txt -e '.[test]'
	@touch $@

# what the modules are tested in without Slicer; its graphics libraries are looked for by loading them
HOST_PACKAGES := Testing/SlicerHost/system-packages.txt
HOST_LOADS := import ctypes; [ctypes.CDLL(name) for name in ("libEGL.so.1", "libGL.so.1")]; \
  from PySide6 import QtGui, QtWidgets
$(HOST_READY): $(READY) $(HOST_PACKAGES)
	@echo "  pip install -e .[slicer]"
	@$(PIP_INSTALL) -c $(VENV)/constraints.txt -e '.[test,slicer]'
	@$(BIN)/python -c '$(HOST_LOADS)' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing system packages of $(HOST_PACKAGES)"; export DEBIAN_FRONTEND=noninteractive; \
	    apt-get update -qq </dev/null && xargs apt-get install -y -qq < $(HOST_PACKAGES) >/dev/null; \
	  else echo "the modules' tests need graphics libraries: install those of $(HOST_PACKAGES)" >&2; exit 1; fi; }
	@$(BIN)/python -c '$(HOST_LOADS)' || { echo "graphics libraries are still missing" >&2; exit 1; }
	@touch $@
