# make demo: hear five training runs.   make test: everything that is checked.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo test clean

demo: .venv/demo
	$(BIN)/python demos/five_runs.py

test: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest

.venv/demo: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --constraint constraints.txt --editable '.[demo]'
	touch $@

# torchvision stays apart: where its build does not fit torch's, importing it fails, and
# whatever imports it in passing fails too.
.venv/test: .venv/demo
	$(PIP) --constraint constraints.txt --editable '.[demo,test]'
	$(PIP) --constraint constraints.txt --editable '.[live]' \
	|| echo "PyAudio cannot be built: its tests are skipped (the README says what it needs)"
	$(PIP) --constraint constraints.txt --no-deps --upgrade --target .venv/torchvision torchvision
	touch $@

clean:
	rm -rf .venv out build dist *.egg-info
