# Two commands: make run, make test. Each sets up what it needs in .venv.
#   make run ARGS="--rtc tcp:18080:interface=127.0.0.1"
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
AT_RANDOM := tests/model tests/jsip/test_syntax_fuzz.py

.DELETE_ON_ERROR:
.PHONY: run demo test fuzz check docs bench format clean

run: $(VENV)/run
	exec $(BIN)/twistd -n --pidfile= gortc $(ARGS)

demo: $(VENV)/run
	$(BIN)/python -m gortc.client.demo $(ARGS)

test: $(VENV)/dev
	$(BIN)/pytest -n auto --dist loadfile --cov --cov-report=term --ignore=tests/model $(ARGS)
	$(BIN)/python tests/coverage_floor.py
	$(BIN)/pytest -n auto --dist loadfile --hypothesis-profile=ci $(AT_RANDOM)

# Until something is found, or nobody wants to wait any longer.
fuzz: $(VENV)/dev
	while $(BIN)/pytest -n auto --dist loadfile --hypothesis-profile=fuzz $(AT_RANDOM) $(ARGS); do :; done

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/dev
	$(BIN)/python -m docs.generate

bench: $(VENV)/run
	$(BIN)/python bench/run.py $(ARGS)

format: $(VENV)/dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .mypy_cache .pytest_cache .ruff_cache

# A virtual environment; Debian has venv in a package of its own.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { apt-get update && apt-get install -y python3-venv && $(PYTHON) -m venv $(VENV); }

# compat: the plain kind of editable install, which leaves twisted/plugins where Twisted looks for it.
$(VENV)/run: setup.cfg | $(BIN)/python
	$(BIN)/pip install -q --disable-pip-version-check -e . --config-settings editable_mode=compat
	touch $@

$(VENV)/dev: setup.cfg | $(BIN)/python
	$(BIN)/pip install -q --disable-pip-version-check -e '.[test,check]' --config-settings editable_mode=compat
	touch $@ $(VENV)/run
