PYTHON ?= python3.11
EXTRAS ?=
BIN := $(CURDIR)/.venv/bin
# dvc runs the stages with the `python` it finds first
export PATH := $(BIN):$(PATH)
# TensorFlow's start-up chatter; its errors still show
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: setup repro paper leakfree report test chaos bench lint clean

## make setup: the environment in .venv, from pinned and hashed requirements (EXTRAS=gpu adds CUDA)
setup: .venv/installed

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	$(if $(EXTRAS),$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e ".[$(EXTRAS)]")
	touch $@

## make repro: every stage of both pipelines, then the table of paper against ours
repro: setup
	@# dvc writes these in place, and a killed one may leave them empty (docs/reliability.md)
	@find dvc.lock leakfree/dvc.lock .dvc/tmp/rwlock -maxdepth 0 -empty -delete 2>/dev/null || true
	dvc repro fingerprint
	$(MAKE) --no-print-directory --jobs=2 paper leakfree
	dvc repro
	python stages/compare.py --show

# Two halves of the pipeline for two processes at once: a training of the demo keeps one core busy. Single items, in
# this order, for DVC would lock what it checks above them; the `dvc repro` after them checks everything.
paper: setup
	dvc --wait-for-lock repro --single-item split preprocess balance train evaluate \
	  paper_split paper_preprocess paper_balance paper_train paper_evaluate
leakfree: setup
	dvc --wait-for-lock repro --single-item $(addprefix leakfree/dvc.yaml:,split preprocess balance train evaluate) \
	  shortcuts

## make report: report.html, all of the evidence on one page
report: repro
	python -m rontgen.report

## make test: all tests
test: setup
	python -m pytest

## make chaos: the active run of a smaller demo, in a copy, killed at 30 random moments; the outputs must be the same
chaos: setup
	python tests/chaos.py --kills 30 --seed 0

## make bench: ourselves against named peers, in 15 minutes, to docs/performance.md (ORIGINALS=a zip of large JPEGs)
bench: setup
	python -m benchmarks.run $(if $(ORIGINALS),--originals $(ORIGINALS))

## make lint: style and formatting
lint: setup
	ruff check .
	ruff format --check .

## make clean: what the stages wrote, and the caches; the environment and data/archives stay
clean:
	rm -rf data/raw data/split data/preprocessed data/balanced data/predictions data/fingerprints data/leakage models dvclive .dvc/cache .dvc/tmp
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
