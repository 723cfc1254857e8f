# make demo   the sample documents, all the way through, on this machine
# make test   everything that CI runs
# Both set up what they need: Rust, Python 3.10+ and a C compiler are enough.

PYTHON ?= python3
PORT ?= 4566
TEST_PORT ?= 4666
MODEL_ENDPOINT ?=
STACK_PARAMETERS ?=
CASES ?= 10000
SEED ?=
TEMPLATE ?=
MEASURES ?=
REPEATS ?=

BIN := $(CURDIR)/.venv/bin
LOCAL_AWS = $(BIN)/python tools/local_aws.py
export PATH := $(BIN):$(PATH)
export SAM_CLI_TELEMETRY := 0

.PHONY: help setup demo test lint up down build bench faults negative-control mutants api-cases

help:
	@echo "make demo    set up, build, deploy to a local AWS, run the sample documents through"
	@echo "make test    set up, then everything that CI runs"
	@echo "make up      the local AWS with the stack deployed; PORT=4566 MODEL_ENDPOINT=… STACK_PARAMETERS=\"…\""
	@echo "make down    its end"
	@echo "make build   release binaries by sam build"
	@echo "make bench   Docket beside Python, measured and drawn; MEASURES=start,cpu,… REPEATS=5"
	@echo "make api-cases  ten thousand random requests against openapi.yaml; CASES=10000 SEED=…"
	@echo "make faults  the long tests; make negative-control, the tests' own test"

setup:
	@$(PYTHON) tools/setup.py

demo: setup
	@$(BIN)/python tools/demo.py --port $(PORT) --model-endpoint "$(MODEL_ENDPOINT)"

up: setup
	@$(LOCAL_AWS) up --port $(PORT) --model-endpoint "$(MODEL_ENDPOINT)" --parameters "$(STACK_PARAMETERS)" \
		$(if $(TEMPLATE),--template $(TEMPLATE))

down: setup
	@$(LOCAL_AWS) down --port $(PORT)

build: setup
	sam build

lint: setup
	cargo fmt --check
	cargo clippy --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
	sam validate --lint --region us-east-1
	$(BIN)/python bench/draw.py --check

# Long: ten thousand pairs of faults, a hundred thousand interleavings, ten
# minutes of each fuzz target, and the tests' own test.
faults: setup
	@FAULT_PAIRS=10000 INTERLEAVINGS=100000 FUZZ_SECONDS=600 CLAIM_KEYS=1000 \
		$(BIN)/python tools/test.py --port $(TEST_PORT) --tests "faults interleavings bad_input claim"
	@$(MAKE) negative-control

# With a safeguard taken out, a test must fail.
negative-control: setup
	@$(BIN)/python tools/negative_control.py --port $(TEST_PORT)

# Every mutant of the claim and the endings: a test must fail. Needs `make up`.
mutants: setup
	@test -x $(BIN)/cargo-mutants || cargo install --quiet --locked --root .venv --version 27.1.0 cargo-mutants
	DOCKET_OUTPUTS=$(CURDIR)/.local/outputs.env cargo mutants --no-shuffle --timeout 300 \
		-f src/domain/claim.rs -f src/domain/ending.rs -f src/aws/jobs/claim.rs -f src/aws/jobs/endings.rs \
		-- --lib --examples --test claim --test consumer -- --include-ignored

# Every measure by release binaries, or those that MEASURES names; without it also
# docket plan held against a run. Then figures and tables of docs/PERFORMANCE.md.
bench: setup
	cargo build --release --bins
	cargo build --profile servers --example bedrock_stand_in --example bench_services
	@$(BIN)/python bench/run.py --port $(TEST_PORT) --measures "$(MEASURES)" $(if $(REPEATS),--repeats $(REPEATS)) --clean-build
	@$(BIN)/python bench/draw.py
ifeq ($(MEASURES),)
	@$(BIN)/python tools/test.py --port $(TEST_PORT) --tests plan_measured
endif

# Random requests, right and wrong, by schemathesis: no 5xx, and no answer that
# openapi.yaml does not describe. SEED repeats a run.
api-cases: setup
	@$(BIN)/python tools/api_cases.py --port $(TEST_PORT) --cases $(CASES) $(if $(SEED),--seed $(SEED))

test: lint
	@$(BIN)/python tools/test.py --port $(TEST_PORT)
