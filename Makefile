# The verbs of daily work. `make help` lists them.

LAB := bin/kruise-lab
E2E_TIMEOUT ?= 30m
SOAK ?= 10m
# Tests of stages that need more than Go live in folders of their own.
NEED_PARTS := /test/(integration|chart)(/|$$)
NEED_ROOT := /test/e2e(/|$$)

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the verbs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  \033[1m%-18s\033[0m %s\n", $$1, $$2}' Makefile

.PHONY: up
up: build ## Start a real cluster on this machine, with kruise-manager installed (needs root)
	$(LAB) up --install-tools
	$(LAB) install

.PHONY: down
down: build ## Stop that cluster and remove it
	$(LAB) down --wipe

.PHONY: test
test: test-unit test-integration e2e ## Run every test that a person should run (needs root)

.PHONY: test-unit
test-unit: ## Run the tests that need nothing but Go and a C compiler
	go test -race $$(go list ./... | grep -Ev '$(NEED_PARTS)|$(NEED_ROOT)')
	go test ./test/faults

.PHONY: soak
soak: ## Run rollouts among faults that nobody tried before, for SOAK=10m; fails with a script to keep
	go test -v -count=1 -timeout 0 -run TestWhatever ./test/faults -soak $(SOAK)

.PHONY: test-integration
test-integration: build ## Run the tests against a real API server, and those of the Helm chart
	$(LAB) parts etcd kube-apiserver kube-controller-manager helm
	go test $$(go list ./... | grep -E '$(NEED_PARTS)')

.PHONY: e2e
e2e: build ## Run the end-to-end tests on a cluster of their own (needs root)
	go test -count=1 -p 1 -parallel 6 -timeout $(E2E_TIMEOUT) $$(go list ./... | grep -E '$(NEED_ROOT)')

.PHONY: bench
bench: build ## Measure rollouts on a lab of its own, and write docs/benchmarks.md
	go run ./test/scale -write docs/benchmarks.md $(BENCH_FLAGS)

.PHONY: lint
lint: ## Look for what compiles and is wrong all the same
	go tool -modfile=hack/tools/golangci-lint/go.mod golangci-lint run

.PHONY: generate
generate: ## Make again what is made from something else: deep copies, CRDs, RBAC, reference pages
	hack/generate.sh

.PHONY: verify
verify: build lint ## Check that generated files, modules, formatting and the chart are in order
	hack/verify.sh

# Traces of gRPC keep text/template in the daemon, and with it every method of every type: 10 MB.
.PHONY: build
build: ## Build the programs into bin/
	CGO_ENABLED=0 go build -trimpath -tags grpcnotrace -ldflags '-s -w' -o bin/ ./cmd/...
