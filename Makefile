# Proofgraph. `make help` tells what there is; each target's text stands beside it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv/bin
JOBS ?= auto

# Ends a recipe with this exit code if there was no complete `make setup`.
if_set_up = [ -e .venv/made-from ] || { echo "Nothing is set up here: run \`make setup\`."; exit $(1); };

.PHONY: help
help: ## Show this text
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install what is missing: Python and npm packages, the snippet's build, a browser
	@for python in $(PYTHON) .venv/bin/python python3 python3.14 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    exec $$python -m deploy.local.setup; \
	  fi; \
	done; \
	echo "There is no Python 3.11 or newer on PATH: install one, or name it in PYTHON." >&2; exit 2

.PHONY: demo
demo: setup ## Start all, send demo orders, stay until Ctrl-C; ONCE=1: stop at the end
	@$(VENV)/python -m deploy.local.demo

.PHONY: order
order: setup ## Send one more demo order to the running stack and follow it
	@$(VENV)/python -m deploy.local.demo.order

.PHONY: screenshots
screenshots: setup ## Take the pictures in docs/images from the running demo, or start it
	@$(VENV)/python -m deploy.local.demo.screenshots

.PHONY: check
check: lint types ## Check style, layout and types, and run the tests that need no server
	@$(VENV)/pytest -m unit $(ARGS)

.PHONY: test
test: setup ## Run all tests, on the real parts; ARGS="-k word" for some; JOBS=1: one at a time
	@$(VENV)/pytest -n $(JOBS) --dist loadgroup $(ARGS)

.PHONY: chaos
chaos: setup ## Kill random processes under load and look for what is lost; KILLS=20 SEED=7
	@$(VENV)/python -m tests.chaos --kills $(or $(KILLS),20) --seed $(or $(SEED),7) $(ARGS)

.PHONY: up
up: setup ## Start the stack and leave it running; SPLIT=1: one process for each subgraph
	@$(VENV)/python -m deploy.local up

.PHONY: down
down: ## Stop the stack
	@$(call if_set_up,0) $(VENV)/python -m deploy.local down

.PHONY: status
status: ## Show pids, readiness and gateway; fails with 1: not ready, 3: nothing runs
	@$(call if_set_up,3) $(VENV)/python -m deploy.local status

.PHONY: logs
logs: ## Follow the logs; NAME=subgraphs for one of them
	@$(call if_set_up,1) $(VENV)/python -m deploy.local logs $(NAME)

.PHONY: kafka
kafka: setup ## Run a Kafka broker in the foreground; fetches it the first time (43 MB)
	@$(VENV)/python -m deploy.local.engines.kafka

.PHONY: router
router: setup ## Build Apollo Router from its crate, once; takes 15 to 25 minutes
	@$(VENV)/python -m deploy.local.engines.build_router

.PHONY: schema
schema: setup ## Export the SDL and compose the supergraph into schema/; CHECK=--check: compare
	@$(VENV)/python -m subgraphs.export $(CHECK)
	@node router/compose.mjs $(CHECK)

.PHONY: lint
lint: setup ## Check style, layout and import rules
	@$(VENV)/ruff check
	@$(VENV)/ruff format --check
	@$(VENV)/lint-imports

.PHONY: types
types: setup ## Check types, strictly, tests included
	@$(VENV)/mypy --strict subgraphs workers router deploy tests

.PHONY: bench-ledger
bench-ledger: setup ## How fast the stream worker fills the ledger; ARGS="--events 200000 --rounds 3"
	@$(VENV)/python -m tests.bench.ledger $(ARGS)

.PHONY: bench-ingest
bench-ingest: setup ## The door beside nginx and a FastAPI peer; DURATION=5 REPEATS=3; MEMORY=10 minutes
	@$(VENV)/python -m tests.bench.ingest

.PHONY: bench-live
bench-live: setup ## The subscription gateway beside nchan and stock Strawberry; REPEATS=3 IDLE=10000
	@$(VENV)/python -m tests.bench.live

.PHONY: bench-analytics
bench-analytics: setup ## How long a quarter by the hour takes; ARGS="--events 20000000 --queries 200"
	@$(VENV)/python -m tests.bench.analytics $(ARGS)
