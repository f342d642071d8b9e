# make demo: train five small models and write their sounds and pictures to out/.
# make test: check everything (format, lint, types, imports, tests).
# make stress: kill processes, fill disks, train for a day (an hour; some of it needs root).
# make newest: test by Python 3.14, and what needs no torch by 3.15 (needs root; 2 GB).
# make docs: build the documentation into build/docs.   make dist: build what is published.
# make pythons: run the tests by every supported Python that is installed; TOX_DISCOVER=path
# names Pythons that are not on the PATH.   make torches: run the tests of the torch side by
# the oldest, the pinned and the newest torch (10 GB); RELEASES='==2.6.*' chooses.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
# The path of the checkout goes into sys.path. The default, an import hook, comes after a
# folder called gradsound in the working directory, such as a checkout seen from above.
EDITABLE := --config-settings editable_mode=compat --editable

.PHONY: demo test newest stress docs dist pythons torches clean

demo: .venv/demo
	$(BIN)/python demos/five_runs.py

# Tests that depend on real time run alone, after all others have run in parallel.
test: .venv/test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -m "not realtime" --numprocesses auto --dist worksteal
	$(BIN)/python -m pytest -m realtime

newest:
	tests/newest/debian.sh $(TESTS)

stress: .venv/test
	$(BIN)/python tests/stress/faults.py
	$(BIN)/python tests/stress/soak.py

docs: .venv/docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet docs build/docs

dist: .venv/test
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

pythons: .venv/test
	$(PIP) tox
	$(BIN)/tox

torches:
	tests/torches.sh $(RELEASES)

.venv/demo: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --constraint constraints.txt $(EDITABLE) '.[demo]'
	touch $@

.venv/docs: setup.cfg pyproject.toml constraints.txt
	test -d .venv || $(PYTHON) -m venv .venv
	$(PIP) --constraint constraints.txt $(EDITABLE) '.[docs]'
	touch $@

# torchvision has a folder of its own: if its build does not fit torch's, its import fails,
# and so does the import of every package that imports torchvision.
.venv/test: .venv/demo
	$(PIP) --constraint constraints.txt $(EDITABLE) '.[demo,test]'
	$(PIP) --constraint constraints.txt $(EDITABLE) '.[live]' \
	|| echo "PyAudio cannot be built, so its tests are skipped: see CONTRIBUTING.md"
	$(PIP) --constraint constraints.txt --no-deps --upgrade --target .venv/torchvision torchvision
	touch $@

clean:
	rm -rf .venv out build dist *.egg-info
