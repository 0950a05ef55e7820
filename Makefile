# Tasks of this project. "make help" lists them.
GO ?= go
VERSION ?= development
FUZZTIME ?= 20s

.DEFAULT_GOAL := help
.PHONY: help test lint bench fuzz run demo build chart image generate ci

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The race detector looks at what works concurrently. The C code of SQLite, which was translated to
# Go, is left as it is: it would take most of the time. So would the cases, which run one by one.
test: ## run all tests, then the shorter ones with the race detector; installs what they need and is missing
	@scripts/test-needs
	$(GO) test -timeout 20m ./...
	CGO_ENABLED=1 $(GO) test -race -short -timeout 20m -skip '^TestCases' -gcflags='modernc.org/sqlite/lib=-race=false' \
		-gcflags='modernc.org/libc=-race=false' ./api/... ./config ./fhir/... ./service ./service/memory ./service/store

lint: ## gofmt, go vet and golangci-lint
	@scripts/lint

bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

fuzz: ## run each fuzz target for FUZZTIME
	@FUZZTIME=$(FUZZTIME) scripts/fuzz

run: ## run the service with its defaults
	$(GO) run . serve

demo: ## run with sample patients on a throw-away database
	$(GO) run . demo

build: ## build the static binary ./aftercare
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o aftercare .

chart: ## lint and render the Helm chart
	@scripts/check-chart

image: ## check what the Dockerfile does, without a container engine
	@scripts/check-image

generate: ## make the tables of R4 again, from the npm registry
	$(GO) run ./scripts/generate-schema
	$(GO) run ./scripts/generate-search -out fhir/search/parameters.txt
	$(GO) run ./scripts/generate-compartment

ci: ## all that CI runs
	@.ci/run
