PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: all demo test test-long lint types links clean

all: $(STAMP)

$(STAMP): pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/mitds demo

test: $(STAMP)
	$(BIN)/python -m pytest -m "not long" -n auto --maxprocesses 4 --dist loadfile

# Fifty kills, full disks, soaks, long sources: about an hour; writes docs/reliability.md.
test-long: $(STAMP)
	$(BIN)/python -m pytest -m long -p no:randomly
	$(BIN)/python -m tests.reliability.result

lint: $(STAMP) links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Editors and type checkers cannot follow the editable install: give them one folder of links.
links:
	mkdir -p .links/mitds
	for d in pipeline annotators benchmark baselines manifests; do ln -sfn ../../$$d .links/mitds/$$d; done
	for f in src/mitds/*; do ln -sfn ../../$$f .links/mitds/; done

clean:
	rm -rf $(VENV) .links build *.egg-info
