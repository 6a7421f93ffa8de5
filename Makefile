# Every target sets up what it needs. uv is used where it is on PATH, else pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_EXTRAS := cpu,media,origin,tls
ALL_EXTRAS := cpu,media,origin,sim,tls,train,dev
UV := $(shell command -v uv 2>/dev/null)

ifdef UV
MAKE_VENV = $(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
INSTALL = $(UV) pip install --quiet --python $(BIN)/python -c constraints.txt
else
MAKE_VENV = $(PYTHON) -m venv $(VENV)
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
endif

# Tests and the demo start hundreds of processes; each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

# Where real processes play real seconds of media a test mostly waits: three keep two cores busy.
PROCESSES ?= 3

.PHONY: help setup setup-dev demo test lint format bench doctor clean
help:
	@echo "make demo    set up and run the main job: prefetch off against on"
	@echo "make test    set up and run every check and test"
	@echo "make lint    format check, lint, types, import contracts"
	@echo "make bench   measure this machine, baselines in the same run"
	@echo "make doctor  check what this installation can do"

$(VENV)/.setup-demo: pyproject.toml constraints.txt
	$(MAKE_VENV)
	$(INSTALL) -e '.[$(DEMO_EXTRAS)]'
	@touch $@

$(VENV)/.setup-dev: pyproject.toml constraints.txt
	$(MAKE_VENV)
	$(INSTALL) -e '.[$(ALL_EXTRAS)]'
	@touch $@ $(VENV)/.setup-demo

setup: $(VENV)/.setup-demo
setup-dev: $(VENV)/.setup-dev

demo: setup
	$(BIN)/nearcast demo

doctor: setup
	$(BIN)/nearcast doctor

bench: setup
	$(BIN)/nearcast bench inference
	$(BIN)/nearcast bench simulate
	$(BIN)/nearcast bench edge

lint: setup-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: setup-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: lint
	$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist
