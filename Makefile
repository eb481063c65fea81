# make demo    the whole pipeline on a simulated experiment; leaves demo-out/
# make pictures    the pictures of README.md and docs/, from a simulated experiment; some minutes
# make test    format, lint, types, import layers, tests; TEST=--cov for coverage
# make package    sdist and wheel in dist/, tried in an empty environment without extras
# make lower-bounds    tests with the oldest releases that pyproject.toml allows; Python 3.11
# Each does all its own set-up in .venv; the first run takes a few minutes.
#
# make gpu-check    CUDA against CPU on a machine with a GPU; installs nothing, uses $(PYTHON);
#                   leaves benchmarks/results/GPU.json

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test check reliability soak package lower-bounds gpu-check clean pictures figures

demo: $(VENV)/demo
	@rm -rf demo-out
	@if .ci/qt-libraries $(BIN)/python; then \
		$(BIN)/hexlive demo --out demo-out $(DEMO); \
	else \
		$(BIN)/hexlive demo --headless --out demo-out $(DEMO); \
	fi

test: check
	QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest $(TEST)

check: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	rm -rf build && $(PIP) install --no-deps --target build/types .
	MYPYPATH=build/types $(BIN)/mypy

# The fault matrix as a table, from the tests that try each fault on a real run.
reliability: $(VENV)/test
	HEXLIVE_FAULT_TABLE=$(CURDIR)/docs/reliability.md $(BIN)/python -m pytest -q tests/stream/faults

# An hour at 9 kHz with recording and a monitor: make soak SECONDS=60 for a short one.
SECONDS ?= 3600
soak: $(VENV)/demo
	$(BIN)/hexlive bench soak --soak $(SECONDS)

package: $(VENV)/test
	@.ci/package $(PYTHON)

lower-bounds:
	@.ci/lower-bounds $(PYTHON) $(TEST)

gpu-check:
	@.ci/gpu-check $(PYTHON)

# All suites in short, six at full length, and the tables of the documents from them: 35 minutes.
RESULTS := benchmarks/results
figures: $(VENV)/test
	$(BIN)/hexlive bench --json $(RESULTS)/CPU.json
	$(BIN)/hexlive bench throughput --json $(RESULTS)/CPU-throughput.json
	$(BIN)/hexlive bench startup --json $(RESULTS)/CPU-startup.json
	$(BIN)/hexlive bench reconstruct --ct-turns 5 --all-rmse --json $(RESULTS)/CPU-reconstruct.json
	$(BIN)/hexlive bench ct --json $(RESULTS)/CPU-ct.json
	$(BIN)/hexlive bench modules --json $(RESULTS)/CPU-modules.json
	$(BIN)/hexlive bench monitor --reports 20 --json $(RESULTS)/CPU-monitor.json
	$(BIN)/python -m hexlive.benchmarks.readme README.md $(RESULTS)/CPU.json
	$(BIN)/python -m hexlive.benchmarks.readme docs/performance.md $(RESULTS)/CPU.json $(RESULTS)/CPU-*.json

pictures: $(VENV)/demo
	QT_QPA_PLATFORM=offscreen $(BIN)/python docs/pictures.py

$(VENV)/demo: pyproject.toml $(VENV)/bin/python
	$(PIP) install --editable '.[ct,export,monitor]'
	@touch $@

$(VENV)/test: pyproject.toml $(VENV)/bin/python
	$(PIP) install --editable '.[campaign,ct,export,facility,monitor,test,check]'
	@.ci/qt-libraries $(BIN)/python
	@touch $@ $(VENV)/demo

$(VENV)/bin/python:
	@.ci/make-venv $(PYTHON) $(VENV)

clean:
	rm -rf $(VENV) build dist *.egg-info demo-out .mypy_cache .ruff_cache .pytest_cache .coverage
