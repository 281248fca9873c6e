# Everything a person or CI does here; `make` alone lists it.
.DEFAULT_GOAL := help
SHELL := bash
export BEDSIDE_ENVS ?= .venvs
SERVICES := core corpus trainer merger eval inference engine
images up: export GIT_REVISION ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)

.PHONY: help demo test clients clusters setup lint e2e images up down clean

help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: setup ## adapt, prove and serve a model on this machine; ARGS=--once ends after one conversation
	@.venvs/core/bin/python demo/run.py $(ARGS)

test: lint ## unit, property and integration tests; sets up what it needs
	@bash scripts/setup.sh verify
	.venvs/dev/bin/pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --durations=8 $(ARGS)

clients: ## the gateway with clients that others wrote, in environments of their own; ARGS go to pytest
	@bash scripts/setup.sh dev clients
	BEDSIDE_REQUIRE_CLIENTS=1 .venvs/dev/bin/pytest tests/inference/clients --numprocesses=auto \
	  --maxprocesses=4 --durations=12 $(ARGS)

clusters: ## the corpus under Slurm (Debian's, as root) and under Ray (an environment of its own)
	@bash scripts/setup.sh dev ray
	BEDSIDE_REQUIRE_SLURM=1 BEDSIDE_REQUIRE_RAY=1 .venvs/dev/bin/pytest tests/corpus/clusters \
	  --numprocesses=2 --dist=loadfile --durations=5 $(ARGS)

setup: ## the environment of every service, hash-locked, under .venvs
	@bash scripts/setup.sh $(SERVICES)

lint: ## ruff and mypy --strict on the sources; `ruff format .` and `ruff check --fix .` mend
	@bash scripts/setup.sh dev
	.venvs/dev/bin/ruff format --check .
	.venvs/dev/bin/ruff check .
	.venvs/dev/bin/mypy packages/*/src services/*/src demo/run.py

e2e: setup ## check what the demo left in BEDSIDE_HOME; SUITE=tests/stack: the containers instead
	@bash scripts/setup.sh dev bundle verify
	.venvs/dev/bin/pytest $(or $(SUITE),tests/e2e) --run-e2e --durations=0 $(ARGS)

images: ## build every image of compose.yaml
	docker compose --profile '*' build

up: ## start the stack of compose.yaml; says what to do next
	@bash scripts/up.sh

down: ## stop it and remove its containers; volumes stay
	docker compose --profile '*' down

clean: ## remove the environments and caches (never bedside-home)
	rm -rf .venvs .pytest_cache .mypy_cache .ruff_cache .hypothesis
