# Both commands do all their own set-up, into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check docs bench bench-full constraints clean

demo: .venv/demo  ## index a small simulated archive and search it
	$(BIN)/cxrdex demo

test: .venv/test check  ## all checks and tests
	$(BIN)/python -m pytest

check: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/test  ## write the generated parts of docs/ anew
	$(BIN)/python -m cli.reference

bench: .venv/test  ## every benchmark at a small size, in minutes; results in build/benchmarks
	$(BIN)/python -m benchmarks.all

bench-full: .venv/test  ## every figure of docs/performance.md, in hours
	$(BIN)/python -m benchmarks.all --full

constraints: .venv/test  ## pin the newest versions that fit
	$(BIN)/uv pip compile pyproject.toml --universal --all-extras --upgrade --quiet \
		--no-annotate --output-file constraints.txt

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/demo: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[demo]'
	@touch $@

.venv/test: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[test]'
	@touch $@ .venv/demo

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
