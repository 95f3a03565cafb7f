# engine: a container engine that speaks the Docker API. `make help` lists what can be made.

SHELL    := /bin/bash
GO       ?= go
TAGS     := seccomp netgo osusergo
VERSION  := github.com/jobengine/engine/internal/version
COMMIT   := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
STAMP    := $(shell git log -1 --format=%cI 2>/dev/null || date -u +%FT%TZ)
STATIC   := -s -w -extldflags -static
LDFLAGS  := $(STATIC) -X $(VERSION).GitCommit=$(COMMIT) -X $(VERSION).BuildTime=$(STAMP)
SEALED   := builtins/sealed/engine-supervisor
INIT     := builtins/sealed/engine-init
FUZZTIME ?= 10s
PREFIX   ?= /usr/local
ROUNDS   ?= 15
# Collects the failures of a run at its end (scripts/gotest.sh).
GOTESTSUM := gotest.tools/gotestsum@v1.13.0

.PHONY: help build sealed test unit system room torture check fuzz bench parity demo test-v2 test-firewalls install clean deps deps-test

## help: this list
help:
	@sed -n 's/^## \([a-z0-9-]*\): /  \1\t/p' $(MAKEFILE_LIST) | expand -t 12

## build: bin/engine, static, with the sealed supervisor and the init of containers inside
build: deps
	@mkdir -p bin $(dir $(SEALED))
	@$(GO) build -trimpath -tags '$(TAGS)' -ldflags '$(STATIC)' -o bin/engine-supervisor ./cmd/engine-supervisor
	@cmp -s bin/engine-supervisor $(SEALED) || cp bin/engine-supervisor $(SEALED)
	@cmd/engine-init/build.sh bin/engine-init
	@cmp -s bin/engine-init $(INIT) || cp bin/engine-init $(INIT)
	@$(GO) build -trimpath -tags '$(TAGS) sealed' -ldflags '$(LDFLAGS)' -o bin/engine .
	@echo "build: bin/engine, $$(du -h --apparent-size bin/engine | cut -f1) ($(COMMIT))"

## test: everything, as root: unit tests, drivers, the whole system, parity with dockerd, and that nothing is left behind
test: deps-test build check
	@$(MAKE) --no-print-directory room
	@echo "test: unit and conformance tests, with the leak check around them"
	@bin/leakcheck scripts/gotest.sh ./... -tags '$(TAGS)' -timeout 20m
	@$(MAKE) --no-print-directory system
	@$(MAKE) --no-print-directory parity
	@echo "test: all passed"

## unit: the tests that need no root and no binary
unit:
	$(GO) test -tags '$(TAGS)' ./...

## system: the tests on bin/engine (needs root), with the leak check around them
system: deps-test bin/engine
	@# Before the tests, which have no network of the machine's around them.
	@[ -s test/.cache/debian-root.tar ] || { mkdir -p test/.cache && scripts/deps.sh debian && scripts/debian-root.sh $(CURDIR)/test/.cache/debian-root.tar; } || \
		echo "test: no mirror of Debian's, so nothing is tried in a Debian root"
	@echo "test: the real binary, with the leak check around it"
	@$(MAKE) --no-print-directory room
	@bin/leakcheck scripts/gotest.sh ./test/ -tags system -count=1 -timeout 40m

# What a run inside the leak check needs, which has no network.
room:
	@$(GO) build -o bin/leakcheck ./test/leakcheck
	@$(GO) list -deps -test -tags '$(TAGS) system' ./... >/dev/null
	@GOBIN='$(CURDIR)/bin' $(GO) install $(GOTESTSUM) || echo "test: $(GOTESTSUM) cannot be had, so failures are not collected at the end"

## torture: the tests that kill, drop and repeat, at full length (hours); TORTURE_ROUNDS, TORTURE_SEED, TORTURE_RUN
torture: deps-test bin/engine
	TORTURE=1 TORTURE_ROUNDS=$${TORTURE_ROUNDS:-200} $(GO) test -tags system -count=1 -timeout 4h -v \
		-run "$${TORTURE_RUN:-Torture|Kills|Soak|Idle|Crowd}" ./test/

## cuts: kills inside every verb, power cuts and damage, TORTURE_ROUNDS of each (needs root)
cuts: deps-test bin/engine
	TORTURE_ROUNDS=$${TORTURE_ROUNDS:-200} $(GO) test -tags system -count=1 -timeout 60m -run 'TestKillsInside|TestAPowerCut|TestOneDamaged' -v ./test/

## parity: the same commands against Debian's dockerd and against bin/engine, compared
parity: deps-test bin/engine
	@$(GO) build -o bin/leakcheck ./test/leakcheck
	@$(GO) build -o bin/parity ./test/parity
	@bin/leakcheck scripts/forwarding.sh bin/parity $(PARITY)

## check: formatting, vet, staticcheck, the import rules
check:
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	[ -z "$$unformatted" ] || { echo "gofmt wants to change:"; echo "$$unformatted"; exit 1; }
	$(GO) vet -tags '$(TAGS)' ./...
	$(GO) vet -tags '$(TAGS) system v2' ./test/...
	$(GO) test -tags '$(TAGS)' -run 'TestImport|TestTheImport|TestPackage' .
	@scripts/staticcheck.sh '$(TAGS)'

## test-v2: the engine on Debian's own kernel with systemd and cgroup v2, in qemu (slow; V2="v2 hybrid v1" for all hierarchies)
test-v2: bin/engine
	@scripts/deps.sh v2
	@test/v2/run.sh $(V2)

## test-firewalls: the real ufw, firewalld and podman on one host with the engine, with each of their back-ends (needs root; 5 minutes)
test-firewalls: bin/engine
	@scripts/deps.sh firewalls
	ENGINE_FIREWALLS=1 $(GO) test -tags system -count=1 -timeout 30m -v -run 'TestUFWOnTheSameHost|TestFirewalldOnTheSameHost|TestPodmanOnTheSameHost' ./test/

## fuzz: every fuzz target for FUZZTIME (default 10s)
fuzz:
	@GO='$(GO)' scripts/fuzz.sh '$(TAGS)' '$(FUZZTIME)'

## bench: ratios to dockerd and bare runc, in one run (needs root)
bench: deps-test bin/engine
	@$(GO) build -o bin/bench ./bench
	@bin/bench -rounds $(ROUNDS) $(BENCH)
	@bin/bench pull -rounds 3 $(filter -strict,$(BENCH))

## demo: a first look: builds, runs a container, execs into it, serves a page, cleans up (needs root)
demo:
	@scripts/demo.sh

## install: bin/engine to PREFIX/bin (default /usr/local)
install: build
	install -D -m 755 bin/engine $(DESTDIR)$(PREFIX)/bin/engine

## clean: what the other targets made
clean:
	rm -rf bin $(SEALED) $(INIT) test/parity/.cache test/.cache test/v2/.cache

bin/engine:
	@$(MAKE) --no-print-directory build

deps:
	@scripts/deps.sh build

deps-test:
	@scripts/deps.sh test
