# Strongroom's tasks; `make help` lists them.

CARGO_FLAGS := --release
DATA_DIR ?= ./strongroom-data
PYTEST_FLAGS ?= -n 4

TOOLS := $(CURDIR)/.tools
SERVER := target/release/strongroom
DENY_VERSION := 0.20.2
DENY := $(TOOLS)/cargo-deny-$(DENY_VERSION)/bin/cargo-deny
FUZZ_VERSION := 0.13.2
FUZZ := $(TOOLS)/cargo-fuzz-$(FUZZ_VERSION)/bin/cargo-fuzz

.PHONY: help serve build test test-rust test-clients fuzz fuzz-parsers crash powercut rekey test-apps big lint fmt deny bench load clean-tools

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: build ## Build, then serve DATA_DIR (./strongroom-data) and print commands to paste
	@exec $(SERVER) serve $(DATA_DIR)

build: ## Build target/release/strongroom
	cargo build $(CARGO_FLAGS)

test: test-rust test-clients ## Run all tests

test-rust: ## Run the Rust tests
	tests/install.sh
	python3 tests/run_rust.py $(CARGO_FLAGS)

# After the Rust tests, whose build of the binary has the crates' testing features: the clients get the real one.
test-clients: build ## Run unmodified S3 clients against the release binary
	tests/install.sh
	.tools/venv/bin/python -m pytest $(PYTEST_FLAGS) tests

# The same seed makes the same requests again; a failure names it.
FUZZ_REQUESTS ?= 1000000
FUZZ_SEED ?= $(shell date +%s)

fuzz: build ## Send a million signed and altered requests to running servers (FUZZ_REQUESTS, FUZZ_SEED)
	tests/install.sh
	STRONGROOM_TEST_FUZZ_REQUESTS=$(FUZZ_REQUESTS) STRONGROOM_TEST_FUZZ_SEED=$(FUZZ_SEED) .tools/venv/bin/python -m pytest $(PYTEST_FLAGS) -rP tests/attacks/test_fuzz.py

FUZZ_TARGETS ?= signature chunked_body form multipart xml query copy_source policy
FUZZ_SECONDS ?= 600

# Without a sanitizer, so that the stable compiler does: the parsers are safe Rust. What is found goes to fuzz/found, not into the corpus.
fuzz-parsers: $(FUZZ) ## Give the parsers bytes that a fuzzer makes up (FUZZ_TARGETS, FUZZ_SECONDS each)
	for target in $(FUZZ_TARGETS); do \
	  mkdir -p fuzz/found/$$target; \
	  CARGO_TARGET_DIR=$(CURDIR)/target/fuzz $(FUZZ) fuzz run --sanitizer none $$target fuzz/found/$$target fuzz/corpus/$$target -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=2048 || exit 1; \
	done

crash: build ## Kill the server 200 times under concurrent writes
	tests/install.sh
	STRONGROOM_TEST_KILLS=200 .tools/venv/bin/python -m pytest -n 0 tests/test_crash.py

# The same seed makes the same cuts, of another record: a failure keeps its own, and names the moment.
CUTS ?= 1000

powercut: build ## Cut the power 1,000 times under every kind of write (CUTS)
	tests/install.sh
	STRONGROOM_TEST_POWERCUTS=$(CUTS) .tools/venv/bin/python -m pytest -n 0 -rP tests/powercut

rekey: build ## Re-key 100,000 objects, killed ten times on the way
	tests/install.sh
	STRONGROOM_TEST_REKEY_OBJECTS=100000 STRONGROOM_TEST_REKEY_KILLS=10 .tools/venv/bin/python -m pytest -n 0 --timeout 3600 tests/test_rekey_crash.py

# APPS: some of the files of tests/apps.
APPS ?= tests/apps

test-apps: build ## Let applications do a day's work (APPS="tests/apps/test_pyiceberg.py …")
	tests/install.sh
	tests/install-apps.sh
	STRONGROOM_TEST_APPS=1 .tools/apps/python/bin/python -m pytest -n 2 $(APPS)

big: build ## Put and get 5 GiB, whole and in parts, in less than 256 MiB of memory
	tests/install.sh
	STRONGROOM_TEST_BIG=1 .tools/venv/bin/python -m pytest -n 0 tests/test_big.py

lint: deny ## Check formatting, clippy without warnings, licences and sources of dependencies
	cargo fmt --all --check
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

fmt: ## Format the Rust code
	cargo fmt --all

# Advisories need a database from the network; run `cargo deny check advisories` by hand.
deny: $(DENY) ## Check licences, bans and sources of dependencies
	$(DENY) check bans licenses sources

bench: build ## Measure the standard matrix; bench/run.sh tells how to narrow it
	bench/run.sh

# Also: SECS of each cell, PEERS ("strongroom minio"), CROWDS, MEMORY, DISK; see bench/load/__main__.py.
load: build ## Measure one client beside crowds, slow clients' memory and a full disk, beside MinIO where Go is there
	tests/install.sh
	CARGO_TARGET_DIR=$(CURDIR)/target/s3load cargo build --quiet --release --manifest-path bench/s3load/Cargo.toml
	PEERS_HOME=$(CURDIR)/target/peers PEERS="$${PEERS:-strongroom $$(command -v go >/dev/null && echo minio)}" .tools/venv/bin/python bench/load

clean-tools: ## Remove the installed tools
	rm -rf $(TOOLS)

$(FUZZ):
	cargo install cargo-fuzz --debug --locked --version $(FUZZ_VERSION) --root $(TOOLS)/cargo-fuzz-$(FUZZ_VERSION)

$(DENY):
	cargo install cargo-deny --debug --locked --version $(DENY_VERSION) --root $(TOOLS)/cargo-deny-$(DENY_VERSION)
