# `make run` runs the main job, `make test` the tests; both do all the set-up. Works from any directory and any path.
SHELL := /bin/sh
HERE := $(shell cd "$$(dirname '$(subst ','\'',$(MAKEFILE_LIST))' | sed 's/^ *//')" && pwd)
BIN := $(HERE)/.venv/bin
PYTHON ?= python3
export DOCS

.PHONY: help run test fuzz chaos cluster-test mwaa mwaa-test lint install install-dev bench airflow lock clean

help:
	@echo "make run [DOCS=folder]  run the main job through Airflow, on sample_data or on your own folder"
	@echo "make test               run the tests"
	@echo "make chaos              break runs off at every call, by kill -9 and by random faults; prints its figures"
	@echo "make fuzz [SECONDS=60]  fuzz each reader of bytes for so long; on Linux with x86-64"
	@echo "make cluster-test       a night on two Celery workers, of which one is killed; needs PostgreSQL and Redis"
	@echo "make mwaa               build what Amazon MWAA takes, in dist/mwaa/"
	@echo "make mwaa-test          install that over MWAA's versions on Python 3.12, and run the DAG there"
	@echo "make airflow            start Airflow with the DAG, wired to the embedded stack"
	@echo "make bench              print what README's figures come from"
	@echo "make lint               ruff and mypy"
	@echo "make install            only the set-up"

run: install
	@"$(BIN)/python" -m pipeline.local.main_job $${DOCS:+--documents "$$DOCS"} --output "$(HERE)/output"

airflow: install
	@"$(BIN)/python" -m pipeline.local.airflow_server

test: install-dev
	@cd "$(HERE)" && "$(BIN)/python" -m pytest $(ARGS)

chaos: install-dev
	@cd "$(HERE)" && "$(BIN)/python" -m pytest --chaos --timeout 1800 tests/chaos tests/steps/test_asking_again.py $(ARGS)

fuzz: install-dev
	@[ "$$(uname -sm)" = "Linux x86_64" ] || { echo "make fuzz needs Linux on x86-64: atheris, the fuzzer, has no wheels for $$(uname -sm). The targets run everywhere as tests: make test ARGS=tests/fuzz" >&2; exit 2; }
	@cd "$(HERE)" && sh install.sh requirements-fuzz.lock && "$(BIN)/python" -m tests.fuzz --seconds $(or $(SECONDS),60) $(ARGS)

cluster-test: install-dev
	@cd "$(HERE)" && "$(BIN)/python" -m pytest -n 0 --cluster tests/cluster/test_lost_worker.py $(ARGS)

mwaa: install-dev
	@"$(BIN)/python" "$(HERE)/deploy/mwaa/build.py"

mwaa-test: install-dev
	@cd "$(HERE)" && "$(BIN)/python" -m pytest -n 0 --mwaa tests/deploy/test_mwaa_run.py $(ARGS)

lint: install-dev
	@cd "$(HERE)" && "$(BIN)/ruff" check . && "$(BIN)/ruff" format --check . && "$(BIN)/mypy"

bench: install-dev
	@cd "$(HERE)" && PYTHON="$(PYTHON)" sh install.sh requirements-bench.lock && "$(BIN)/python" -m benchmarks $(ARGS)

install:
	@cd "$(HERE)" && PYTHON="$(PYTHON)" sh install.sh requirements.lock

install-dev:
	@cd "$(HERE)" && PYTHON="$(PYTHON)" sh install.sh requirements-dev.lock && sh install.sh requirements-awscli.lock && \
		sh install.sh requirements-awswrangler.lock

lock: install
	@cd "$(HERE)" && sh install.sh --lock

clean:
	@cd "$(HERE)" && if [ -x .venv/bin/docbatch ]; then .venv/bin/docbatch local down; fi; rm -rf .venv .docbatch .fuzz
