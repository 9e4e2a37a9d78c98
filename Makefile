# One verb a target; every target but `help` and `setup` depends on `setup`. CI calls what a person calls.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
STORE ?= file

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long test-faults test-attack test-net test-k8s test-image test-otlp lint audit check settings minio lock clean
.PHONY: bench bench-lb bench-ring bench-queue bench-images bench-worst bench-node bench-pair bench-overload
.PHONY: bench-replay bench-resume bench-simulate bench-predictions bench-watch

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## make .venv with everything pinned; quick when nothing changed

$(VENV)/.ready: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "snapsurge needs Python 3.11 or newer; name one with: make setup PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

demo: setup ## stack up, moment opened, burst replayed, a node killed, a report (STORE=file or minio)
	@if [ "$(STORE)" = minio ]; then $(MAKE) --no-print-directory minio || exit 1; fi
	$(PY) -m deploy demo --store $(STORE)

test: setup ## all tests, on real Redis and real MinIO
	@$(MAKE) --no-print-directory minio || echo "MinIO could not be had: its tests will be skipped"
	$(PY) -m pytest -n 3 --dist loadfile -m "not long and not alone"
	$(PY) -m pytest -m "alone and not long"

test-long: setup ## the long trials: 1,000 early answers, 5,000 uploads under restarts, 20,000 fuzzed streams
	$(PY) -m pytest -m long -s --ignore=tests/faults --ignore=tests/attack --ignore=tests/net --ignore=tests/k8s \
		--ignore=tests/image --ignore=tests/otlp

test-faults: setup ## break everything, alone, at every step, at random (ROUNDS=200 SEED=7; SEED=7:31 plays one again)
	$(PY) -m pytest -m long -s tests/faults

test-attack: setup ## attack everything beside honest phones, each attack alone, then at random (ROUNDS=60 SEED=7; SEED=7:31 plays one again)
	$(PY) -m pytest -m long -s tests/attack

test-net: setup ## three hosts on one network, and what breaks between them (root; ROUNDS=60 SEED=7; SEED=7:31 plays one again)
	$(PY) -m pytest -m long -s tests/net

test-k8s: setup ## deploy/k8s on a real API server with KEDA (root; builds a control plane once, 12 minutes or more)
	$(PY) tests/k8s/build.py
	$(PY) -m pytest -m long -s tests/k8s

test-image: setup ## the image and compose.yaml in a real engine, a burst included (root; installs docker.io and debootstrap)
	$(PY) tests/image/build.py
	$(PY) -m pytest -m long -s tests/image

test-otlp: setup ## spans in a real OpenTelemetry collector (builds one from Go modules once, two minutes)
	$(PY) tests/otlp/build.py
	$(PY) -m pytest -m long -s tests/otlp

lint: setup ## style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

audit: setup ## known vulnerabilities of what is pinned; fails on those with a fix
	$(PY) .ci/audit.py

check: lint ## lint, types, house rules, unit tests: about a minute
	$(PY) -m pytest -q tests/test_tidy.py tests/test_rooms.py tests/test_documents.py tests/test_figures.py tests/test_dependencies.py tests/unit

settings: setup ## write SETTINGS.md from the config.py of each package
	$(PY) .ci/settings.py > SETTINGS.md

minio: setup ## get the MinIO server into .tools/bin (two minutes the first time)
	@$(PY) -m deploy minio

bench: setup ## what a pair costs in every tier, by phase, on a file store and on MinIO: costs.json (QUICK=1: minutes)
	@$(MAKE) --no-print-directory minio
	$(PY) -m bench.costing $(if $(QUICK),--quick)

bench-ring: setup ## how keys are placed: shares, moves, picking, rebuilding (QUICK=1 for fewer rounds)
	$(PY) -m bench.contests.ring $(if $(QUICK),--quick)

bench-queue: setup ## our claim beside stock arq and saq, with 1 to 64 workers (QUICK=1: a minute)
	$(PY) -m bench.contests.queues $(if $(QUICK),--quick)

bench-lb: setup ## our balancer beside HAProxy and nginx in one run: CPU, latency, memory (QUICK=1: a minute)
	$(PY) -m bench lb $(if $(QUICK),--quick)

bench-images: setup ## a photo's renditions beside libvips and Pillow: CPU, memory, fidelity (QUICK=1: a minute)
	$(PY) -m bench.contests.images $(if $(QUICK),--quick)

bench-worst: setup ## the dearest photo of each format, by search: CPU s a pair, CPU s an uploaded MB (QUICK=1: minutes)
	$(PY) -m bench.contests.worst $(if $(QUICK),--quick)

bench-overload: setup ## goodput at 1, 2, 4 and 10 times the capacity, with a slow store too (QUICK=1: a minute)
	@$(MAKE) --no-print-directory minio
	$(PY) -m bench.overload $(if $(QUICK),--quick)

bench-simulate: setup ## the simulator at the size of a region: CPU seconds and memory of 10 M arrivals (QUICK=1: a minute)
	$(PY) -m bench.contests.simulation $(if $(QUICK),--quick)

bench-predictions: setup ## three bursts predicted and sealed, then run and scored, three times each (QUICK=1: once each)
	@$(MAKE) --no-print-directory minio
	$(PY) -m bench.contests.predictions $(if $(QUICK),--quick)

bench-node: setup ## CPU of a pair in node and store beside the textbook stack and tusd; memory (QUICK=1: a minute)
	@$(MAKE) --no-print-directory minio
	$(PY) -m bench.contests.node $(if $(QUICK),--quick)

bench-resume: setup ## uploads that break: resumed, started over, and tusd; CPU of whole ones (QUICK=1: minutes; BEFORE=DIR)
	@$(MAKE) --no-print-directory minio
	$(PY) -m bench.contests.resume $(if $(QUICK),--quick) $(if $(BEFORE),--before $(BEFORE))

bench-replay: setup ## CPU of a pair in our generator of load beside vegeta and locust (QUICK=1: a minute)
	$(PY) -m bench.contests.generators $(if $(QUICK),--quick)

bench-watch: setup ## what `deploy watch` with an open page costs the stack in a burst (QUICK=1: two minutes)
	$(PY) -m bench.contests.watch $(if $(QUICK),--quick)

bench-pair: setup ## CPU of a pair through a whole pipeline, ours beside a textbook one with HAProxy (QUICK=1: minutes)
	@$(MAKE) --no-print-directory minio
	$(PY) -m bench.contests.pair $(if $(QUICK),--quick)

COMPILE = $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header pyproject.toml

lock: setup ## pin the dependencies anew, one lock a group, with hashes and without an index address
	$(PY) -m pip install --quiet --disable-pip-version-check uv
	$(COMPILE) --upgrade --group dev -o requirements.lock
	$(COMPILE) -c requirements.lock -o requirements-run.lock
	$(COMPILE) -c requirements.lock --group deploy -o requirements-deploy.lock
	$(COMPILE) -c requirements.lock --group bench -o requirements-bench.lock

clean: ## remove what the targets made, but not .tools
	rm -rf $(VENV) .snapsurge .pytest_cache .mypy_cache .ruff_cache
