# Two commands for a newcomer: `make demo` and `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq -c constraints.txt
ROOMS := src modeling_barcodemae tokenization training eval model_cards

# A strict editable install links files one by one, so the stamp carries a checksum of their names
# (and of what is to be installed): a new file is linked by the next `make`, an edit needs nothing.
# The stamp stands beside the links; without the one or the other both are made anew.
WHAT := $(shell { cat pyproject.toml constraints.txt; \
	find $(ROOMS) -type f ! -name '*.py[co]' ! -path '*.egg-info/*' | sort; } | cksum | tr ' ' -)
STAMP := build/.installed-$(WHAT)

.PHONY: setup demo test lint format clean

setup: $(STAMP)

$(VENV)/pyvenv.cfg:
	$(PYTHON) -m venv $(VENV)

$(STAMP): $(VENV)/pyvenv.cfg
	@echo "Installing into $(VENV); the first time this takes a few minutes."
	$(PIP) setuptools
	$(BIN)/python -c "import torch" 2>/dev/null || $(PIP) torch
	rm -rf build
	$(PIP) --no-build-isolation --config-settings editable_mode=strict -e ".[dev]"
	touch $@

demo: setup
	$(BIN)/barcodemae demo --out out/demo

test: lint
	$(BIN)/python -m pytest -n 2

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist out src/*.egg-info
