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
DOCS_STAMP := build/.docs-$(WHAT)
NOTEBOOKS_STAMP := build/.notebooks-$(WHAT)
# The Space's libraries want other releases than ours, so they live in an environment that looks
# into the project's and shadows what differs.
BROWSER_VENV := $(VENV)-browser
BROWSER_STAMP := $(BROWSER_VENV)/.installed

.PHONY: setup demo reproduce test test-browser test-notebooks matrix docs lint format clean

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

# On all cores, up to four, as each worker takes two GB; neighbours in a file go to one worker, which
# makes their fixtures once. Then once more what depends on the processor, as on one that has nothing
# beyond AVX2.
PYTEST := $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist worksteal
test: lint
	$(PYTEST)
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 $(PYTEST) -m number_format

# The bundled model's making, scaled down: train, probe beside what it begins as, the site embeddings
# alone, and k-mer counts. On simulated barcodes, or on yours: make reproduce DATA=DIR STEPS=2500
DATA ?= out/reproduce/data
STEPS ?= 300
REPRODUCED := out/reproduce
reproduce: setup
	[ -d $(DATA) ] || $(BIN)/barcodemae prepare simulate --out $(DATA)
	$(BIN)/accelerate launch training/pretrain.py --preset compact --data $(DATA) \
		--train-splits pretrain,train --output $(REPRODUCED)/model --max-steps $(STEPS) --resume
	$(BIN)/accelerate launch training/pretrain.py --preset compact --data $(DATA) \
		--train-splits pretrain,train --output $(REPRODUCED)/barely --max-steps 1 --resume
	$(BIN)/barcodemae probe --data $(DATA) --model trained=$(REPRODUCED)/model/encoder \
		--model one-step=$(REPRODUCED)/barely/encoder --model kmer:6 --json $(REPRODUCED)/results.json
	$(BIN)/barcodemae leaderboard $(REPRODUCED)/results.json

# The Space and the static page in headless Chromium; screenshots go to out/screenshots.
test-browser: $(BROWSER_STAMP)
	$(BROWSER_VENV)/bin/python -m pytest tests/browser

$(BROWSER_STAMP): $(STAMP)
	command -v chromedriver || { apt-get update -qq && apt-get install -y chromium chromium-driver; }
	command -v npm || { apt-get update -qq && apt-get install -y npm; }
	$(PYTHON) -m venv $(BROWSER_VENV)
	$(BIN)/python -c "import site; print(f'import site; site.addsitedir({site.getsitepackages()[0]!r})')" \
		> $$($(BROWSER_VENV)/bin/python -c "import site; print(site.getsitepackages()[0])")/project.pth
	$(BROWSER_VENV)/bin/python -m pip install -qq "gradio>=6" "selenium>=4.20"
	touch $@

# What a user without the package does, with the lowest and the newest supported releases, each in
# an environment of its own below out/matrix; writes docs/compatibility.md.
matrix: setup
	$(BIN)/python tests/matrix/run.py --work out/matrix --page docs/compatibility.md

# The notebooks, from top to bottom; results are not stored in them.
test-notebooks: $(NOTEBOOKS_STAMP)
	$(BIN)/python -m pytest tests/notebooks

$(NOTEBOOKS_STAMP): $(STAMP)
	$(PIP) --no-build-isolation --config-settings editable_mode=strict -e ".[dev,notebooks]"
	touch $@

docs: $(DOCS_STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

$(DOCS_STAMP): $(STAMP)
	$(PIP) --no-build-isolation --config-settings editable_mode=strict -e ".[dev,docs]"
	touch $@

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(BROWSER_VENV) build dist out src/*.egg-info
