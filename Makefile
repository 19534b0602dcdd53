# Everything is run from here; CONTRIBUTING.md says more.

# The modules of go.work. A pattern below another module's folder leaves that
# module out, so each is named.
MODULES := . ./adapter/nats ./adapter/postgres ./adapter/redis ./bench ./cmd/sockeye ./examples ./test/interop ./web/bundle
PACKAGES := $(addsuffix /...,$(MODULES))

GOTESTSUM := go run gotest.tools/gotestsum@v1.13.0
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.PHONY: help demo cluster-demo build test test-deps lint vet bench bench-quick fuzz chaos bundle

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## the demo, on http://localhost:3000
	go run ./cmd/sockeye serve

ARGS ?=
cluster-demo: ## three servers behind a balancer, one of which you kill (ARGS=--redis, ARGS=--help)
	go run ./cmd/sockeye cluster-demo $(ARGS)

build: ## the command, one static binary: bin/sockeye
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/sockeye ./cmd/sockeye

test: test-deps ## install what the tests need, run all of them, say what was skipped
	@skips=$$(mktemp); \
	SOCKEYE_SKIPS=$$skips $(GOTESTSUM) --format pkgname --format-hide-empty-pkg -- -race -timeout 15m -p 2 $(PACKAGES); status=$$?; \
	echo; go run ./test/interop/cmd/skips $$skips; rm -f $$skips; exit $$status

test-deps: ## install what the tests need
	@test/interop/install.sh
	@command -v npm >/dev/null && (cd web && npm ci --silent --no-audit --no-fund) || echo "the browser client's own tests will be skipped: npm ci failed in web"

vet: ## gofmt, go vet and staticcheck
	@bad=$$(git ls-files '*.go' | xargs gofmt -l); test -z "$$bad" || { echo "not formatted: $$bad"; exit 1; }
	go vet $(PACKAGES)
	$(STATICCHECK) $(PACKAGES)

lint: vet ## vet and golangci-lint (the first time takes minutes: it is built)
	@for m in $(MODULES); do echo "golangci-lint $$m"; (cd $$m && $(GOLANGCI) run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

bench: ## measure against the floor and Node, in about ten minutes; writes docs/benchmarks.md
	cd bench && go run . -docs ../docs

bench-quick: ## the same in two and a half minutes, for the terminal only
	cd bench && go run . -quick

chaos: ## kill, cut off and replace servers and brokers for some minutes, as root with pulled cables; writes docs/reliability.md (ARGS=-help)
	cd test/interop && go run ./cmd/chaos -docs ../../docs $(ARGS)

FUZZTIME ?= 20s
fuzz: ## run every fuzzer for FUZZTIME (20s)
	@for m in $(MODULES); do (cd $$m && for p in $$(go list ./...); do \
	  for f in $$(go test -list '^Fuzz' $$p 2>/dev/null | grep '^Fuzz'); do \
	    echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$p || exit 1; \
	  done; done) || exit 1; done

bundle: ## rebuild web/dist from web/src
	cd web/bundle && go run .
