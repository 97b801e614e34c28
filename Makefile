PYTHON ?= python3.11
EXTRAS ?=
BIN := .venv/bin

.PHONY: setup repro test lint clean

## setup: the environment in .venv, from pinned and hashed requirements (EXTRAS=gpu adds CUDA)
setup: .venv/.installed

.venv/.installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
ifneq ($(EXTRAS),)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e ".[$(EXTRAS)]"
endif
	touch $@
