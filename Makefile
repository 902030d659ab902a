# make demo    set everything up and reproduce the lecture
# make test    set everything up and run the tests
#
# With uv on the PATH, uv installs; without it, venv and pip do. Versions and hashes are locked in
# requirements/. PYTHON=/path/to/python3.12 chooses another interpreter, VENV=/path another environment.

VENV ?= .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: help demo test test-all lint types check package lock clean

help:
	@sed -n '1,2s/^# //p' Makefile
	@echo "make check   everything that must hold before a commit lands: lint, types, tests, package"

demo: $(VENV)/.core
	$(BIN)/mixtura demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2

test-all: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 -m ""

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

# The wheel and the source distribution build, and the wheel carries the command.
package: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m zipfile -l dist/*.whl | grep -q entry_points.txt

check: lint types package test

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "Mixtura needs Python 3.11 or newer; name one with make PYTHON=..."; exit 1; }
ifneq ($(UV),)
	$(UV) venv --quiet --allow-existing --python "$(PYTHON)" $(VENV)
else
	"$(PYTHON)" -m venv $(VENV)
endif
	@touch $@

# $(1): the locked requirements to install beside the project itself.
ifneq ($(UV),)
install = $(UV) pip install --quiet --python $(BIN)/python --require-hashes -r $(1) && \
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
else
install = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1) && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
endif

$(VENV)/.core: $(VENV)/.python requirements/core.txt pyproject.toml
	@echo "Installing the locked requirements into $(VENV) ..."
	@$(call install,requirements/core.txt)
	@touch $@

$(VENV)/.dev: $(VENV)/.core requirements/dev.txt
	@echo "Installing the locked development requirements into $(VENV) ..."
	@$(call install,requirements/dev.txt)
	@touch $@

# Needs uv. The files hold versions and hashes for every supported platform, and no addresses.
LOCK = uv pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --custom-compile-command "make lock" pyproject.toml
lock:
	$(LOCK) --group build -o requirements/core.txt
	$(LOCK) --group build --group dev -o requirements/dev.txt

clean:
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
