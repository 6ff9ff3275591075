# The two commands of the README. Each works alone on a fresh clone and makes its own environment in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-all lint bench-media clean

demo: .venv/demo
	$(BIN)/zoomagent demo --save runs/demo

test: .venv/dev lint
	$(BIN)/python -m pytest

test-all: .venv/dev lint
	$(BIN)/python -m pytest -m "slow or not slow"

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench-media: .venv/dev
	$(BIN)/python -m zoomagent.bench.media

.venv/demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@ .venv/demo

clean:
	rm -rf .venv build dist *.egg-info runs
