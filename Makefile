# Every target is documented by the `##` behind it; `make help` prints them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
KERNELS := $(VENV)/.kernels
FLIGHTS := data/flights/.complete
PAGE := api/ui/node_modules/.package-lock.json
PARALLELISM ?= 2
ROWS ?=
VERSITYGW := v1.8.0
HELM := v3.22.0
ACTIONLINT := v1.7.7
KIND := v0.33.0

.DEFAULT_GOAL := help
.PHONY: help setup data run test processes fuzz postgres s3 kubernetes images e2e e2e-core kind soak simulate golden chaos lint format versions crds chart workflows bench load clean corpus ui ui-types ui-test

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) $(KERNELS) ## Make .venv, install flowjob and its tools, compile the kernels

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "flowjob needs Python 3.11 or newer; set PYTHON=python3.x"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

$(KERNELS): $(INSTALLED) $(wildcard worker/flowjob/kernels/*.py)
	$(BIN)/python -m flowjob.kernels.compile
	@touch $@

data: $(FLIGHTS) ## Fetch the flights of 2013 into data/flights (337,000 rows, once)

$(FLIGHTS): examples/flights/prepare.py | $(INSTALLED)
	$(BIN)/python examples/flights/prepare.py data/flights

run: setup data ## Run the flights example in two worker processes
	rm -rf out/flights
	$(BIN)/flowjob run examples/flights/flights.py --parallelism $(PARALLELISM)

test: setup data ## Run the tests (not the minutes-long ones)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m 'not processes and not soak and not chaos and not postgres and not s3 and not kubernetes and not helm and not e2e'

processes: setup data ## Run the tests of whole jobs in processes of their own, which are killed and interrupted
	$(BIN)/python -m pytest -n 2 --dist worksteal -m processes

fuzz: EXAMPLES ?= 50
fuzz: setup ## Hold the REST service against its own description with EXAMPLES=n requests of each kind, and what no description thinks of
	FLOWJOB_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n 2 --dist worksteal tests/rest/test_schemathesis.py tests/rest/test_fuzzed.py

postgres: setup ## Run the tests against PostgreSQL; installs the server where it is missing
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
		|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql; }
	$(BIN)/python -m pytest -m postgres

s3: setup $(BIN)/versitygw ## Run the tests against a real S3 server, which Go builds (100 s, once)
	$(BIN)/python -m pytest -m s3

kubernetes: setup $(BIN)/helm ## Run the tests against a real API server of Kubernetes, which Go builds (minutes, once)
	tests/e2e/cluster/build-control-plane
	$(BIN)/python -m pytest -m kubernetes

ui: $(PAGE) ## Build the web page into the package (Node.js 20.19 or newer)
	cd api/ui && npm run --silent build

$(PAGE): api/ui/package-lock.json
	cd api/ui && npm ci --no-fund --no-audit
	@touch $@

ui-types: setup $(PAGE) ## Write the types that the web page has of the REST service's answers anew
	$(BIN)/python -m tests.api.page_types
	cd api/ui && npm run --silent types

ui-test: setup ui ## Check and test the web page, in a real Chromium too (FLOWJOB_CHROMIUM, or Debian's, installed where it is missing), and make its pictures in docs
	test -n "$$FLOWJOB_CHROMIUM" -o -x /usr/bin/chromium -o -x /usr/bin/google-chrome \
		|| { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }
	cd api/ui && npm run --silent check && npm test --silent && npm run --silent browse

images: ui ## Make the images of jobs and of operator and service, with docker or else buildah
	tests/e2e/cluster/build-images worker operator

e2e: setup ui ## Run the scenarios on a cluster: of KUBECONFIG, of kind, or made of this machine (root; 15 minutes to build, once)
	$(BIN)/python -m tests.e2e.harness.which_cluster
	tests/e2e/cluster/build-images
	$(BIN)/python -m pytest -m e2e tests/e2e/scenarios

e2e-core: export FLOWJOB_E2E_NODES ?= 1
e2e-core: setup ui ## Run the scenarios that come first, in a quarter of an hour: install, upgrade, rescale, kill, delete, steer
	$(BIN)/python -m tests.e2e.harness.which_cluster
	tests/e2e/cluster/build-images
	$(BIN)/python -m pytest -m 'e2e and core' tests/e2e/scenarios

kind: export FLOWJOB_CLUSTER_KIND := kind
kind: export PATH := $(abspath $(BIN)):$(shell tests/e2e/cluster/build-control-plane --where):$(PATH)
kind: setup $(BIN)/kind $(BIN)/helm ## The same on a cluster of kind, which needs docker, and what only a whole cluster has: network policies, volumes
	tests/e2e/cluster/build-control-plane kubectl
	tests/e2e/cluster/build-images
	$(BIN)/python -m pytest -m e2e tests/e2e/scenarios tests/e2e/full_cluster

$(BIN)/versitygw: | $(INSTALLED)
	@command -v go >/dev/null || { echo "Go (go.dev) is needed, to build the S3 server versitygw"; exit 1; }
	GOBIN=$(abspath $(BIN)) go install github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW)

$(BIN)/helm: | $(INSTALLED)
	@command -v go >/dev/null || { echo "Go (go.dev) is needed, to build helm"; exit 1; }
	GOBIN=$(abspath $(BIN)) go install helm.sh/helm/v3/cmd/helm@$(HELM)

$(BIN)/kind: | $(INSTALLED)
	@command -v go >/dev/null || { echo "Go (go.dev) is needed, to build kind"; exit 1; }
	GOBIN=$(abspath $(BIN)) go install sigs.k8s.io/kind@$(KIND)

$(BIN)/actionlint: | $(INSTALLED)
	@command -v go >/dev/null || { echo "Go (go.dev) is needed, to build actionlint"; exit 1; }
	GOBIN=$(abspath $(BIN)) go install github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT)

soak: setup ## Run the tests that take minutes: memory over long runs
	$(BIN)/python -m pytest -m soak

simulate: SEEDS ?= 200
simulate: setup ## Run SEEDS=n simulated clusters, with faults; one command repeats a failure
	$(BIN)/python -m flowjob.testing.simulation --seeds $(SEEDS) --processes 2
	$(BIN)/python -m flowjob.testing.simulation.failover --seeds $$(($(SEEDS) / 3)) --processes 2

golden: setup ## Kill and restore every golden job in many ways, at other parallelisms; one command repeats a failure
	$(BIN)/python -m tests.golden

chaos: SEEDS ?= 20
chaos: setup $(BIN)/versitygw ## Strike SEEDS=n jobs of real processes, disks and an S3 server (15 s each)
	$(BIN)/python -m pytest -m chaos tests/runtime tests/recovery tests/cluster
	$(BIN)/python -m tests.recovery --seeds $(SEEDS)
	$(BIN)/python -m tests.recovery --first $(SEEDS) --seeds $$((($(SEEDS) + 4) / 5)) --pressure 4

lint: setup ## Check style, types and the layers between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

versions: ## Write the newest versions of all dependencies to constraints.txt
	rm -rf build/versions
	$(PYTHON) -m venv build/versions
	build/versions/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	{ sed -n '/^#/p' constraints.txt; build/versions/bin/python -m pip freeze --exclude-editable; } > constraints.new
	mv constraints.new constraints.txt
	rm -rf build/versions

crds: setup ## Write crds/ and their reference page from the models of the operator
	$(BIN)/python -m flowjob_operator.resources.generate

chart: setup $(BIN)/helm ## Generate what is generated of charts/flowjob, and run its tests with helm, which Go builds (70 s, once)
	$(BIN)/python -m charts.generating
	$(BIN)/helm lint --strict charts/flowjob --kube-version 1.34.4
	$(BIN)/python -m pytest -m 'not kubernetes and not e2e' tests/chart

workflows: setup $(BIN)/actionlint ## Check .github/workflows with actionlint, which Go builds
	$(BIN)/actionlint -color

corpus: setup ## Keep a snapshot of each program in tests/corpus for VERSION=x.y: later ones must restore it
	PYTHONPATH=. $(BIN)/python -m tests.corpus.add $(VERSION)

bench: setup $(BIN)/versitygw ## Run all benchmarks, one JSON line each; ROWS=n makes them smaller
	$(BIN)/python -m bench $(if $(ROWS),--rows $(ROWS)) --parallelism $(PARALLELISM)

load: SECONDS ?= 60
load: setup ## Load the REST service of a cluster: 1,000 jobs, 100 who follow, 200 requests a second beside a job
	PYTHONPATH=. $(BIN)/python -m bench.service_load.measuring --seconds $(SECONDS)

clean: ## Remove everything that was made here, data and environment too
	rm -rf $(VENV) data out .flowjob build dist *.egg-info worker/*.egg-info \
		.mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
