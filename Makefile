# Rasid. `make run` shows it, `make test` tests it; everything else is for those who
# work on it.

# One set of build flags for everything, so that one build cache serves all.
export CGO_ENABLED := 0
export GOFLAGS := -trimpath -buildvcs=false
LDFLAGS := -s -w
BUILD := .build
PROGRAMS := rasid-kiosk rasid-office rasid-audit rasid-lab

# What the tests check us with: program=Debian package.
TOOLS := chromium=chromium pdftotext=poppler-utils zbarimg=zbar-tools hb-shape=libharfbuzz-bin \
         hledger=hledger bean-check=beancount ippeveprinter=cups-ipp-utils dbus-daemon=dbus qpdf=qpdf mkfs.ext4=e2fsprogs
NPM := $(BUILD)/npm

.PHONY: help run build check test tools soak fuzz bench clean

help: ## say what there is
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

run: build ## build everything and show three kiosks and an office on one page
	@$(BUILD)/rasid-lab demo

build: ## build the programs into .build/
	@mkdir -p $(BUILD)
	@go build -ldflags '$(LDFLAGS)' -o $(BUILD)/ $(addprefix ./cmd/,$(PROGRAMS))

check: ## gofmt, vet, staticcheck and the tests that read the docs
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'run gofmt -w on:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...
	go tool staticcheck ./...
	go test ./internal/doctest/...

test: tools build ## install what the tests need where it may be, and run every test
	RASID_NPM=$(CURDIR)/$(NPM) RASID_BUILD=$(CURDIR)/$(BUILD) go test -timeout 15m ./...

tools:
	@PATH="$$PATH:/usr/sbin:/sbin"; missing=; for t in $(TOOLS); do command -v $${t%%=*} >/dev/null || missing="$$missing $${t##*=}"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then as=; elif sudo -n true 2>/dev/null; then as='sudo -n'; else as=no; fi; \
	  if [ "$$as" = no ]; then echo "for all tests, install:$$missing"; \
	  else $$as apt-get update -qq </dev/null && DEBIAN_FRONTEND=noninteractive $$as apt-get install -y -qq --no-install-recommends $$missing </dev/null >/dev/null; fi; \
	fi
	@if ! cmp -s internal/e2e/npm/package-lock.json $(NPM)/package-lock.json || [ ! -f $(NPM)/node_modules/axe-core/axe.min.js ]; then \
	  mkdir -p $(NPM) && cp internal/e2e/npm/package.json internal/e2e/npm/package-lock.json $(NPM)/ && \
	  (cd $(NPM) && npm ci --ignore-scripts --no-fund --no-audit --silent </dev/null) || { rm -f $(NPM)/package-lock.json; echo 'for all tests, npm must fetch what internal/e2e/npm names'; }; \
	fi

soak: tools build ## every test under the race detector, random tests with more seeds
	CGO_ENABLED=1 RASID_SEEDS=2000 RASID_NPM=$(CURDIR)/$(NPM) RASID_BUILD=$(CURDIR)/$(BUILD) go test -race -timeout 120m ./...

fuzz: ## a minute for every fuzz target
	@for p in $$(go list ./...); do for f in $$(go test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	  echo "$$p $$f"; go test -run '^$$' -fuzz "^$$f$$" -fuzztime 60s $$p || exit 1; done; done

bench: build ## measure against the limits, and write docs/BENCHMARKS.md
	@$(BUILD)/rasid-lab bench --out docs/BENCHMARKS.md

clean: ## remove what was built
	rm -rf $(BUILD)
