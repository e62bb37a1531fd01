# Both commands do all their own set-up, into .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Tests that take no model, no server and no run: what a change of a few lines breaks first.
QUICK := tests/archive tests/datasets tests/search/language tests/search/hybrid/test_fusion.py \
	tests/search/test_highlights.py tests/words tests/test_annotation.py tests/test_docs.py tests/test_house.py
# Those among them that do, or that decode large films: `make test` runs them.
QUICK += --ignore=tests/archive/test_reduced.py --ignore=tests/archive/test_privacy.py \
	--ignore=tests/archive/test_privacy_left_out.py --ignore=tests/archive/test_damaged_sources.py \
	--ignore=tests/words/test_sentences.py --ignore=tests/archive/remote --ignore=tests/datasets/test_collections.py \
	--deselect=tests/search/language/test_denials.py::test_no_word_finds_a_report_that_only_denies_it \
	--deselect=tests/test_house.py::test_a_word_search_imports_no_torch

.PHONY: help demo test quick check docs site bench bench-full constraints clean

help:  ## list these
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

demo: .venv/demo  ## index a small simulated archive and search it, in build/demo
	$(BIN)/cxrdex demo --folder build/demo

# Two at a time, a file's tests together: much of a test is waiting for a server, a browser, a process.
# One thread each, or those of both wait for each other; and code is compiled once, not by each process that a test starts.
test: .venv/test check  ## all checks and tests
	OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

quick: .venv/test  ## style and the tests that take no model and no server, in a minute or two
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile $(QUICK)

check: .venv/test  ## style, types and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/test  ## write the generated parts of docs/ anew
	$(BIN)/python -m cli.reference
	$(BIN)/python -m docs.architecture
	$(BIN)/python -m docs.scaling

site: .venv/test  ## the documents as a site that is read from the disk, in build/site
	$(BIN)/python -m mkdocs build --strict --quiet

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
	$(INSTALL) --editable '.[demo,web]'
	@touch $@

.venv/test: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[test]'
	@touch $@ .venv/demo

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
