# make demo    runs the sample documents through the whole stack on this machine
# make test    runs everything that CI runs
# Both install what they need: Rust, Python 3.10+ and a C compiler are enough.

PYTHON ?= python3
PORT ?= 4566
TEST_PORT ?= 4666
MODEL_ENDPOINT ?=
MODEL ?=
STACK_PARAMETERS ?=
CASES ?= 10000
SEED ?=
TEMPLATE ?=
MEASURES ?=
REPEATS ?=

BIN := $(CURDIR)/.venv/bin
CHECK := $(CURDIR)/.venv/check/bin
TEMPLATE_LINT = $(CURDIR)/.venv/sam/bin/python tools/template_lint.py
TEMPLATE_REGIONS := us-east-1,eu-central-1,ap-southeast-2,us-gov-west-1
LOCAL_AWS = $(BIN)/python tools/local_aws.py
export PATH := $(BIN):$(CHECK):$(PATH)
export SAM_CLI_TELEMETRY := 0

.PHONY: help setup setup-check setup-template demo check prose test up down build docs bench faults negative-control second-dynamodb mutants api-cases page-pictures

help:
	@echo "make demo              set up, build, deploy to a local AWS, run the sample documents;"
	@echo "                       MODEL=smollm2 lets a small language model answer"
	@echo "make check             format, lints, unit tests, texts and docs: no local AWS"
	@echo "make test              make check, then every test on a local AWS"
	@echo "make up, make down     start and end the local AWS; PORT=4566 MODEL_ENDPOINT=… STACK_PARAMETERS=\"…\""
	@echo "make build             release binaries by sam build"
	@echo "make docs              the documentation as a book, in target/book"
	@echo "make bench             measures Docket and Python consumers; MEASURES=start,cpu,… REPEATS=5"
	@echo "make api-cases         ten thousand random requests against openapi.yaml; CASES=10000 SEED=…"
	@echo "make faults            the long tests"
	@echo "make negative-control  removes each safeguard in turn: a test must fail"
	@echo "make second-dynamodb   the conditional writes on two more implementations of DynamoDB"
	@echo "make mutants           mutates the claim and the endings: a test must fail"

setup:
	@$(PYTHON) tools/setup.py

setup-check: setup
	@$(PYTHON) tools/setup.py --check-tools

setup-template: setup
	@$(PYTHON) tools/setup.py --template-tools

demo: setup
	@$(BIN)/python tools/demo.py --port $(PORT) --model-endpoint "$(MODEL_ENDPOINT)" --model "$(MODEL)"

up: setup
	@$(LOCAL_AWS) up --port $(PORT) --model-endpoint "$(MODEL_ENDPOINT)" --parameters "$(STACK_PARAMETERS)" \
		$(if $(TEMPLATE),--template $(TEMPLATE))

down: setup
	@$(LOCAL_AWS) down --port $(PORT)

build: setup
	sam build

# The quick tier.
check: setup-check prose
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo test --workspace --quiet --lib --bins
	cargo test --workspace --quiet --test layering --test agreement --test openapi
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --quiet
	sam validate --lint --region us-east-1
	$(TEMPLATE_LINT) --self-test
	$(TEMPLATE_LINT)
	$(CURDIR)/.venv/sam/bin/python tools/import_template.py --self-test
	$(BIN)/python bench/draw.py --check
	$(BIN)/python tools/reference.py --check
	$(BIN)/python tools/release_template.py --self-test
	$(BIN)/python -m unittest --quiet tools.ministack.test_patches
	$(BIN)/python -m unittest --quiet tools.alarms.test_alarms
	$(BIN)/python -m tools.alarms.check
	$(BIN)/python -m tools.alarms.picture --check
	$(BIN)/python tools/negative_control.py --check
	actionlint
	zizmor --offline --no-progress --quiet .github
	shellcheck .ci/run
	$(PYTHON) tools/vendored.py --self-test
	$(PYTHON) tools/vendored.py
	cargo deny --locked --workspace check licenses sources
	cargo deny --locked check --allow unmatched-skip bans
	cargo deny --locked --manifest-path cli/Cargo.toml --config deny.toml check bans
	cargo shear --locked --deny-warnings
	cargo test --quiet --locked --package crc-fast
	$(PYTHON) tools/hash_requirements.py --check
	$(PYTHON) tools/advisories.py

# The texts: words, names of tests, spelling, links, and the pages of the book.
prose: setup-check
	$(PYTHON) tools/prose.py --self-test
	$(PYTHON) tools/prose.py
	$(PYTHON) tools/commits.py --self-test
	$(PYTHON) tools/docs_check.py --self-test
	$(PYTHON) tools/docs_check.py
	typos
	mdbook build docs

docs: setup-check
	mdbook build docs
	@echo "docs: open target/book/index.html"

test: check setup-template
	$(TEMPLATE_LINT) --regions $(TEMPLATE_REGIONS) --checkov
	@$(BIN)/python tools/test.py --port $(TEST_PORT)

# Long: ten thousand pairs of faults, a hundred thousand interleavings, ten minutes
# of each fuzz target, and the negative control.
faults: setup
	@FAULT_PAIRS=10000 INTERLEAVINGS=100000 FUZZ_SECONDS=600 CLAIM_KEYS=1000 BATCH_RECORDS=10 \
		HOLD_DOCUMENTS=2000 STRANDED_JOBS=2000 RETRIED_JOBS=10000 \
		$(BIN)/python tools/test.py --port $(TEST_PORT) \
		--tests "faults interleavings bad_input claim batches hold stranded"
	@$(MAKE) negative-control second-dynamodb

# Removes each safeguard in turn: a test must fail.
negative-control: setup
	@$(BIN)/python tools/negative_control.py --port $(TEST_PORT)

# The conditional writes on two more implementations of DynamoDB.
second-dynamodb: setup
	@$(PYTHON) tools/setup.py --second-dynamodb
	@$(BIN)/python tools/second_dynamodb.py --port $(TEST_PORT)

# Every mutant of the claim and the endings: a test must fail. Needs `make up`.
mutants: setup
	@test -x $(BIN)/cargo-mutants || cargo install --quiet --locked --root .venv --version 27.1.0 cargo-mutants
	DOCKET_OUTPUTS=$(CURDIR)/.local/outputs.env cargo mutants --no-shuffle --timeout 300 \
		-f src/domain/job/claim.rs -f src/domain/job/ending.rs -f src/aws/jobs/claim.rs -f src/aws/jobs/endings.rs \
		-- --lib --test claim --test consumer -- --include-ignored

# Every measure by release binaries, or those that MEASURES names; without it also
# a comparison of docket plan with a run. Then the figures and tables of the documentation.
bench: setup
	cargo build --release --bins -p docket
	cargo build --release --bins -p docket-cli
	cargo build --profile servers -p stand_in -p bench_services
	@$(BIN)/python bench/run.py --port $(TEST_PORT) --measures "$(MEASURES)" $(if $(REPEATS),--repeats $(REPEATS)) --clean-build
	@$(BIN)/python bench/draw.py
ifeq ($(MEASURES),)
	@$(BIN)/python tools/test.py --port $(TEST_PORT) --tests plan_measured
endif

# The pictures of `docket ui` in the documentation, by its tests in a browser. Needs
# Chromium, and `make up` without a batch leases-2026.
page-pictures: setup
	@$(PYTHON) tools/setup.py --browser-tools
	cargo build --quiet -p docket-cli
	@$(BIN)/../browser/bin/python tools/page_test.py --docs

# Random requests, right and wrong, by schemathesis: no 5xx, and no response that
# openapi.yaml does not describe. SEED repeats a run.
api-cases: setup
	@$(BIN)/python tools/api_cases.py --port $(TEST_PORT) --cases $(CASES) $(if $(SEED),--seed $(SEED))
