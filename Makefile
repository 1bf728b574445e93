# The one task vocabulary: people, hooks and CI use these words.
.PHONY: help setup demo serve test lint fmt lock ui up down bench soak docker-test audit sbom

PYTHON ?= $(shell command -v python3.11 || command -v python3)
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHONPATH := $(CURDIR)/src:$(CURDIR)
export DO_NOT_TRACK := true

# MLflow reads its own path as a pattern, and Python makes no virtual environment where the path has a colon
$(foreach sign,% :,$(if $(findstring $(sign),$(CURDIR)),$(error the path $(CURDIR) has a $(sign): move the checkout)))

help: ## say what there is
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 8

# which lock: LOCK=cpu, gpu or jax; else what .venv has; else gpu where NVIDIA's driver names one
LOCK ?= $(or $(firstword $(patsubst .venv/.ready-%,%,$(wildcard .venv/.ready-*))),$(shell \
	nvidia-smi -L 2>/dev/null | grep -q '^GPU' && echo gpu || echo cpu))
LOCK := $(LOCK)
LOCK_FILE := requirements/$(patsubst cpu,dev,$(LOCK)).txt
$(if $(filter-out cpu gpu jax,$(LOCK)),$(error LOCK is '$(LOCK)': give cpu, gpu or jax))

# where Python may keep nothing compiled, as in many containers, every process would compile all that it imports
COMPILED := $(if $(PYTHONDONTWRITEBYTECODE),--compile-bytecode)

setup: .venv/.ready-$(LOCK) ## make .venv with exactly what the lock names (LOCK=cpu, gpu or jax)

.venv/.ready-$(LOCK): $(LOCK_FILE) requirements/uv.txt pyproject.toml
	rm -f .venv/.ready*
	$(PYTHON) -m venv .venv || { echo "python's venv is missing; on Debian: apt-get install python3-venv" >&2; exit 2; }
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	.venv/bin/uv pip sync --quiet $(COMPILED) --require-hashes --python .venv/bin/python $(LOCK_FILE)
	.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e .
	touch $@

demo: setup ## run the whole main job on generated scenes
	@python -m flows.demo

# in two processes: most tests wait for others
test: setup lint ## pass every test
	@python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: setup ## formatting, lint, types and import rules
	@ruff format --check --quiet . && ruff check --quiet . && mypy && lint-imports --no-logo

fmt: setup ## format and fix what can be fixed
	@ruff format . && ruff check --fix .

COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header
LIKE_DEV := --constraints requirements/dev.txt

lock: ## resolve the dependencies anew; all locks have the versions of dev
	$(COMPILE) pyproject.toml --extra dev --extra cpu --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --extra dev --extra gpu $(LIKE_DEV) --output-file requirements/gpu.txt
	$(COMPILE) pyproject.toml --extra dev --extra jax $(LIKE_DEV) --output-file requirements/jax.txt
	$(COMPILE) pyproject.toml --extra cpu $(LIKE_DEV) --output-file requirements/server.txt
	$(COMPILE) pyproject.toml --extra pipeline --extra team --extra cpu $(LIKE_DEV) --output-file requirements/worker.txt
	$(COMPILE) pyproject.toml --extra pipeline --extra team --extra gpu --constraints requirements/gpu.txt \
		--constraints requirements/worker.txt --output-file requirements/worker-gpu.txt
	$(COMPILE) --group mlflow $(LIKE_DEV) --constraints requirements/worker.txt --output-file requirements/mlflow.txt
	$(COMPILE) --group prefect $(LIKE_DEV) --output-file requirements/prefect.txt
	$(COMPILE) --group build $(LIKE_DEV) --output-file requirements/build.txt

serve: setup ## answer pictures over HTTP with the demo's champion
	@ROADSEG_HOME=$${ROADSEG_HOME:-.roadseg/demo} python -m roadseg serve

ui: setup ## open MLflow on what the demo made
	@python -m flows.services ui

up: setup ## start Prefect, MLflow and a worker on this machine
	@python -m flows.services up

down: setup ## stop them
	@python -m flows.services down

soak: setup ## the long proofs: every kill, every shell, every hang
	@python -m pytest -m soak

docker-test: setup ## the whole stack in containers, from build to restore; wants an engine, debootstrap and root
	@python docker/test/run.py

audit: setup ## look for known vulnerabilities of what the locks name (asks a service on the network)
	@python .ci/audit.py

# all locks but the two that only build and install: no image keeps what they name
SHIPPED = $(filter-out build uv,$(patsubst requirements/%.txt,%,$(wildcard requirements/*.txt)))

sbom: setup ## write the CycloneDX bill of materials of each lock to dist/
	@mkdir -p dist
	@for lock in $(SHIPPED); do cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible \
		--of JSON -o dist/sbom-$$lock.cdx.json requirements/$$lock.txt || exit 1; done

bench: setup ## measure; each prints one JSON object
	@python -m benchmarks.training
	@python -m benchmarks.preprocess
	@python -m benchmarks.evaluation
	@python -m benchmarks.intervals
	@python -m benchmarks.serving
