# Two virtual environments: .venv holds what playing needs, .venv-dev the training stack and the
# tools beside it. Each is made again only when pyproject.toml or constraints.txt changed.

PYTHON ?= python3
CONFIG ?= config.yaml
MODEL ?= models/medium
CHECKPOINT ?= runs/default/best.pt
HOURS ?= 1
WORKERS ?= 2
LISTENERS ?= $(WORKERS)
ARGS ?=

VENV := .venv
DEV := .venv-dev
ALSA_VM := build/alsa-vm
FIGURES := docs/figures
HAS_NVIDIA := $(or $(wildcard /proc/driver/nvidia/version),$(shell command -v nvidia-smi))
DEV_EXTRAS := [train,dev,osc,console]
PYTEST := OMP_NUM_THREADS=1 $(DEV)/bin/pytest
shared = --numprocesses $(1) --dist worksteal
SHARED := $(call shared,$(WORKERS))
RUN_EXTRAS := $(if $(HAS_NVIDIA),[cuda],)

# pytest rewrites what it imports, and tests start Python hundreds of times: keep what was compiled.
unexport PYTHONDONTWRITEBYTECODE

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# --without-pip: Debian keeps ensurepip in another package than venv.
define install
	rm -rf $(1)
	$(PYTHON) -m venv --without-pip $(1)
	$(PYTHON) -m pip --python $(1)/bin/python install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".$(2)"
	touch $@
endef

.PHONY: help
help: ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: run
run: $(VENV)/.installed ## start the Performer (CONFIG=config.yaml, ARGS="...")
	$(VENV)/bin/python -m daemon --config $(CONFIG) $(ARGS)

.PHONY: test
test: lint | jack-tools ## lint, types, unit tests, and the daemon under a private JACK server
	$(PYTEST) $(SHARED) -m "not jack and not alsa and not page" $(ARGS)
	$(PYTEST) $(call shared,$(LISTENERS)) -m jack $(ARGS)  # these hear when notes come:
	$(PYTEST) $(call shared,$(LISTENERS)) -m page $(ARGS)  # LISTENERS=1 where processors are scarce

.PHONY: test-fast
test-fast: $(DEV)/.installed ## the quick tests that need neither JACK nor processes of their own, for the edit loop
	SIMULATION_SESSIONS=10 $(PYTEST) $(SHARED) \
		-m "not jack and not page and not alsa and not processes and not slow" $(ARGS)

.PHONY: lint
lint: $(DEV)/.installed ## style and types alone
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy

.PHONY: test-page
test-page: $(DEV)/.installed | browser ## the page in a real Chromium, with pictures of it in build/page/
	$(PYTEST) -m page tests/page $(ARGS)

.PHONY: test-alsa
test-alsa: $(DEV)/.installed ## the daemon on a real ALSA sequencer, in two small virtual machines at once
	tests/support/tools/alsa_vm.sh build $(ALSA_VM)
	$(DEV)/bin/python -c 'import pathlib, tests.support.make_model as m; m.make_model_folder(pathlib.Path("build/tiny-model"))'
	$(MAKE) --jobs 2 --output-sync alsa-turns alsa-losses

.PHONY: alsa-turns alsa-losses
alsa-turns alsa-losses: alsa-%:
	tests/support/tools/alsa_vm.sh run $(ALSA_VM) $(ALSA_VM)/$* \
		env E2E_MODEL=build/tiny-model $(DEV)/bin/pytest -m alsa -p no:cacheprovider \
		-o faulthandler_timeout=600 --durations=0 tests/e2e/test_alsa_$*.py

.PHONY: bench
bench: $(VENV)/.installed | jack-tools ## engine, sampling and whole daemon, with JSON and PNG (MODEL=models/medium)
	$(VENV)/bin/python daemon/bench/engine.py $(MODEL) --json $(FIGURES)/engine.json \
		--picture $(FIGURES)/engine.png $(ARGS)
	$(VENV)/bin/python daemon/bench/sampling.py $(MODEL) --json $(FIGURES)/sampling.json
	JACK_TEST_TIMEOUT_S=3600 tests/support/tools/with_jack.sh $(VENV)/bin/python -m daemon.bench.live --model $(MODEL) \
		--json $(FIGURES)/live.json --picture $(FIGURES)/live.png

.PHONY: soak
soak: $(VENV)/.installed ## the engine for an hour at full rate: does anything grow? (ARGS="--minutes 5")
	$(VENV)/bin/python -m daemon.bench.live.soak --model $(MODEL) --json $(FIGURES)/soak.json \
		--picture $(FIGURES)/soak.png $(ARGS)

.PHONY: soak-daemon
soak-daemon: $(DEV)/.installed | jack-tools ## a random musician on real ports for HOURS=1: does anything hang or grow?
	$(DEV)/bin/python -m tests.e2e.soak --model $(MODEL) --hours $(HOURS) \
		--json $(FIGURES)/soak-daemon.json --picture $(FIGURES)/soak-daemon.png $(ARGS)

.PHONY: bench-page
bench-page: $(DEV)/.installed | browser ## the page in a real Chromium: when keys and notes sound, frames, bytes
	$(DEV)/bin/python -m tests.page.measure --model $(MODEL) --json $(FIGURES)/page.json
	$(DEV)/bin/python -m tests.page.crowd --model $(MODEL) --json $(FIGURES)/page.json

.PHONY: screenshots
screenshots: $(DEV)/.installed | browser ## the README's picture: the page in the middle of an answer
	$(DEV)/bin/python -m tests.page.screenshot --model $(MODEL) --picture $(FIGURES)/page.png

.PHONY: bench-contest
bench-contest: $(DEV)/.installed ## engine beside torch, and beside peers (ARGS=...)
	$(DEV)/bin/python daemon/bench/contest.py $(MODEL) \
		--torch-python $(DEV)/bin/python --json $(FIGURES)/contest.json \
		--picture $(FIGURES)/contest.png $(ARGS)

.PHONY: bench-check
bench-check: $(VENV)/.installed $(DEV)/.installed ## measure briefly; fail where a ratio does not hold
	$(VENV)/bin/python daemon/bench/engine.py $(MODEL) --rounds 3 --json build/check/engine.json
	$(DEV)/bin/python daemon/bench/contest.py $(MODEL) \
		--torch-python $(DEV)/bin/python --torch-forms torch-eager torch-compiled --rounds 3 \
		--json build/check/contest.json
	$(VENV)/bin/python daemon/bench/check.py --engine build/check/engine.json \
		--contest build/check/contest.json

.PHONY: train
train: $(DEV)/.installed ## train on the starter set, or on ARGS="--midi FOLDER"
	$(DEV)/bin/python training/train.py $(ARGS)

.PHONY: export
export: $(DEV)/.installed ## make a model folder of a checkpoint (CHECKPOINT=..., MODEL=...)
	$(DEV)/bin/python export/export_onnx.py $(CHECKPOINT) $(MODEL) $(ARGS)

.PHONY: clean
clean: ## remove what was made here: environments, caches, build
	rm -rf $(VENV) $(DEV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.installed: pyproject.toml constraints.txt | python
	$(call install,$(VENV),$(RUN_EXTRAS))

$(DEV)/.installed: pyproject.toml constraints.txt | system
	$(call install,$(DEV),$(DEV_EXTRAS))

# What no wheel brings. Asked before anything is downloaded. Playing goes without MIDI's library, by
# the page; the tests play through ports as well.
.PHONY: python
python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is older than Python 3.11: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }

.PHONY: system
system: | python
	@[[ $$(uname) != Linux ]] || $(PYTHON) -c 'import ctypes; ctypes.CDLL("libasound.so.2")' 2>/dev/null || { \
		echo "libasound.so.2 is missing, which MIDI needs even under JACK: apt-get install libasound2" \
			"(Debian 13, Ubuntu 24.04: libasound2t64)" >&2; exit 1; }

.PHONY: jack-tools
jack-tools:
	@for tool in jackd jack_lsp jack_connect jack_midiseq jack_midi_dump; do \
		command -v $$tool >/dev/null || { \
			echo "$$tool is missing, and the tests play through JACK: apt-get install jackd2" >&2; exit 1; }; done

.PHONY: browser
browser:
	@command -v chromedriver >/dev/null || { \
		echo "chromedriver is missing, and with it perhaps the browser: apt-get install chromium" \
			"chromium-driver" >&2; exit 1; }
