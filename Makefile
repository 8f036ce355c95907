# Everything a person or the gate does here. `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The collector's version, here and in builder-config.yaml; e2e/smoke/manifest_test.go holds the two (and the tools' modules) together.
OTELCOL_VERSION := v0.145.0

# The product's version has one source; the image's tag and e2e/image follow it.
VERSION := $(shell sed -n 's/^  version: //p' builder-config.yaml)

# Without -buildvcs=false the same source makes another binary after each commit; the image's label says which commit it is.
BUILD_FLAGS := -trimpath -buildvcs=false -tags grpcnotrace -ldflags='-s -w'
TOOLS := .tools

GENERATED := distro ':(glob)components/**/generated_*' ':(glob)components/**/documentation.md' \
	deploy/operator/base/agent.yaml deploy/operator/base/targetallocator.yaml ':(glob)deploy/operator/overlays/*/[gs]*.yaml'

# The race detector links with a C compiler; without one the tests still run.
RACE := $(if $(shell command -v $(or $(CC),gcc)),-race)

##@ Use
.PHONY: help run build image
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' Makefile

run: build ## Build, then watch the local profile enrich bundled pod logs, spans and metrics (Ctrl-C stops)
	@go build -o bin/replay ./configs/local/replay
	@exec bin/replay $(RUN_ARGS)

build: ## Build bin/otelcol: static, trimmed, version stamped
	@.ci/build-progress env CGO_ENABLED=0 go -C distro build -v $(BUILD_FLAGS) -o ../bin/otelcol .

# For another machine, or for several: make image ARCH='amd64 arm64'
IMAGE := ghcr.io/sluice-otel/sluice
ARCH ?= $(shell go env GOARCH)
image: $(TOOLS)/image ## Pack the binary and configs/ into bin/sluice-image.tar (OCI; docker, podman, ctr load it), with a bill of materials
	@rm -rf bin/sluice-image* bin/image && mkdir -p $(ARCH:%=bin/image/%)
	@for arch in $(ARCH); do \
		if [ "linux/$$arch" = "$(shell go env GOOS)/$(shell go env GOARCH)" ]; then $(MAKE) --no-print-directory build; ln -f bin/otelcol bin/image/$$arch/otelcol; \
		else .ci/build-progress env CGO_ENABLED=0 GOOS=linux GOARCH=$$arch go -C distro build -v $(BUILD_FLAGS) -o ../bin/image/$$arch/otelcol .; fi; \
		$(TOOLS)/image sbom -binary bin/image/$$arch/otelcol -module distro -version $(VERSION) -out bin/sluice-image-$$arch.cdx.json; \
	done
	@$(TOOLS)/image -name $(IMAGE):$(VERSION) -out bin/sluice-image.tar -platform "$$(printf 'linux/%s\n' $(ARCH) | paste -sd,)" \
		-user 65532:65532 -entrypoint /otelcol -env ZONEINFO=/usr/share/zoneinfo.zip $(IMAGE_COMMIT) $(IMAGE_LABELS) \
		-layer '/etc/ssl/certs/ca-certificates.crt=@ca-certificates,/usr/share/zoneinfo.zip=$(shell go env GOROOT)/lib/time/zoneinfo.zip,/var/lib/sluice/=' \
		-layer '/otelcol=bin/image/{arch}/otelcol,/usr/share/doc/sluice/sbom.cdx.json=bin/sluice-image-{arch}.cdx.json' \
		-layer '/etc/otelcol/=configs/*.yaml,/etc/otelcol/backends/=configs/backends/*.yaml,/etc/otelcol/loki/=configs/loki/*.yaml'

# Which commit it is of: nothing is said of a tree with changes, because it would be wrong. No layer depends on it.
IMAGE_COMMIT = $(shell [ -n "$$(git status --porcelain 2>&1)" ] || TZ=UTC0 git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format='-created %cd -label org.opencontainers.image.created=%cd -label org.opencontainers.image.revision=%H' )
IMAGE_LABELS = -label org.opencontainers.image.title=Sluice -label org.opencontainers.image.version=$(VERSION) \
	-label 'org.opencontainers.image.description=$(shell sed -n 's/^  description: //p' builder-config.yaml)' \
	-label org.opencontainers.image.licenses=Apache-2.0 -label org.opencontainers.image.vendor='The Sluice authors' \
	-label org.opencontainers.image.source=https://github.com/sluice-otel/sluice \
	-label org.opencontainers.image.documentation=https://github.com/sluice-otel/sluice\#image

##@ Prove
.PHONY: test e2e e2e-image e2e-cluster fuzz bench soak check lint
test: build ## Unit tests, race tests of our packages, the binary under every shipped profile (needs no root)
	go vet ./...
	go test $(RACE) ./...
	go -C e2e/bench/loki vet . && go -C e2e/bench/loki test .
	go -C deploy/image vet ./... && go -C deploy/image test ./...
	go run ./e2e/backends/cmd/build etcd kube-apiserver kubectl
	go test -tags e2e -count=1 -timeout 10m ./e2e/smoke
	go test -tags e2e -count=1 -timeout 10m -short ./deploy/kubernetes

# How many tests of ./e2e run at a time, beside those of one other package: they mostly wait. The image's tests compile, the soak rig and the benchmarks measure: they stay alone.
E2E_LANES ?= 2
e2e: browser victoria-metrics build image ## End to end on real servers and in a browser (root, or unprivileged user namespaces)
	go run ./e2e/backends/cmd/build
	SLUICE_E2E_LANES=$(E2E_LANES) go test -tags e2e -count=1 -timeout 45m -p 2 ./e2e ./e2e/backends ./e2e/harness ./deploy/kubernetes ./deploy/operator \
		./components/cardinalitylimiterprocessor/internal/page ./components/lokihintprocessor/internal/lokimodel ./components/lokihintprocessor/cmd/lokihint
	@mkdir -p .work && rm -f .work/soak-short*
	SLUICE_SOAK_REPORT=$(CURDIR)/.work/soak-short.md go test -tags e2e -count=1 -timeout 45m -p 1 ./e2e/image ./e2e/soak ./e2e/bench

e2e-image: image ## Only what `make e2e` says of the image: its content, that it runs, that two checkouts make the same one
	go test -tags e2e -count=1 -timeout 20m ./e2e/image

e2e-cluster: cluster ## The whole thing in a Kubernetes that the tests boot (root), or in yours: e2e/cluster/README.md
	go test -tags e2e -count=1 -timeout 30m -v ./e2e/cluster

# What the cluster is made of; compiling it takes half an hour, less after `make e2e`. What a node needs, a cluster of one's own brings along.
.PHONY: cluster node
cluster: node image
	go run ./e2e/backends/cmd/build $(if $(SLUICE_CLUSTER_KUBECONFIG),jaeger kubectl loki prometheus targetallocator,-all)
node:
	@[ "$$(id -u)" = 0 ] || [ -n "$(SLUICE_CLUSTER_KUBECONFIG)" ] || { echo 'a Kubernetes of its own takes root; SLUICE_CLUSTER_KUBECONFIG names one that is there: e2e/cluster/README.md'; exit 1; }
	@missing=; for program in containerd ctr runc conntrack iptables ip; do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
		[ -e /usr/lib/cni/portmap ] || [ -e /opt/cni/bin/portmap ] || missing="$$missing portmap"; \
		[ -z "$$missing" ] || [ -n "$(SLUICE_CLUSTER_KUBECONFIG)" ] || { echo "not there:$$missing, which a node of Kubernetes needs: apt-get install --no-install-recommends" \
		'containerd runc containernetworking-plugins conntrack iptables iproute2 (and stop the service of containerd)'; exit 1; }

# Said before the build, not half an hour later; e2e/browser looks for the same names.
.PHONY: browser
browser:
	@command -v chromium chromium-browser google-chrome >/dev/null || { echo 'no browser, which tests of the limiter page need: apt-get install --no-install-recommends chromium fonts-dejavu-core'; exit 1; }

.PHONY: victoria-metrics
victoria-metrics:
	@command -v victoria-metrics >/dev/null || { echo 'no VictoriaMetrics, which tests of remote write need: apt-get install --no-install-recommends victoria-metrics (and stop its service)'; exit 1; }

FUZZTIME ?= 10s
fuzz: ## Fuzz every parser and every state machine, each for FUZZTIME (10s; 10m takes four hours)
	@grep -rlE --include=*_test.go --exclude-dir=distro '^func Fuzz' . | while read -r file; do \
		for target in $$(grep -oE '^func Fuzz[A-Za-z]+' "$$file" | cut -d' ' -f2); do \
			echo "==> $$target $$(dirname "$$file")"; \
			.ci/fuzz "$$target" "$$(dirname "$$file")" $(FUZZTIME) || exit 1; \
		done; \
	done

# A smaller run, to see that the benchmarks work: make bench BENCH_TIME=20x BENCH_ARGS='-lines 50000' REST_ARGS='-lines 50000 -idle 2s'
BENCH_TIME ?= 1s
BENCH_ARGS ?= -runs 3
REST_ARGS ?=
# Small enough for every run. For figures: LIMITER_ARGS='-runs 5', a quarter of an hour.
LIMITER_ARGS ?= -points 200000
LOKI_ARGS ?= -records 200000
bench: build ## Side by side with upstream: in process, as a whole process, at rest (20 minutes; prints the README's tables)
	@mkdir -p .work
	go test -run XXX -bench . -benchtime $(BENCH_TIME) ./components/... > .work/bench.txt || { cat .work/bench.txt; exit 1; }
	go -C e2e/bench/loki test -run XXX -bench . -benchtime $(BENCH_TIME) . >> .work/bench.txt || { cat .work/bench.txt; exit 1; }
	go run ./e2e/bench -table < .work/bench.txt
	go run ./e2e/bench $(BENCH_ARGS)
	go run ./e2e/bench -rest $(REST_ARGS)
	go run ./e2e/bench -limiter $(LIMITER_ARGS)
	go run ./e2e/bench -loki $(LOKI_ARGS)

soak: build victoria-metrics ## What takes hours: 50 rounds of every kill, an outage of 10 minutes, samplers beside upstream's
	go run ./e2e/backends/cmd/build
	@mkdir -p .work && rm -f .work/soak.md
	SLUICE_SOAK_FULL=1 go test -tags e2e -count=1 -timeout 3h -v ./e2e/soak
	SLUICE_SOAK_FULL=1 go test -tags e2e -count=1 -timeout 1h -run TestSampler -v ./e2e
	SLUICE_COMPARE=2m go test -tags e2e -count=1 -timeout 1h -run '^TestSampling(Compare|Cost)$$' -v ./e2e
	SLUICE_SOAK_ROUNDS=50 go test -tags e2e -count=1 -timeout 4h -run TestContainerLog -v ./e2e

check: generate lint ## Nothing generated has drifted, modules are tidy, code is formatted and linted
	@git diff --exit-code --stat -- $(GENERATED) || { echo 'generated files differ from builder-config.yaml, metadata.yaml, configs or deploy/kubernetes: run `make generate` and commit the result'; exit 1; }
	@test -z "$$(git status --porcelain -- $(GENERATED))" || { echo 'generated files are not committed: run `make generate` and commit the result'; exit 1; }
	@for m in . .ci/tools/* deploy/image e2e/backends/*/ e2e/bench/*/; do if [ -f "$$m/go.mod" ]; then go -C "$$m" mod tidy -diff || { echo "$$m/go.mod is not tidy: run \`go -C $$m mod tidy\` and commit the result"; exit 1; }; fi; done

lint: $(TOOLS)/golangci-lint ## Format check and linters (.golangci.yaml)
	$(TOOLS)/golangci-lint fmt --diff
	$(TOOLS)/golangci-lint run
	cd e2e/bench/loki && ../../../$(TOOLS)/golangci-lint run
	cd deploy/image && ../../$(TOOLS)/golangci-lint run

##@ Change
.PHONY: generate fmt clean
generate: $(TOOLS)/builder $(TOOLS)/mdatagen ## Write distro/ from builder-config.yaml, deploy/operator from configs/, and what components generate from metadata.yaml
	PATH="$(CURDIR)/$(TOOLS):$$PATH" go generate ./components/...
	$(TOOLS)/builder --config builder-config.yaml --skip-compilation --skip-strict-versioning=false
	gofmt -w distro
	go run ./deploy/operator/generate

fmt: $(TOOLS)/golangci-lint ## Format the code
	$(TOOLS)/golangci-lint fmt

clean: ## Remove what was built; keeps the cache of built servers (.cache)
	rm -rf bin $(TOOLS) .work

$(TOOLS)/image: $(filter-out %_test.go,$(wildcard deploy/image/*.go)) deploy/image/go.mod deploy/image/go.sum
	@go -C deploy/image build -o ../../$@ .

$(TOOLS)/%: .ci/tools/%/go.mod .ci/tools/%/go.sum
	@echo "building $* (once)"
	@go -C .ci/tools/$* build -o ../../../$@ tool
