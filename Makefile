# Two commands are enough: `make daily`, `make test`. Every target with a ## comment is in the help.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# Variables of a run: DATE=2025-10-23 LANDING=… LAKE=… REPORTS=…, passed on where they are given.
OPTIONS = $(if $(LANDING),--landing "$(LANDING)") $(if $(LAKE),--lake "$(LAKE)")
REPORT = $(if $(REPORTS),--reports "$(REPORTS)")

# Libraries are compiled once and kept in the environment; where this forbids it, every process compiles them again, for ten seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup daily report publish backfill sample data status lab test test-long bench lint clean

help: ## show this help
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/installed ## make the environment from requirements.lock, if it is not there

$(VENV)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "rfm needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	@echo "Making the environment in $(VENV) (once, a few minutes) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

daily: setup ## run all stages for the newest day, or for DATE=, and publish the report
	@$(if $(LANDING),,$(BIN)/rfm sample --if-empty)
	@$(BIN)/rfm daily $(if $(DATE),--date "$(DATE)") $(OPTIONS) $(REPORT)

report: setup ## make the pages of the newest published day, or of DATE=, again, without running the chain
	@$(BIN)/rfm report $(if $(DATE),--date "$(DATE)") $(if $(LAKE),--lake "$(LAKE)") $(REPORT)

publish: setup ## send the reports to TO=, a folder or a URL; no single customer unless [publish] says so
	@$(BIN)/rfm publish "$(TO)" $(REPORT)

backfill: setup ## run the days FROM= to TO= without notebooks
	@$(BIN)/rfm backfill --from "$(FROM)" --to "$(TO)" $(OPTIONS)

sample: setup ## make the daily files of an invented shop in data/landing
	@$(BIN)/rfm sample $(if $(LANDING),--landing "$(LANDING)")

data: setup ## fetch the public archive, Online Retail II (45 MB), and make its daily files in data/landing
	@$(BIN)/rfm prepare $(if $(LANDING),--landing "$(LANDING)")

status: setup ## show the last runs and the tables
	@$(BIN)/rfm status $(if $(LAKE),--lake "$(LAKE)") $(REPORT)

lab: setup ## open JupyterLab on the tour
	@$(BIN)/jupyter lab notebooks/0_tour.ipynb

test: setup ## run all tests but the long ones and those on Spark (under ten minutes on two cores)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not long and not spark and not classic" --cov=rfm --cov-report=term --cov-fail-under=95

test-long: setup ## run the long tests too: many kills, long fuzzing, large data
	@RFM_HYPOTHESIS=long $(BIN)/python -m pytest

bench: setup ## measure speed and memory against baselines in the same run
	@$(BIN)/python -m tests.bench

lint: setup ## check style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

clean: ## remove the environment, the made data and the reports
	rm -rf $(VENV) .bench .classic data/landing data/lake reports/* .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
