# make demo            set everything up and reproduce the lecture
# make test            set everything up and run the tests
# make test-backends   the contract tests on JAX, PyTorch and TensorFlow; make test-torch for one of them
# make bench           measure Mixtura beside its peers
# make check           everything that must hold before a commit lands: lint, types, package, tests, backends
#
# With uv on the PATH, uv installs; without it, venv and pip do. Versions and hashes are locked in
# requirements/. PYTHON=/path/to/python3.12 chooses another interpreter, VENV=/path another environment.

VENV ?= .venv
VENVS := $(VENV) $(VENV)-torch $(VENV)-tensorflow $(VENV)-bench
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# TensorFlow has no wheels for Python 3.14 yet.
BACKENDS := jax torch $(shell $(PYTHON) -c 'import sys; sys.version_info < (3, 14) and print("tensorflow")' 2>/dev/null)
CONTRACT_TESTS := tests/families tests/layers tests/training tests/generation tests/models/test_linear.py tests/models/test_sequence.py \
	tests/models/test_mdn_rnn.py tests/models/test_sketch_js.py tests/models/test_sketch_rnn.py tests/models/test_handwriting.py tests/models/test_variational.py tests/test_losses.py \
	$(wildcard tests/test_metrics.py tests/test_scores.py tests/test_sampling.py tests/test_defects.py)
BENCHMARKS ?= benchmarks/families.py benchmarks/training.py benchmarks/generation.py

.PHONY: help demo test test-all test-backends test-jax test-torch test-tensorflow bench lint types check package lock \
	clean

help:
	@sed -n '1,5s/^# //p' Makefile

demo: $(VENV)/.core
	$(BIN)/mixtura demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

test-all: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m ""

test-backends: $(BACKENDS:%=test-%)
	@echo "The contract tests pass on: $(BACKENDS)."

test-jax: $(VENV)/.dev
test-torch: $(VENV)-torch/.torch
test-tensorflow: $(VENV)-tensorflow/.tensorflow
# One thread for each worker: on a busy machine PyTorch's threads mostly wait for each other, and spin as they wait.
# --capture=sys: what TensorFlow logs as it starts comes first, not after pytest's last line.
test-jax test-torch test-tensorflow: test-%:
	KERAS_BACKEND=$* OMP_NUM_THREADS=1 $(<D)/bin/python -m pytest -n 2 --capture=sys $(CONTRACT_TESTS)

# TensorFlow converts a model for its own interpreter, LiteRT.
bench: $(VENV)-bench/.bench $(if $(filter tensorflow,$(BACKENDS)),$(VENV)-tensorflow/.tensorflow)
	@for script in $(BENCHMARKS); do $(<D)/bin/python $$script || exit 1; done

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

check: lint types package test test-backends

$(VENVS:=/.python):
	@test -n "$(PYTHON)" || { echo "Mixtura needs Python 3.11 or newer; name one with make PYTHON=..."; exit 1; }
ifneq ($(UV),)
	$(UV) venv --quiet --allow-existing --python "$(PYTHON)" $(@D)
else
	"$(PYTHON)" -m venv $(@D)
endif
	@touch $@

ifneq ($(UV),)
pip_install = $(UV) pip install --quiet --python $(@D)/bin/python
find_links = $(addprefix --find-links ,$(shell $(PYTHON) -m pip config get global.find-links 2>/dev/null))
else
pip_install = $(@D)/bin/python -m pip install --quiet --disable-pip-version-check
endif

# $(1): the locked requirements to install beside the project itself.
define install
@echo "Installing $(1) into $(@D) ..."
@$(pip_install) --require-hashes -r $(1)
@$(pip_install) --no-deps --no-build-isolation --editable .
endef

$(VENVS:=/.core): %/.core: %/.python requirements/core.txt pyproject.toml
	$(call install,requirements/core.txt)
	@touch $@

$(VENVS:=/.dev): %/.dev: %/.core requirements/dev.txt
	$(call install,requirements/dev.txt)
	@touch $@

# Torch is pinned by version alone: its CPU build, which a machine may keep in pip's find-links and which then comes
# first, has another hash than the index's build. Without it, Linux takes the index's build, gigabytes of CUDA included.
$(VENVS:=/.torch): %/.torch: %/.dev requirements/torch.txt requirements/torch.in
	$(call install,requirements/torch.txt)
	@$(pip_install) $(find_links) -r requirements/torch.in
	@touch $@

$(VENVS:=/.bench): %/.bench: %/.torch requirements/bench.txt
	$(call install,requirements/bench.txt)
	@touch $@

# Not on top of the others: TensorFlow holds h5py back.
$(VENVS:=/.tensorflow): %/.tensorflow: %/.python requirements/tensorflow.txt pyproject.toml
	$(call install,requirements/tensorflow.txt)
	@touch $@

# Needs uv. The files hold versions and hashes for every supported platform, and no addresses. `make lock UPGRADE=`
# keeps the versions that they hold. Torch's is locked as for Windows, since its Linux build would add CUDA. The peers
# hold scikit-learn and pandas back, in their environment alone.
UPGRADE ?= --upgrade
LOCK = uv pip compile --quiet $(UPGRADE) --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--custom-compile-command "make lock"
LOCK_ALL = $(LOCK) --universal --fork-strategy fewest pyproject.toml
lock:
	$(LOCK_ALL) --group build -o requirements/core.txt
	$(LOCK_ALL) --group build --group dev -o requirements/dev.txt
	$(LOCK_ALL) --group build --group dev requirements/tensorflow.in -o requirements/tensorflow.txt
	$(LOCK_ALL) --extra bench --excludes requirements/torch.in -o requirements/bench.txt
	$(LOCK) --python-platform windows requirements/torch.in --no-emit-package torch -c requirements/dev.txt \
		-o requirements/torch.txt

clean:
	rm -rf $(VENVS) dist .hypothesis .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
