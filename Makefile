# One-line targets; `make help` lists them. Everything runs in .venv; a target installs what it needs there, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PINS := pyproject.toml constraints.txt
PIP := $(BIN)/pip install --quiet --constraint constraints.txt --editable

# a stamp file per set of packages: to train, to show the demo, and all tools
TRAIN := $(VENV)/.installed-train
DEMO := $(VENV)/.installed-demo
READY := $(VENV)/.installed

.PHONY: help install train test test-all lint format check docs notebooks bench demo clean

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

install: $(READY) ## make .venv with the project and all its tools; done once

$(BIN)/pip:
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		(echo "polymodal needs Python 3.11 to 3.13: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1)
	$(PYTHON) -m venv $(VENV)

$(TRAIN): $(PINS) | $(BIN)/pip
	$(PIP) .
	touch $(TRAIN)

$(DEMO): $(PINS) | $(BIN)/pip
	$(PIP) '.[demo]'
	touch $(TRAIN) $(DEMO)

$(READY): $(PINS) | $(BIN)/pip
	$(PIP) '.[dev]'
	touch $(TRAIN) $(DEMO) $(READY)

train: $(TRAIN) ## train and evaluate experiment=clip_small; ARGS="..." adds to the command
	$(BIN)/python src/train.py experiment=clip_small $(ARGS)

test: $(READY) ## the fast tests, one real run among them, in a process a core
	$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 8 --dist worksteal --hypothesis-profile=ci $(ARGS)

test-all: $(READY) ## all tests
	$(BIN)/python -m pytest $(ARGS)

lint: $(READY) ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## put the code into its style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check: $(READY) ## compose and check every experiment with every debug mode
	$(BIN)/python src/train.py check=true

docs: $(READY) ## the documentation, in build/docs/index.html
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -d build/doctrees docs build/docs

notebooks: $(READY) ## run the notebooks and store them with their outputs
	$(BIN)/python scripts/store_notebooks.py

bench: $(READY) ## measure speed side by side with references
	$(BIN)/python scripts/benchmark/training.py
	$(BIN)/python scripts/benchmark/start.py
	$(BIN)/python scripts/benchmark/fusions.py
	$(BIN)/python scripts/benchmark/losses.py
	$(BIN)/python scripts/benchmark/data.py
	$(BIN)/python scripts/benchmark/manifest.py
	$(BIN)/python scripts/benchmark/accumulate.py
	$(BIN)/python scripts/benchmark/retrieval.py
	$(BIN)/python scripts/benchmark/open_clip_training.py
	$(BIN)/python scripts/benchmark/processes.py
	$(BIN)/python scripts/benchmark/embed.py
	$(BIN)/python scripts/benchmark/search.py

demo: $(DEMO) ## a page with the model of the last run; ARGS="checkpoint=<run folder>" shows another
	$(BIN)/python src/demo.py $(ARGS)

clean: ## remove what can be made again, but no run and no environment
	rm -rf .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
