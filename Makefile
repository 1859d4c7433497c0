# Every target installs what it needs first; a second call installs nothing.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
RUN_ID ?=
PROMPT ?=
# As it was typed, without make reading a $ in it; the shell gets it from the environment.
export REGLAB_PROMPT := $(value PROMPT)
unexport PROMPT
READY := .venv/.ready
# One thread a process: small networks run best on one, and the number changes the last bits.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup compare train sweep study status report rerun evaluate export generate ui test lint fix bench index lock

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## install everything into .venv

$(READY): requirements.lock requirements-data.lock pyproject.toml
	@echo "installing into .venv (a few minutes the first time) ..." >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -c 'import sys; sys.exit("reglab needs Python 3.11 or newer: make setup PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-data.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

compare: $(READY) ## compare regularization strategies on real data (a few minutes)
	@$(BIN)/python pipelines/study.py $(ARGS)

train: $(READY) ## one run: make train ARGS="regularizer=dropout"
	@$(BIN)/python pipelines/train.py $(ARGS)

sweep: $(READY) ## a multirun: make sweep ARGS="regularizer=none,l1 seed=0,1,2"
	@$(BIN)/python pipelines/train.py -m $(ARGS)

study: $(READY) ## tune, confirm, report: make study ARGS="study=label_noise"
	@$(BIN)/python pipelines/study.py $(ARGS)

status: $(READY) ## runs of sweeps and studies that are done, running, failed or missing
	@$(BIN)/python pipelines/status.py $(ARGS)

report: $(READY) ## compare what is tracked: make report ARGS="metric=test/accuracy"
	@$(BIN)/python pipelines/report.py $(ARGS)

rerun: $(READY) ## run a tracked run again and compare the numbers: make rerun RUN_ID=...
	@$(BIN)/python pipelines/rerun.py $(if $(RUN_ID),"run_id='$(RUN_ID)'") $(ARGS)

evaluate: $(READY) ## uncertainty by Monte-Carlo dropout: make evaluate RUN_ID=... ARGS="mc_dropout=50"
	@$(BIN)/python pipelines/evaluate.py $(if $(RUN_ID),"run_id='$(RUN_ID)'") $(ARGS)

export: $(READY) ## a model that is served without reglab: make export RUN_ID=... ARGS="register=NAME"
	@$(BIN)/python pipelines/export.py $(if $(RUN_ID),"run_id='$(RUN_ID)'") $(ARGS)

generate: $(READY) ## text from a tracked decoder: make generate PROMPT="Call me Ishmael, he said,"
	@$(BIN)/python pipelines/generate.py $(if $(value PROMPT),"prompt=$$REGLAB_PROMPT") $(ARGS)

ui: $(READY) ## browse the runs in MLflow's UI
	@$(BIN)/python pipelines/ui.py $(ARGS)

test: $(READY) ## all tests, on two cores
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(READY) ## style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

fix: $(READY) ## format, and correct what the linter can correct
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY) ## step costs relative to a bare PyTorch loop
	@$(BIN)/python benchmarks/run.py $(ARGS)

index: $(READY) ## write the index of declarations and the generated parts of docs/
	@$(BIN)/python -m reglab.schema.index
	@$(BIN)/python -m docs.index

lock: ## write requirements.lock from the packages in .venv, without those of requirements-data.lock
	@{ echo "# What make setup installs, exactly. Made by: make lock"; $(BIN)/pip freeze --exclude-editable --all --exclude pip $$(sed -n 's/==.*//p' requirements-data.lock | sed 's/^/--exclude /') | sed 's/+cpu$$//'; } > requirements.lock
