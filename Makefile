# Everything a person or CI does here; `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := bash
export BEDSIDE_ENVS ?= .venvs
SERVICES := core corpus trainer merger eval inference engine

.PHONY: help demo test setup lint fmt e2e lock clean

help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: setup ## adapt, prove and serve a model on this machine; ARGS=--once ends after one conversation
	@.venvs/core/bin/python demo/run.py $(ARGS)

test: lint ## unit, property and integration tests; sets up what it needs
	.venvs/dev/bin/pytest --durations=8 $(ARGS)

setup: ## the environment of every service, hash-locked, under .venvs
	@bash scripts/setup.sh $(SERVICES)

lint: ## ruff and mypy --strict on the sources
	@bash scripts/setup.sh dev
	.venvs/dev/bin/ruff format --check .
	.venvs/dev/bin/ruff check .
	.venvs/dev/bin/mypy packages/*/src services/*/src demo/run.py

fmt: ## format, and mend what ruff can mend
	@bash scripts/setup.sh dev
	.venvs/dev/bin/ruff format .
	.venvs/dev/bin/ruff check --fix .

e2e: setup ## check what the demo left in BEDSIDE_HOME, with the real stack running
	@bash scripts/setup.sh dev
	.venvs/dev/bin/pytest tests/e2e --run-e2e --durations=0 $(ARGS)

lock: ## recompile the lock files from the pyproject files
	bash scripts/lock.sh

clean: ## remove the environments and caches (never bedside-home)
	rm -rf .venvs .pytest_cache .mypy_cache .ruff_cache .hypothesis
