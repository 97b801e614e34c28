# The first of the Pythons that the requirements are for; PYTHON=python3.13 takes another
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13,$(shell command -v $(name) 2>/dev/null)))
EXTRAS ?=
JOBS ?=
BIN := .venv/bin
# dvc runs the stages with the `python` it finds first
export PATH := $(CURDIR)/$(BIN):$(PATH)
# dvc asks for the user's name, which in a container may be a number alone
export USER ?= $(shell id -u)

.PHONY: setup repro report serve test check chaos bench lint clean

EXTRAS_KNOWN := $(filter-out uv,$(sort $(patsubst requirements-%.txt,%,$(wildcard requirements-*.txt))))
ifneq ($(filter-out $(EXTRAS_KNOWN),$(EXTRAS)),)
$(error EXTRAS: expected any of $(EXTRAS_KNOWN), received $(EXTRAS): see docs/environment.md)
endif

## make setup: the environment in .venv, from pinned and hashed requirements (EXTRAS=gpu adds CUDA)
setup: .venv/installed $(EXTRAS:%=.venv/installed-%)

.venv/installed: requirements.txt requirements-uv.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "expected python3.11, python3.12 or python3.13, found none: install one (as with" \
		"\`uv python install 3.11\`) and run \`make setup PYTHON=\$$(uv python find 3.11)\`" >&2; exit 2; }
	@$(PYTHON) -m venv --clear .venv || { echo "$(PYTHON) cannot make an environment: install its package for that," \
		"such as python3-venv, or name another, as \`make setup PYTHON=python3.12\`" >&2; exit 2; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.txt
	$(call install,--require-hashes -r requirements.txt)
	$(call install,--no-deps --no-build-isolation -e .)
	touch $@
# uv is faster; it knows none of pip's settings, and where these lead to another index, pip installs. Compiled here, Keras is
# imported in 5 seconds; uncompiled in 11, in each stage anew where PYTHONDONTWRITEBYTECODE is set
install = $(BIN)/uv pip install --compile-bytecode --quiet --system-certs --python $(BIN)/python $(1) || \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(1)

# An extra of pyproject.toml: `app` (the page, and the models that travel), `dev` (tests and lint) or `gpu`
.venv/installed-%: requirements-%.txt .venv/installed
	$(call install,--require-hashes -r $<)
	touch $@

## make repro: the verdicts from the records, then every stage of the demo, as many at a time as there are cores (or
## JOBS), then what the demo learnt, and whether its outputs have the committed bytes
repro: setup
	@python stages/compare.py --show verdicts
	@# dvc writes these in place, and a killed one may leave them empty (docs/reliability.md)
	@find dvc.lock .dvc/tmp/rwlock -maxdepth 0 -empty -delete 2>/dev/null || true
	rontgen scale $(if $(JOBS),--jobs $(JOBS))
	@python stages/compare.py --show demo
	@rontgen verify --brief || true

## make report: report.html, all of the evidence on one page; it needs no stage's output
report: setup
	rontgen report

## make serve: the page where an X-ray is read, on this machine alone (RUN=lungcare_cnn4, KIND=onnx, PORT=8080)
RUN ?= active
serve: .venv/installed-app
	rontgen serve $(RUN) $(if $(KIND),--kind $(KIND)) $(if $(PORT),--port $(PORT))

# A browser for the tests of the page; where none can be had they are skipped, and say so
.venv/browser: .venv/installed-dev
	@command -v chromium chromium-browser google-chrome >/dev/null || \
		{ test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -qqy chromium; } || \
		python -m playwright install chromium || echo "no browser: install chromium to test the page in one"
	touch $@

## make test: all tests
test: .venv/installed-app .venv/installed-dev .venv/browser
	python -m pytest --numprocesses=logical --dist=loadfile --no-loadscope-reorder

## make chaos: the active run of a smaller demo, in a copy, killed at 30 random moments; the outputs must be the same
chaos: setup
	python tools/chaos.py --kills 30 --seed 0

## make bench: ourselves against named peers, in 20 minutes, to docs/performance.md (ORIGINALS=a zip of large JPEGs)
bench: setup
	python -m benchmarks.run $(if $(ORIGINALS),--originals $(ORIGINALS))

## make check: what a change of a line needs in a minute or so: lint, and the tests without a training or a browser
check: lint
	python -m pytest --numprocesses=logical --dist=loadfile -m "not slow" -q

## make lint: style, formatting, which package may import which, and types
lint: .venv/installed-app .venv/installed-dev
	ruff check .
	ruff format --check .
	lint-imports --no-logo
	mypy

## make clean: what the stages wrote and git does not keep, and the caches; the environment, data/archives and data/kaggle stay
clean:
	rm -rf data/checked data/inputs data/raw data/weights data/split data/preprocessed data/balanced data/near_duplicates data/leakage metrics/runs metrics/shortcuts metrics/split plots/balance plots/shortcuts plots/leakage_examples.png models .dvc/cache .dvc/tmp
	find data/predictions -type f ! -name active.csv -delete
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
