# `make test` and `make demo` do their own set-up: they need Python >= 3.11 with pip and venv.
#
#   make demo PYTHON=/path/to/python3.12     choose the interpreter
#   make demo PIP_ARGS="--index-url URL"     extra options for pip, e.g. another index

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# One place for the pins. The lowest versions, whose code warns of what is deprecated since:
#   make pytest CONSTRAINTS=constraints-lowest.txt TORCH=torch PYTEST_ARGS="-W ignore::DeprecationWarning"
CONSTRAINTS ?= constraints.txt
TORCH ?= torch==2.13.0

PYTHON ?=
PIP_ARGS ?=
PYTEST_ARGS ?=
SHARED ?= ../shared/data
ARTPOP ?= $(VENV)/artpop

CANDIDATES := $(or $(PYTHON),python3.11 python3.12 python3.13 python3 python)
IS_SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PIP_INSTALL := PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 \
	$(BIN)/python -m pip install --quiet --quiet --no-input $(PIP_ARGS) -c $(CONSTRAINTS)

.DEFAULT_GOAL := help
.PHONY: help setup demo test pytest quick faults lint format docs examples dist benchmarks figures clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP)  ## create .venv and install the package with its pinned dependencies

# Quick when nothing changed. The environment is made anew where its interpreter no longer works.
$(STAMP): pyproject.toml $(CONSTRAINTS)
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    chosen=; \
	    for candidate in $(CANDIDATES); do \
	        if "$$candidate" -c '$(IS_SUITABLE)' >/dev/null 2>&1; then chosen="$$candidate"; break; fi; \
	    done; \
	    if [ -z "$$chosen" ]; then \
	        echo "No suitable Python among: $(CANDIDATES)." >&2; \
	        echo "Praesepe needs Python 3.11 or later with the modules venv and ensurepip" >&2; \
	        echo "(on Debian and Ubuntu: the package python3-venv). Install one, or name it:" >&2; \
	        echo "    make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.11" >&2; \
	        exit 1; \
	    fi; \
	    echo "Creating $(VENV) with $$("$$chosen" --version)"; \
	    "$$chosen" -m venv --clear $(VENV); \
	fi
	@echo "Installing $(TORCH) (a large download the first time)"
	@$(PIP_INSTALL) $(TORCH)
	@echo "Installing praesepe and its dependencies"
	@$(PIP_INSTALL) -e '.[all,test]'
	@touch $@

constraints-lowest.txt: pyproject.toml
	$(BIN)/python tools/lowest_versions.py > $@ 2>/dev/null || \
	    $(or $(PYTHON),python3) tools/lowest_versions.py > $@

$(VENV)/.docs: $(STAMP)
	@$(PIP_INSTALL) -e '.[docs]'
	@touch $@

demo: $(STAMP)  ## measure mock clusters with the shipped model: table and figure in demo/
	$(BIN)/praesepe demo --out demo --overwrite

test: lint pytest  ## lint, types and all tests (PYTEST_ARGS: options for pytest)

pytest: $(STAMP)  ## all tests, on two cores; prints the slowest
	$(BIN)/python -m pytest -n 2 --durations 15 $(PYTEST_ARGS)

quick: lint  ## as `make test`, without the tests marked slow
	$(BIN)/python -m pytest -n 2 --durations 15 -m "not slow" $(PYTEST_ARGS)

faults: $(STAMP)  ## full disks and kills for every command, 600 damaged files: nightly, before a release
	PRAESEPE_FAULTS=all $(BIN)/python -m pytest tests/faults/test_disks.py tests/faults/test_kills.py
	$(BIN)/python tests/faults/fuzz.py --number 600 --minutes 60

lint: $(STAMP)  ## ruff, the layers of the architecture, mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(STAMP)  ## let ruff rewrite the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.docs  ## the documentation site: docs/_build/html/index.html
	rm -rf docs/api
	$(BIN)/sphinx-build -M html docs docs/_build --fail-on-warning --keep-going --quiet
	@echo "docs/_build/html/index.html"

examples: $(STAMP)  ## run every script of examples/ in a scratch folder
	$(BIN)/python -m pytest -m "slow or not slow" tests/e2e/test_examples.py $(PYTEST_ARGS)

dist: $(STAMP)  ## build wheel and sdist, and try the wheel in an empty environment: dist/
	rm -rf build dist
	$(BIN)/python -m build --no-isolation --outdir dist . >/dev/null
	$(BIN)/python tools/try_wheel.py dist --constraints $(CONSTRAINTS) --torch $(TORCH) \
	    $(if $(PIP_ARGS),--pip-args="$(PIP_ARGS)")

benchmarks: $(STAMP)  ## renderer against GalSim and ArtPop, cost by mass, clusters measured per second
	$(BIN)/python benchmarks/renderer.py --threads 2
	$(BIN)/python benchmarks/predict.py
	$(BIN)/python benchmarks/cost_by_mass.py --out docs/figures/cost_by_mass.png
	test -x $(ARTPOP)/bin/python || $(BIN)/python -m venv $(ARTPOP)
	$(ARTPOP)/bin/python -m pip install --quiet $(PIP_ARGS) artpop==0.1.2 'numpy<2' 'setuptools<80'
	$(BIN)/python benchmarks/against_artpop.py --artpop-python $(ARTPOP)/bin/python

figures: $(STAMP)  ## PSFs, stellar model and whole clusters against published data (SHARED=folder)
	$(BIN)/python benchmarks/psf_curves.py $(SHARED)/psf docs/figures/psf_curves.png
	$(BIN)/python benchmarks/compare_parsec.py \
	    $(SHARED)/isochrones/parsec_v1.2S_wfc3_Z0.019.dat --out docs/figures/parsec_comparison.png
	$(BIN)/python benchmarks/phat_catalog.py $(SHARED) --out docs/figures/phat_catalog.png

clean:  ## remove the environment and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist docs/_build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
