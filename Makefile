# make demo: hear five training runs.   make test: everything that is checked.
# make docs: the documentation as pages, in build/docs.   make dist: what is published.
# make pythons: the tests by every Python that is supported, as far as it is installed.
# TOX_DISCOVER=path names those that the path has not.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo test docs dist pythons clean

demo: .venv/demo
	$(BIN)/python demos/five_runs.py

test: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest

docs: .venv/docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet docs build/docs

dist: .venv/test
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

pythons: .venv/test
	$(PIP) tox
	$(BIN)/tox

.venv/demo: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --constraint constraints.txt --editable '.[demo]'
	touch $@

.venv/docs: setup.cfg pyproject.toml constraints.txt
	test -d .venv || $(PYTHON) -m venv .venv
	$(PIP) --constraint constraints.txt --editable '.[docs]'
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
