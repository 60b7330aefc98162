# Every target is also a line of continuous integration (.ci/run). `make help` lists them.
# Variables: FUZZTIME=60s PKG=./... RUN=regexp
SHELL        := /bin/bash
PATH         := $(PATH):/usr/sbin:/sbin
export PATH
export CGO_ENABLED ?= 0
FUZZTIME     ?= 60s
PKG          ?= ./...
RUN          ?= .

.PHONY: help build package test race fuzz kat e2e interop bench bench-ike bench-dataplane bench-scale soak lint gen demo setup cover vuln
.DEFAULT_GOAL := build

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

build: ## bin/seikan, static
	go build -trimpath -o bin/seikan ./cmd/seikan

package: build ## bin/seikan_*.deb: program, unit, manual pages, example (needs dpkg-deb)
	scripts/package.sh bin

test: ## all tests; those that need namespaces make their own
	@scripts/need.sh test
	go test -shuffle=on -run '$(RUN)' $(PKG)

race: ## all tests under the race detector (needs a C compiler)
	@scripts/need.sh race
	CGO_ENABLED=1 go test -race -run '$(RUN)' $(PKG)

fuzz: ## every fuzz target for FUZZTIME each
	FUZZTIME=$(FUZZTIME) scripts/fuzz.sh $(PKG)

kat: ## Project Wycheproof's vectors through our cryptography (gets 110 MB from the module proxy)
	cd e2e/wycheproof && go vet ./... && go test ./...

e2e: build ## other IKE daemons and BGP speakers against us, in namespaces (needs root)
	@scripts/need.sh e2e
	SEIKAN=$(CURDIR)/bin/seikan go test -tags e2e -count=1 -timeout 60m -parallel 4 -v -run '$(RUN)' ./e2e/...

interop: build ## the matrix of peers, which writes docs/interop.md (needs root; SUITES=all: every suite there is)
	@scripts/need.sh e2e
	SEIKAN=$(CURDIR)/bin/seikan SEIKAN_INTEROP=$(CURDIR)/docs/interop.md SEIKAN_SUITES=$(SUITES) go test -tags e2e -count=1 -timeout 60m -parallel 4 -v -run TestMatrix ./e2e/

bench: ## benchmarks, six runs each, for benchstat
	go test -run '^$$' -bench . -benchmem -count 6 $(PKG)

bench-ike: build ## setups a second and CPU a setup, ours and strongSwan's; 10,000 tunnels (needs root; BENCH=flags)
	@scripts/need.sh bench-ike
	scripts/bench-ike.sh $(BENCH)

bench-dataplane: build ## what the data plane carries, beside wireguard-go, OpenVPN, strongSwan (needs root; BENCH=flags)
	@scripts/need.sh bench-dataplane
	scripts/bench-dataplane.sh $(BENCH)

bench-scale: build ## 1, 10 and 100 VPN connections with BGP on one machine: time, memory, CPU (needs root; BENCH=flags)
	@scripts/need.sh bench-scale
	go build -trimpath -tags e2e -o bin/benchscale ./e2e/benchscale
	SEIKAN=$(CURDIR)/bin/seikan bin/benchscale $(BENCH)

soak: ## two of our gateways at full rate for 10 minutes, keys renewed every 5 s (needs root; SOAK=flags)
	@scripts/need.sh soak
	go build -trimpath -tags e2e -o bin/soak ./e2e/soak
	bin/soak $(SOAK)

lint: ## gofmt, vet, staticcheck, tidy, the rules of docs/ARCHITECTURE.md
	@test -z "$$(gofmt -l cmd internal e2e)" || { echo 'gofmt is needed for:'; gofmt -l cmd internal e2e; exit 1; }
	go vet -tags e2e ./...
	go tool staticcheck -tags e2e ./...
	go mod tidy -diff
	go test -count=1 ./internal/archtest

gen: ## regenerate what is generated
	go generate ./...

demo: build ## the walk-through of README.md, with real packets
	@scripts/need.sh demo
	bin/seikan lab demo

setup: ## install what the other targets need (as root), or say what is missing
	@scripts/need.sh all

cover: ## test coverage by function
	@scripts/need.sh test
	go test -coverprofile=$${TMPDIR:-/tmp}/seikan.cover $(PKG) && go tool cover -func=$${TMPDIR:-/tmp}/seikan.cover

vuln: ## known vulnerabilities in what we call (asks vuln.go.dev)
	go tool govulncheck ./...
