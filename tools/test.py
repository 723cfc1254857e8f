"""All tests: those that need nothing, and those on a local AWS of their own."""
import argparse
import os
import subprocess
import sys

import api_cases
import local_aws
import setup
from local_aws import ROOT, Local, Stop

# What the end-to-end tests count on.
PARAMETERS = "MaximumConcurrency=20 BatchSize=10 MaxTries=8 AsyncModelIds=amazon.nova-reel-v1:1 ModelTokensPerMinute=1000000000"
# Random requests to the API after the tests, the same each time; `make
# api-cases` asks more, and others.
API_CASES, API_SEED = 1_500, 1


# In tests/bad_input.
FUZZ_TARGETS = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=4666, help="the local AWS's port; the stand-in takes the next")
    parser.add_argument("--tests", default="", help="only these of tests/, such as \"faults claim\"")
    arguments = parser.parse_args()
    # The roles may do what the tests want of them, and nothing else.
    local = Local(arguments.port, parameters=PARAMETERS, announced=False, enforce_iam=True)
    chosen = [word for test in arguments.tests.split() for word in ("--test", test)]
    cargo = ["cargo", "test", "--all-features", "--no-fail-fast"]
    if chosen:
        commands = [[*cargo, *chosen, "--", "--include-ignored", "--nocapture"]]
    else:
        # The fuzz targets each for a time of their own, all side by side; the
        # plan against a measured run is a bench's.
        fuzzed = [*cargo, "--test", "bad_input", "--", f"--test-threads={FUZZ_TARGETS}"]
        rest = [*cargo, "--", "--include-ignored", "--skip", "makes_it_panic", "--skip", "the_plan_is_within_a_tenth_of_a_measured_run"]
        commands = [fuzzed, rest]
    try:
        # Built first, so that nothing waits for the compiler with the local AWS up.
        subprocess.run(["cargo", "test", "--all-features", "--no-run"], cwd=ROOT, check=True)
        if not chosen:
            setup.api()
        local_aws.up(local)
        environment = os.environ | {"DOCKET_OUTPUTS": str(local.directory / "outputs.env"), "RUST_BACKTRACE": "0"}
        environment.setdefault("FUZZ_SECONDS", "60")
        tests = max(subprocess.run(command, cwd=ROOT, env=environment).returncode for command in commands)
        # Last, for they leave jobs and batches of all kinds behind.
        cases = 0 if chosen else api_cases.run(local, API_CASES, API_SEED)
        return tests or cases
    except Stop as stop:
        print(f"test: {stop}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        return error.returncode
    finally:
        local_aws.down(local)


if __name__ == "__main__":
    sys.exit(main())
