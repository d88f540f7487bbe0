# The front door. `make help` prints what there is; CONTRIBUTING.md says more.

PYTHON ?= python3
T ?=
ARGS ?=

# The implementers' vectors and the contract's own check are used where they lie beside the repository.
ifneq ($(wildcard ../shared/vectors),)
export TEST_VECTORS ?= $(abspath ../shared/vectors)
endif
ifneq ($(wildcard ../shared/checks/contract.py),)
export CONTRACT_CHECK ?= $(abspath ../shared/checks/contract.py)
endif

# Without compiled files each of the many processes that tests start would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

# One more than processors: tests wait for disks and other processes a third of their time.
WORKERS ?= $(shell $(PYTHON) -c "import os; print(min((os.cpu_count() or 1) + 1, 8))")

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
LOCK := pyproject.toml uv.lock tools/bootstrap.py

.DEFAULT_GOAL := help
.PHONY: help run test check fmt docs bench bench-report chaos

##@ Use
run: .venv/.for-run ## Start the server on http://localhost:8000 (ARGS="--port 9000" passes options)
	@exec $(BIN)/ostiary serve $(ARGS)

##@ Work on it
# Tests marked `alone` measure time, so nothing else may run beside them. Exit status 5 says that T or ARGS
# left one of the two halves empty, which is fine as long as the other is not.
test: .venv/.for-dev ## Run the tests (T=tests/parts narrows; ARGS="-k name -x" goes to pytest)
	@many=0; $(PYTEST) -m "not alone" --numprocesses=$(WORKERS) --dist=worksteal $(ARGS) $(T) || many=$$?; \
	case $$many in 0|5) ;; *) exit $$many;; esac; \
	alone=0; $(PYTEST) -m alone $(ARGS) $(T) || alone=$$?; \
	case $$many$$alone in 00|05|50) ;; *) exit $$alone;; esac

check: .venv/.for-dev ## Everything that must hold before a commit, exactly what CI runs
	$(BIN)/ruff format --check --quiet
	$(BIN)/ruff check --quiet
	$(BIN)/mypy
	$(BIN)/python tools/docs.py --check
	$(BIN)/python tools/catalogs.py --check
	@$(MAKE) --no-print-directory test

fmt: .venv/.for-dev ## Format the code and mend what the linter can mend
	$(BIN)/ruff check --quiet --fix-only
	$(BIN)/ruff format --quiet

docs: .venv/.for-dev ## Write the generated pages of docs/ anew
	$(BIN)/python tools/docs.py

##@ Measure it
bench: .venv-bench/.ready ## Measure beside PocketBase and write docs/benchmarks/ (ARGS="--quick", "--only P1,P4", "--help")
	@.venv-bench/bin/python -m tools.bench $(ARGS)

bench-report: .venv-bench/.ready ## Write the page and the plots of docs/benchmarks/ again, without measuring
	@.venv-bench/bin/python -m tools.bench --report

chaos: .venv/.for-dev ## Pull every plug many times and write docs/reliability/ (ARGS="--quick", "--only killed", "--help")
	@$(BIN)/python -m tools.chaos $(ARGS)

##@ Other
help: ## Print this
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# What `make run` needs is part of what developers need, so the second install also counts as the first.
.venv/.for-run: $(LOCK)
	@echo "Installing what the lock says into .venv"
	@$(PYTHON) tools/bootstrap.py --no-dev
	@touch $@

.venv/.for-dev: $(LOCK)
	@echo "Installing what the lock says into .venv, with the tools for development"
	@$(PYTHON) tools/bootstrap.py
	@touch .venv/.for-run $@

.venv-bench/.ready: $(LOCK)
	@echo "Installing what the lock says into .venv-bench, with what make bench needs"
	@$(PYTHON) tools/bootstrap.py --bench
	@touch $@
