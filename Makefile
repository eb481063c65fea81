# make demo    the whole pipeline on a simulated experiment; leaves demo-out/
# make test    format, lint, types, import layers, tests
# Each does all its own set-up in .venv; the first run takes a few minutes.
#
# make gpu-check    CUDA against CPU on a machine with a GPU; installs nothing, uses $(PYTHON);
#                   leaves benchmarks/results/GPU.json

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo test check gpu-check clean

demo: $(VENV)/demo
	@rm -rf demo-out
	@if .ci/qt-libraries $(BIN)/python; then \
		$(BIN)/hexlive demo --out demo-out $(DEMO); \
	else \
		$(BIN)/hexlive demo --headless --out demo-out $(DEMO); \
	fi

test: check
	QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest --cov --cov-report=term $(TEST)

check: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	rm -rf build && $(PIP) install --no-deps --target build/types .
	MYPYPATH=build/types $(BIN)/mypy

gpu-check:
	@.ci/gpu-check $(PYTHON)

$(VENV)/demo: pyproject.toml $(VENV)/bin/python
	$(PIP) install --editable '.[ct,export,monitor]'
	@touch $@

$(VENV)/test: pyproject.toml $(VENV)/bin/python
	$(PIP) install --editable '.[ct,export,facility,monitor,test,check]'
	@.ci/qt-libraries $(BIN)/python
	@touch $@ $(VENV)/demo

$(VENV)/bin/python:
	@.ci/make-venv $(PYTHON) $(VENV)

clean:
	rm -rf $(VENV) build *.egg-info demo-out .mypy_cache .ruff_cache .pytest_cache .coverage
