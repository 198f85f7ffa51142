# The two commands are `make run` and `make test`; `make help` lists the rest.

.DEFAULT_GOAL := help
.PHONY: help run test check lint types pytest configuration lock bench install install-dev clean
.NOTPARALLEL:
unexport PYTHONPATH PYTHONHOME

BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 \
	--generate-hashes --no-header --extra standalone --group build

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-22s%s\n", $$1, $$2 }'

run: install ## Start the service and watch ./inbox
	@unset_here() { eval "test -z \"\$${$$1+set}\"" && ! grep -Eqs "^[[:space:]]*(export[[:space:]]+)?$$1[[:space:]]*=" .env; }; \
	if unset_here FOLDER_PATHS; then export FOLDER_PATHS=./inbox; fi; \
	if unset_here ERNI_DATA_DIR; then export ERNI_DATA_DIR=./.erni-audio; fi; \
	exec $(BIN)/erni-audio serve

test: check pytest ## Install and run everything that CI runs

check: lint types ## Look at the code without running it

lint: install-dev ## Formatting, rules, borders between packages, generated documentation
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m core.configuration --check README.md

types: install-dev ## Static types
	$(BIN)/python -m mypy

pytest: install-dev ## The tests alone; ARGS="-k word" picks some
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile $(ARGS)

configuration: install-dev ## Bring the settings tables in README.md up to date
	$(BIN)/python -m core.configuration --write README.md

lock: install-dev ## Write the locks anew after a change in pyproject.toml; ARGS=--upgrade takes newer versions
	$(LOCK) $(ARGS) --output-file requirements.lock
	$(LOCK) $(ARGS) --extra evaluate --group dev --constraints requirements.lock --output-file requirements-dev.lock

bench: install-dev ## Measure; the results are committed in benchmarks/results
	$(BIN)/python -m benchmarks $(ARGS)

install:
	@python=$$(sh deploy/find-python) && "$$python" deploy/install.py run

install-dev:
	@python=$$(sh deploy/find-python) && "$$python" deploy/install.py dev

clean: ## Remove the environment and caches; recordings and the service's data stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -type d -name __pycache__ -prune -exec rm -rf {} +
