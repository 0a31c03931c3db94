# Two commands are enough: `make daily`, `make test`. Every target with a ## comment is in the help.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
WORKSPACES = $(VENV)/share/jupyter/lab/workspaces

# Variables of a run: DATE=2025-10-23 LANDING=… LAKE=… REPORTS=…, passed on where they are given; the shell finds their values in
# its environment, whatever signs are in them.
OPTIONS = $(if $(LANDING),--landing "$$LANDING") $(if $(LAKE),--lake "$$LAKE")
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
REPORT = $(if $(REPORTS),--reports "$$REPORTS")

unexport PYTHONPATH PYTHONHOME
# Libraries are compiled once and kept in the environment; where this forbids it, every process compiles them again, for ten seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup daily report publish backfill sample data status lab test coverage test-long bench stats lint lock clean

help: ## show this help
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/run ## make the environment .venv for a run, if it is not there

# The packages of a run, of JupyterLab, of the tests, of everything; each holds those before it.
$(VENV)/run: requirements.lock pyproject.toml
$(VENV)/lab: requirements-lab.lock pyproject.toml
$(VENV)/test: requirements-test.lock pyproject.toml
$(VENV)/dev: requirements-dev.lock pyproject.toml
$(VENV)/run $(VENV)/lab $(VENV)/test $(VENV)/dev: $(wildcard .jupyter/etc/*/* .jupyter/etc/*/*/*)
	@.ci/environment $(@F)

# An environment that was interrupted, moved or copied is made again, and so is that of another PYTHON=.
ifneq ($(shell cat $(VENV)/made 2> /dev/null)$(PYTHON),$(CURDIR))
$(VENV)/run $(VENV)/lab $(VENV)/test $(VENV)/dev: FORCE
endif
FORCE:

daily: setup ## run all stages for the newest day, or for DATE=, and publish the report
	@$(if $(LANDING),,$(BIN)/rfm sample --if-empty)
	@$(BIN)/rfm daily $(if $(DATE),--date "$$DATE") $(OPTIONS) $(REPORT)

report: setup ## make the pages of the newest published day, or of DATE=, again, without running the chain
	@$(BIN)/rfm report $(if $(DATE),--date "$$DATE") $(if $(LAKE),--lake "$$LAKE") $(REPORT)

publish: setup ## send the reports to TO=, a folder or a URL; no single customer unless [publish] says so
	@$(BIN)/rfm publish "$$TO" $(REPORT)

backfill: setup ## run the days FROM= to TO= without notebooks
	@$(BIN)/rfm backfill --from "$$FROM" --to "$$TO" $(OPTIONS)

sample: setup ## make the daily files of an invented shop in data/landing
	@$(BIN)/rfm sample $(if $(LANDING),--landing "$$LANDING")

data: setup ## fetch the public archive, Online Retail II (45 MB), and make its daily files in data/landing
	@$(BIN)/rfm prepare $(if $(LANDING),--landing "$$LANDING")

status: setup ## show the last runs and the tables
	@$(BIN)/rfm status $(if $(LAKE),--lake "$$LAKE") $(REPORT)

# tour.json says what is open at the start; its new name is the one JupyterLab gives its default workspace.
lab: $(VENV)/lab ## open JupyterLab on the tour, with the options in JUPYTER_OPTS=
	@mkdir -p $(WORKSPACES) && cp .jupyter/tour.json $(WORKSPACES)/default-37a8.jupyterlab-workspace
	@$(BIN)/jupyter lab --LabApp.workspaces_dir=$(WORKSPACES) $(JUPYTER_OPTS)

test: $(VENV)/test ## run all tests but the long ones and those on Spark or in a browser (under eight minutes on two cores)
	@$(PYTEST) -m "not long and not spark and not classic and not browser"

coverage: $(VENV)/dev ## run all tests but the long ones, those on Spark and in a browser too; at least 95 % of the lines must be met
	@$(PYTEST) -m "not long" --cov=rfm --cov-report=term --cov-fail-under=95

test-long: $(VENV)/dev ## run the long tests too: many kills, long fuzzing, large data
	@RFM_HYPOTHESIS=long $(BIN)/python -m pytest

bench: $(VENV)/dev ## measure speed and memory against baselines in the same run
	@$(BIN)/python -m benchmarks

stats: $(VENV)/run ## count the library's files, lines and imports
	@$(BIN)/python -m benchmarks.code

lint: $(VENV)/dev ## check style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

lock: setup ## write the lock files from pyproject.toml; UPGRADE=--upgrade takes the newest releases
	@.ci/lock

clean: ## remove the environment, the made data and the reports
	rm -rf $(VENV) .bench .classic data/landing data/lake reports/* .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
