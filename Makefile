# clef_ray's commands. `make` lists them.
#
#   PYTHON=python3.12   the interpreter that .venv is made from (3.11 or newer)
#   ARGS="..."          passed on: make ablate ARGS="--smoke", make test ARGS="tests/losses -x"
#   STORAGE=storage     where runs and the MLflow database lie
#
# pip's own settings hold (pip.conf, PIP_INDEX_URL, PIP_EXTRA_INDEX_URL): with PyTorch's CPU index the download is a tenth of the CUDA one.

PYTHON ?= python3
STORAGE ?= storage
PORT ?= 5000
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
AUDIT := $(VENV)/audit

.DEFAULT_GOAL := help
.PHONY: help ablate test test-long test-faults test-cluster lint audit format ui studies clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

ablate: $(STAMP) ## how many negatives does guided pretraining need? (ARGS="--smoke" for one minute, "--help" for all options)
	@$(BIN)/python experiments/ablate_negatives.py --storage $(STORAGE) $(ARGS)

test: $(STAMP) ## the whole test suite
	@$(BIN)/python -m pytest $(ARGS)

test-long: $(STAMP) ## every experiment from data to report, and what else takes long
	@$(BIN)/python -m pytest -m long $(ARGS)

test-faults: $(STAMP) ## kill, cut off, fill up: what the same command makes of it (prints the table of README)
	@$(BIN)/python -m pytest tests/faults -m "faults or not faults" -s $(ARGS)

test-cluster: $(STAMP) ## `ray up` on three hosts in namespaces, a link cut, `ray down` (prints how long each took; needs root)
	@$(BIN)/python -m pytest tests/hosts -m cluster -s $(ARGS)

lint: $(STAMP) ## ruff, mypy --strict, who may import whom, and whether the installed packages fit together
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pip check --disable-pip-version-check

audit: ## known vulnerabilities of the pinned versions (asks pypi.org over the network, so it is no part of lint)
	@$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/python -m pip install -qq --disable-pip-version-check pip-audit==2.10.1
	@$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt  # strict: what cannot be asked about is a failure

format: $(STAMP) ## rewrite the code in its one format
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

ui: $(STAMP) ## every run in the browser (MLflow on http://127.0.0.1:5000; another PORT=... if taken)
	@test -f $(STORAGE)/mlflow/mlflow.db || { echo "No runs in $(STORAGE) yet: make ablate first, or give STORAGE=..."; exit 1; }
	@echo "MLflow: http://127.0.0.1:$(PORT)   (Ctrl-C ends it)"
	@$(BIN)/mlflow ui --backend-store-uri sqlite:///$(STORAGE)/mlflow/mlflow.db --host 127.0.0.1 --port $(PORT)

studies: $(STAMP) ## every study in the browser (optuna-dashboard on http://127.0.0.1:8080)
	@test -f $(STORAGE)/optuna/optuna.db || { echo "No studies in $(STORAGE) yet: make ablate first, or give STORAGE=..."; exit 1; }
	@echo "Studies: http://127.0.0.1:8080   (Ctrl-C ends it)"
	@$(BIN)/optuna-dashboard --host 127.0.0.1 --port 8080 sqlite:///$(abspath $(STORAGE))/optuna/optuna.db

clean: ## remove .venv and caches; storage is never touched
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find clef_ray experiments tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is newer than both files exactly when .venv holds what they say.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is too old: give PYTHON=python3.11 or newer"; exit 1; }
	@echo "Installing clef_ray into $(VENV) (some minutes the first time)"
	@$(PYTHON) -m venv $(VENV) || { echo "No venv module (Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
