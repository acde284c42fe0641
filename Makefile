# Everything a developer runs. `make help` lists it.

GO        ?= go
TAGS      ?= nokube
TOOL      := $(GO) tool -modfile=tools/go.mod
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS   := -s -w -X main.version=$(VERSION)
# Packages that run without the race detector: what they drive is other processes,
# or Prometheus, whose corpus takes ten times as long with it.
NORACE    := /test/crash$$|/web/console$$|/metrics/prom$$|/provider/deploy/helm$$
BASE      ?= HEAD

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: build
build: ## build bin/nightporter
	$(GO) build -trimpath -tags $(TAGS) -ldflags '$(LDFLAGS)' -o bin/nightporter ./cmd/nightporter

.PHONY: demo
demo: build ## show it: a forge, services, a clock and the real binary (ARGS=--story plays the whole story)
	cd demo && $(GO) build -v -o ../bin/demo . && exec ../bin/demo --binary ../bin/nightporter $(ARGS)

.PHONY: format
format: ## format the code
	$(TOOL) gofumpt -w $$(git ls-files '*.go' | grep -v /vendor/)

.PHONY: check
check: ## before each commit: format, vet, staticcheck, the import rule, race tests of the changed packages
	@test -z "$$($(TOOL) gofumpt -l $$(git ls-files '*.go' | grep -v /vendor/) | tee /dev/stderr)" || { echo 'run: make format'; exit 1; }
	$(GO) vet -tags $(TAGS) ./...
	$(TOOL) staticcheck -tags $(TAGS) ./...
	$(GO) mod tidy -diff
	$(GO) test -tags $(TAGS) ./internal/archtest
	@changed=$$(sh tools/changed.sh $(BASE)); test -z "$$changed" || { echo "race tests: $$changed"; $(GO) test -race -tags $(TAGS) $$changed; }

.PHONY: test
test: prepare ## everything, with what it needs installed first
	@sh tools/test.sh

.PHONY: test-kube
test-kube: ## what runs on Kubernetes, on a real control plane (built once, some minutes)
	@NIGHTPORTER_KUBE=$$(test/kube/build.sh) && export NIGHTPORTER_KUBE && $(GO) test -tags kube -count=1 -timeout 20m ./test/kube

.PHONY: prepare
prepare: ## install what the tests need (PostgreSQL, MariaDB, Chromium, git)
	@sh tools/prepare.sh

.PHONY: bench
bench: ## the figures of docs/design.md, into bench/
	@mkdir -p bench
	$(GO) test -tags $(TAGS) -run '^$$' -bench . -benchmem $$($(GO) list -tags $(TAGS) ./... | grep -v /examples/) | tee bench/all.txt

.PHONY: reliability
reliability: ## every kill at every point, fuzzing, permutations; prints a table
	@sh tools/reliability.sh

.PHONY: clean
clean: ## remove what was built
	rm -rf bin bench
