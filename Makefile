# Two commands: make run, make test. Each sets up what it needs in .venv.
#   make run ARGS="--rtc tcp:18080:interface=127.0.0.1"
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
AT_RANDOM := tests/model tests/jsip/test_syntax_fuzz.py tests/jsip/test_nothing_raises.py tests/transport/test_exactly_once.py
COMPILED := build/compiled

.DELETE_ON_ERROR:
.PHONY: run demo test browser attack fuzz check docs compiled soak bench bench-count bench-overload bench-pauses bench-storm \
	bench-profile requirements format clean

run: $(VENV)/run
	exec $(BIN)/twistd -n --pidfile= gortc $(ARGS)

demo: $(VENV)/run
	$(BIN)/python -m gortc.client.demo $(ARGS)

test: $(VENV)/dev $(COMPILED)/done | browser
	@# a network that loses packets, for root
	@test "$$(id -u)" != 0 || { command -v ip && command -v nft; } >/dev/null \
		|| { apt-get update && apt-get install -y iproute2 nftables; }
	$(BIN)/pytest -n auto --dist loadfile --cov --cov-report=term --ignore=tests/model $(ARGS)
	$(BIN)/python tests/coverage_floor.py
	$(BIN)/pytest -n auto --dist loadfile --hypothesis-profile=ci $(AT_RANDOM)
	$(BIN)/pytest -n auto --dist loadfile -o "pythonpath=$(COMPILED) ." -m "not plain" \
		--ignore=tests/model --ignore=tests/wire --ignore=tests/attack --ignore=tests/client \
		--ignore=tests/test_docs.py

browser:
	@command -v chromium >/dev/null || { apt-get update && apt-get install -y chromium; }

# All attacks, and the page of their figures.
attack: $(VENV)/dev $(COMPILED)/done | browser
	$(BIN)/pytest tests/attack tests/wire/test_tls_wire.py --page docs/attacks.md $(ARGS)
	$(BIN)/python -m bench.overload $(COMPILED) --page docs/attacks.md

# Until something is found, or nobody wants to wait any longer.
fuzz: $(VENV)/dev
	while $(BIN)/pytest -n auto --dist loadfile --hypothesis-profile=fuzz $(AT_RANDOM) $(ARGS); do :; done

# Users, calls and faults, for an hour: make soak ARGS="--minutes 20"
soak: $(VENV)/dev
	$(BIN)/python -m tests.soak.run $(ARGS)

check: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/dev
	$(BIN)/python -m docs.generate

compiled: $(COMPILED)/done

bench: $(COMPILED)/done
	$(BIN)/python bench/run.py $(COMPILED) $(ARGS)

bench-count: $(COMPILED)/done
	command -v valgrind || { apt-get update && apt-get install -y valgrind; }
	$(BIN)/python -m bench.count $(COMPILED)

bench-pauses: $(VENV)/run
	$(BIN)/python -m bench.pauses $(ARGS)

# Twice and five times as many calls as can be done: make bench-overload ARGS="--deaf"
bench-overload: $(COMPILED)/done
	$(BIN)/python -m bench.overload $(COMPILED) $(ARGS)

bench-storm: $(COMPILED)/done
	$(BIN)/python -m bench.storm $(COMPILED) $(ARGS)

# A flame graph of the server under load: make bench-profile ARGS="bridged --compiled build/compiled"
bench-profile: $(VENV)/dev
	$(BIN)/pip install -q --disable-pip-version-check py-spy
	$(BIN)/python -m bench.flame $(ARGS)

# The packages that etc/Dockerfile installs, as they are now.
requirements: $(BIN)/python
	$(BIN)/pip install -q --disable-pip-version-check uv
	cd etc && for name in requirements requirements-build; do head -1 $$name.txt > $$name.new; done
	$(BIN)/uv pip compile -q --universal --python-version 3.10 --generate-hashes --no-header --no-annotate \
		--extra auth --extra fast --extra tls setup.cfg >> etc/requirements.new
	$(BIN)/uv pip compile -q --universal --python-version 3.10 --generate-hashes --no-header --no-annotate \
		-c etc/requirements.new etc/requirements-build.in >> etc/requirements-build.new
	cd etc && for name in requirements requirements-build; do mv $$name.new $$name.txt; done

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

# The same source compiled, in a folder of its own: what is in front of the path is what runs.
$(COMPILED)/done: setup.py setup.cfg $(wildcard gortc/*.py gortc/*/*.py) | $(VENV)/dev
	$(BIN)/python -c "import os, shutil, sysconfig; path = sysconfig.get_path('include') + '/Python.h'; \
		exit(not (shutil.which('gcc') and os.path.exists(path)))" \
		|| { apt-get update && apt-get install -y gcc python3-dev; }
	rm -rf $(COMPILED)
	GORTC_COMPILE=1 $(BIN)/pip install -q --disable-pip-version-check --no-build-isolation --no-deps \
		--target $(COMPILED) .
	touch $@

$(VENV)/dev: setup.cfg | $(BIN)/python
	$(BIN)/pip install -q --disable-pip-version-check -e '.[test,check]' --config-settings editable_mode=compat
	touch $@ $(VENV)/run
