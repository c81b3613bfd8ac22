# Two commands for a newcomer: `make demo` and `make test`. Each sets up what it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ROOMS := src/barcodemae src/barcodemae/cli modeling_barcodemae tokenization training eval model_cards

.PHONY: setup demo test lint format clean

setup: $(VENV)/.installed

# The rooms are prerequisites because a strict editable install links files one by one:
# a directory's time stamp moves when a file appears in it, and the links are made anew.
$(VENV)/.installed: pyproject.toml constraints.txt $(ROOMS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -c "import torch" 2>/dev/null || $(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet -c constraints.txt -C editable_mode=strict -e ".[dev]"
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
	rm -rf $(VENV) build dist out *.egg-info src/*.egg-info
