# Start with `make daily` and `make test`. `make help` lists every target that has a ## comment.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
WORKSPACES = $(VENV)/share/jupyter/lab/workspaces

# Variables of a run: DATE=2025-10-23 LANDING=… LAKE=… REPORTS=…. The shell reads their values from its environment, so that they may
# contain any character.
OPTIONS = $(if $(LANDING),--landing "$$LANDING") $(if $(LAKE),--lake "$$LAKE")
PYTEST = $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
REPORT = $(if $(REPORTS),--reports "$$REPORTS")

unexport PYTHONPATH PYTHONHOME
# With this variable set, every process would compile the libraries again, which takes ten seconds.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup daily report publish backfill sample data status lab test test-more coverage test-long bench stats lint lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/run ## create the environment .venv, if it does not exist

# The packages for a run, for JupyterLab, for the tests, for development. Each group contains the groups before it.
$(VENV)/run: requirements.lock pyproject.toml
$(VENV)/lab: requirements-lab.lock pyproject.toml
$(VENV)/test: requirements-test.lock pyproject.toml
$(VENV)/dev: requirements-dev.lock pyproject.toml
$(VENV)/run $(VENV)/lab $(VENV)/test $(VENV)/dev: $(wildcard .jupyter/etc/*/* .jupyter/etc/*/*/*)
	@.ci/environment $(@F)

# Create the environment again if its installation was interrupted, if it was moved or copied, or for another PYTHON=.
ifneq ($(shell cat $(VENV)/made 2> /dev/null)$(PYTHON),$(CURDIR))
$(VENV)/run $(VENV)/lab $(VENV)/test $(VENV)/dev: FORCE
endif
FORCE:

daily: setup ## run all stages for the latest day, or for DATE=, and write the report
	@$(if $(LANDING),,$(BIN)/rfm sample --if-empty)
	@$(BIN)/rfm daily $(if $(DATE),--date "$$DATE") $(OPTIONS) $(REPORT)

report: setup ## rebuild the pages of the latest published day, or of DATE=, without running the stages
	@$(BIN)/rfm report $(if $(DATE),--date "$$DATE") $(if $(LAKE),--lake "$$LAKE") $(REPORT)

publish: setup ## upload the reports to TO=, a folder or a URL; single customers only if [publish] allows it
	@$(BIN)/rfm publish "$$TO" $(REPORT)

backfill: setup ## run the days FROM= to TO= without notebooks
	@$(BIN)/rfm backfill --from "$$FROM" --to "$$TO" $(OPTIONS)

sample: setup ## generate the sample shop's daily files in data/landing
	@$(BIN)/rfm sample $(if $(LANDING),--landing "$$LANDING")

data: setup ## download the public archive, Online Retail II (45 MB), and write its daily files to data/landing
	@$(BIN)/rfm prepare $(if $(LANDING),--landing "$$LANDING")

status: setup ## show the latest runs and the tables
	@$(BIN)/rfm status $(if $(LAKE),--lake "$$LAKE") $(REPORT)

# tour.json sets what is open at the start. JupyterLab reads its default workspace from the file name below.
lab: $(VENV)/lab ## open the tour in JupyterLab, with the options in JUPYTER_OPTS=
	@mkdir -p $(WORKSPACES) && cp .jupyter/tour.json $(WORKSPACES)/default-37a8.jupyterlab-workspace
	@$(BIN)/jupyter lab --LabApp.workspaces_dir=$(WORKSPACES) $(JUPYTER_OPTS)

# Two processes on two cores: a library that starts a thread a core in each of them only makes them wait.
test: $(VENV)/test ## run the tests, except the long ones and those on Spark, in a bucket, in a browser, on downloaded data or a full disk, and the dearest whole runs (under eight minutes on two cores)
	@POLARS_MAX_THREADS=1 OMP_NUM_THREADS=1 $(PYTEST) -m "not long and not spark and not classic and not s3 and not browser and not foreign and not mount and not whole"

test-more: $(VENV)/dev ## run the tests that a laptop may skip: on Spark, in a bucket or browser, on real or downloaded data, on a full disk, from the wheel
	@$(PYTEST) -m "(spark or classic or s3 or browser or real or foreign or mount or whole) and not long"

coverage: $(VENV)/dev ## run the tests, those on Spark, in a bucket and a browser too but not the long ones; require 95 % coverage
	@$(PYTEST) -m "not long" --cov=rfm --cov-report=term --cov-fail-under=95

test-long: $(VENV)/dev ## run all tests, including the long ones: many kills, long fuzzing, large data
	@RFM_HYPOTHESIS=long $(BIN)/python -m pytest

bench: $(VENV)/dev ## measure speed and memory, with baselines in the same run
	@$(BIN)/python -m benchmarks

stats: $(VENV)/run ## count the library's files, lines and imports
	@$(BIN)/python -m benchmarks.code

lint: $(VENV)/dev ## check style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

lock: setup ## write the lock files from pyproject.toml; UPGRADE=--upgrade takes the latest releases
	@.ci/lock

clean: ## remove the environment, data/landing, data/lake and the reports
	rm -rf $(VENV) .bench .classic data/landing data/lake reports/* .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
