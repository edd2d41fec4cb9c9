# Two commands are all a newcomer needs: `make demo` and `make test`. Both set everything up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help install demo serve test lint unit bench docs screenshots vendor chromium clean

help:
	@echo "make demo    set up, then run one pipeline from end to end: train, distill, prune, quantize, price tag, report"
	@echo "make test    set up, then format, lint, types, import contracts, migrations and all tests"
	@echo "make serve   set up, then server + worker on this machine until Ctrl-C; data is kept"
	@echo "make unit    the fast tests (tests/unit)"
	@echo "make bench   training speed and meter overhead, measured side by side"
	@echo "make docs    write the reference pages that are generated from the code"
	@echo "make screenshots  pictures of the dashboard for the README, of the demo's data"
	@echo "make vendor  fetch the files of other projects anew, and compare their hashes"
	@echo "make clean   remove the environment and the demo's data"

install: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[server,worker,dev]'
	@$(MAKE) --no-print-directory chromium
	touch $(READY)

# The tests of pages run in Debian's browser; everything else works without.
chromium:
	@test -x /usr/bin/chromium \
	|| { test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
	&& apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; } \
	|| echo "tests/browser needs /usr/bin/chromium: install it with 'sudo apt-get install chromium'"

demo: $(READY)
	$(BIN)/pricetag demo

serve: $(READY)
	$(BIN)/pricetag serve --with-worker 1

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.architecture.wording --all

unit: $(READY)
	$(BIN)/pytest tests/unit

# Five processes keep two cores busy: a third of their time, tests wait for servers and jobs.
# A test that fails beside the others (exit status 1) runs once more, alone, and its name is
# printed: what fails twice fails the command, what fails once is a test to mend.
test: lint
	$(BIN)/pytest tests -n 5 --dist loadfile || { test $$? -eq 1 \
	&& echo "Tests that failed beside others, once more and alone:" \
	&& $(BIN)/pytest tests --last-failed --last-failed-no-failures none -v; }

bench: $(READY)
	$(BIN)/python -m benchmarks.meter
	$(BIN)/python -m benchmarks.meter_overhead
	$(BIN)/python -m benchmarks.training

docs: $(READY)
	$(BIN)/python -m docs.generate

screenshots: $(READY)
	$(BIN)/python -m docs.screenshots

vendor: $(READY)
	$(BIN)/python -m app.web.vendoring

clean:
	rm -rf $(VENV) .pricetag build *.egg-info
