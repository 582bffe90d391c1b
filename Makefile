# Everything a person types. `make` alone lists it. Nothing but make and Python 3.11 to 3.14 need be installed.
#   PYTHON=/path/to/python   builds .venv with that interpreter

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Without compiled bytecode every Dagster run pays about a second more of imports.
unexport PYTHONDONTWRITEBYTECODE

bin := .venv/bin
runtime := .venv/.installed-runtime
dev := .venv/.installed-dev
export PYTHON

.PHONY: help demo dev test coverage test-slow test-nightly check format bench lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(runtime) ## Fetch a week of demo chats through Dagster and show where things are (ONCE=1: headless; EXPORTS=dir; TIMEZONE=name)
	@$(bin)/tg-pipeline demo $(if $(ONCE),--once) $(if $(EXPORTS),--exports "$(EXPORTS)") $(if $(TIMEZONE),--timezone "$(TIMEZONE)")

dev: $(runtime) ## Start Dagster's UI and daemon on your own settings (.env)
	@$(bin)/tg-pipeline up

test: $(dev) ## Run the tests (ARGS="-k name" for some of them)
	@$(bin)/pytest --numprocesses 3 --dist worksteal -m "not slow and not nightly" $(ARGS)

coverage: $(dev) ## Run the same tests with the coverage floor, which doubles their time, and write coverage.xml
	@$(MAKE) --no-print-directory test ARGS="--cov --cov-report term --cov-report xml"

test-slow: $(dev) ## Run the slow suite of the gate (whole Dagster processes, chaos, Prometheus, UI)
	@$(bin)/pytest --numprocesses 6 --dist loadgroup -m "slow and not nightly" --timeout 900 $(ARGS)

test-nightly: $(dev) ## Run what is too long for the gate (random chaos seeds, 10,000 commands, benchmarks)
	@$(bin)/pytest --numprocesses 2 --dist loadgroup -m nightly --timeout 3600 $(ARGS)

check: $(dev) ## Check format, lint, types and layers
	@$(bin)/ruff format --check .
	@$(bin)/ruff check .
	@$(bin)/mypy
	@$(bin)/lint-imports --no-logo

format: $(dev) ## Format and fix what can be fixed by machine
	@$(bin)/ruff check --fix-only --quiet .
	@$(bin)/ruff format .

bench: $(dev) ## Run the benchmarks (ONLY=group for one of them) and write bench.json
	@$(bin)/python -m tg_pipeline_tests.bench $(if $(ONLY),--only $(ONLY))

lock: ## Pin the dependencies of pyproject.toml anew (UPGRADE=1: to their newest releases)
	@sh tools/lock.sh

clean: ## Remove the virtual environment and every cache; data and history stay
	rm -rf .venv .coverage .coverage.* coverage.xml htmlcov .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find tg_pipeline tg_pipeline_tests -name __pycache__ -prune -exec rm -rf {} +

$(runtime): requirements.lock pyproject.toml tools/install.sh
	@sh tools/install.sh runtime

$(dev): requirements-dev.lock pyproject.toml tools/install.sh
	@sh tools/install.sh dev
