# Two commands: `make` shows everything, `make test` tests everything. Both set themselves up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed
RELEASED := course/release/.made
STEP := $(PYTHON) tools/step
BEGUN := $(shell date +%s)
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: all again install release live book samples grade test test-fast selftest bench lint format lab lock pictures clean help

all: install book samples ## everything a first-time user wants to see
	@echo "Book and assignments stand after $$(( $$(date +%s) - $(BEGUN) )) s; now the samples are graded"
	@$(BIN)/python -m autograder.tour

install: $(READY) ## the virtual environment with the locked dependencies

$(READY): requirements.lock pyproject.toml autograder/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; try: make PYTHON=python3.12")'
	@$(STEP) "Installing the locked dependencies into $(VENV) (two minutes the first time)" $(VENV)/install.log \
	  sh -ec 'test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV); \
	    $(BIN)/pip install --disable-pip-version-check --no-compile -r requirements.lock; \
	    $(BIN)/pip install --disable-pip-version-check --no-build-isolation --no-deps -e . -e ./autograder; \
	    $(BIN)/python -m compileall -qq -j 0 -x "/tests?/" $(VENV)/lib || true' # pip compiles on one core alone
	@touch $@

release: install ## student notebooks from solutions/, checked, and a zip for each
	$(BIN)/autograder release
	@touch $(RELEASED)

$(RELEASED): $(READY) course.toml nbgrader_config.py $(shell find solutions ebmkit autograder -name '*.py') \
  $(if $(wildcard dist/assignments/*.zip),,again)
	$(BIN)/autograder release --unchecked # `make test` looks at more than `autograder check` does
	@touch $@

live: install ## Python for the exercises in the pages, from npm where npm is there
	@$(BIN)/python book/live/fetch.py

book: $(RELEASED) live ## the book, into _build/html
	@EBM_REQUIRE_DOWNLOADS=1 OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1 $(STEP) \
	  "Building the book (three minutes on two cores, seconds when nothing changed)" _build/book.log \
	  $(BIN)/jupyter-book build . -W -n --keep-going

samples: $(RELEASED) ## a small class of sample submissions
	$(BIN)/autograder samples ising

grade: samples ## grade the samples in the sandbox
	$(BIN)/autograder grade ising

test: book ## every test
	$(BIN)/python -m pytest -n 2 --dist loadgroup

test-fast: install ## the tests that take under two minutes together
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow and not browser"

selftest: install ## every exercise on 200 seeds: right code must pass, every mistake must fail and be named
	EBM_SEEDS=200 $(BIN)/python -m pytest -n 2 tests/autograder/checks/test_every_assignment.py -k every_seed

bench: install ## speed and memory beside the peers', which get an environment of their own
	$(BIN)/python benchmarks/peers

lint: install ## formatting, lint, types and spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python -m pytest -q -n 0 tests/book/test_pages.py::test_the_code_of_every_page_passes_the_linter

format: install ## rewrite files in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lab: install ## JupyterLab on the course, with nbgrader
	$(BIN)/jupyter lab

pictures: ## the README's pictures, from what `make` made; needs Chromium and its driver
	@$(BIN)/python tools/pictures

lock: ## renew requirements.lock from the newest versions that the oldest promised Python can use
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install -q uv
	printf '%s\n' '-e .[fast,data,figures]' '-e ./autograder[cluster,postgresql]' hatchling editables torch==2.13.0 | \
	  .venv-lock/bin/uv pip compile - --quiet --no-header --no-annotate --universal --python-version 3.11.0 \
	  --group book --group test --group lint --no-emit-package ebm-course --no-emit-package ebm-course-autograder \
	  -o .venv-lock/resolved
	(echo "# Exact versions of everything the course needs, on every system; renewed by 'make lock'."; \
	 grep -vE '^(cuda-|nvidia-|triton)' .venv-lock/resolved) > requirements.lock
	rm -rf .venv-lock

clean: ## what can be rebuilt; never course/submitted or the gradebook
	rm -rf _build dist build course/source course/release course/checked course/autograded course/feedback course/results course/reports
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12
