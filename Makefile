# Proofgraph's commands. `make help` lists the targets; the text after each `##` describes one.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv/bin
JOBS ?= auto

# Ends a recipe with the given exit code unless `make setup` has completed.
if_set_up = [ -e .venv/made-from ] || { echo "Nothing is set up here: run \`make setup\`."; exit $(1); };

.PHONY: help
help: ## List all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Install missing Python and npm packages and a browser, and build the snippet
	@for python in $(PYTHON) .venv/bin/python python3 python3.14 python3.13 python3.12 python3.11; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    exec $$python -m deploy.local.setup; \
	  fi; \
	done; \
	echo "There is no Python 3.11 or newer on PATH: install one, or name it in PYTHON." >&2; exit 2

.PHONY: demo
demo: setup ## Start the stack, send demo orders, run until Ctrl-C; ONCE=1: stop after the orders
	@$(VENV)/python -m deploy.local.demo

.PHONY: order
order: setup ## Send one more demo order to the running stack and print its times
	@$(VENV)/python -m deploy.local.demo.order

.PHONY: screenshots
screenshots: setup ## Take the screenshots in docs/images; start the demo unless it runs
	@$(VENV)/python -m deploy.local.demo.screenshots

.PHONY: check
check: lint types ## Run lint, types and the tests that need no server; ARGS="-k word" selects tests
	@$(VENV)/pytest -m unit $(ARGS)

.PHONY: test
test: setup ## Run all tests against real servers; ARGS="-k word" selects tests; JOBS=1: sequentially
	@$(VENV)/pytest -n $(JOBS) --dist loadgroup --no-loadscope-reorder $(ARGS)

.PHONY: chaos
chaos: setup ## Inject random faults under load and check for lost events; KILLS=20 SEED=7
	@$(VENV)/python -m tests.chaos --kills $(or $(KILLS),20) --seed $(or $(SEED),7) $(ARGS)

.PHONY: up
up: setup ## Start the stack and leave it running; SPLIT=1: one process per subgraph
	@$(VENV)/python -m deploy.local up

.PHONY: down
down: ## Stop the stack
	@$(call if_set_up,0) $(VENV)/python -m deploy.local down

.PHONY: status
status: ## Show pids, readiness and gateway; fails unless all is ready
	@$(call if_set_up,3) $(VENV)/python -m deploy.local status

.PHONY: logs
logs: ## Print and follow the logs; NAME=subgraphs: those of one process
	@$(call if_set_up,1) $(VENV)/python -m deploy.local logs $(NAME)

.PHONY: kafka
kafka: setup ## Run a Kafka broker in the foreground; the first run downloads it (43 MB)
	@$(VENV)/python -m deploy.local.engines.kafka

.PHONY: router
router: setup ## Build Apollo Router from its crate unless it is built (15 to 25 minutes)
	@$(VENV)/python -m deploy.local.engines.build_router

.PHONY: schema
schema: setup ## Export the SDL and compose the supergraph into schema/; CHECK=--check: only compare
	@$(VENV)/python -m subgraphs.export $(CHECK)
	@node router/compose.mjs $(CHECK)

.PHONY: lint
lint: setup ## Check style, format and import rules
	@$(VENV)/ruff check
	@$(VENV)/ruff format --check
	@$(VENV)/lint-imports

.PHONY: types
types: setup ## Run mypy --strict on the code and the tests
	@$(VENV)/mypy --strict subgraphs workers router deploy tests

.PHONY: bench
bench: setup ## Run every benchmark briefly and write docs/performance.md; ARGS="--only ledger"
	@$(VENV)/python -m tests.bench $(ARGS)

.PHONY: bench-ledger
bench-ledger: setup ## Measure how fast the stream worker writes the ledger; ARGS="--events 200000 --rounds 3"
	@$(VENV)/python -m tests.bench.ledger $(ARGS)

.PHONY: bench-ingest
bench-ingest: setup ## Measure the ingest endpoint beside nginx and a FastAPI peer; DURATION=5 REPEATS=3; MEMORY=10 minutes
	@$(VENV)/python -m tests.bench.ingest $(ARGS)

.PHONY: bench-graph
bench-graph: setup ## What a GraphQL request costs, beside stock Strawberry; ARGS="--seconds 3 --rounds 3"
	@$(VENV)/python -m tests.bench.graph $(ARGS)

.PHONY: bench-edge
bench-edge: setup ## What Envoy and the edge authz add to a request; ARGS="--seconds 3 --rounds 3"
	@$(VENV)/python -m tests.bench.edge $(ARGS)

.PHONY: bench-orders
bench-orders: setup ## From a signed order to the claim at a subscriber; ARGS="--rates 40 300 --seconds 5"
	@$(VENV)/python -m tests.bench.orders $(ARGS)

.PHONY: bench-live
bench-live: setup ## The subscription gateway beside nchan and stock Strawberry; REPEATS=3 IDLE=10000
	@$(VENV)/python -m tests.bench.live

.PHONY: bench-analytics
bench-analytics: setup ## Measure queries of hourly counts over 90 days; ARGS="--events 20000000 --queries 200"
	@$(VENV)/python -m tests.bench.analytics $(ARGS)
