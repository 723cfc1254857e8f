"""All tests: those that need nothing, and those on a local AWS of their own."""
import argparse
import os
import subprocess
import sys

import local_aws
from local_aws import ROOT, Local, Stop

# What the end-to-end tests count on.
PARAMETERS = "MaximumConcurrency=20 BatchSize=10 MaxTries=8 AsyncModelIds=amazon.nova-reel-v1:1"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=4666, help="the local AWS's port; the stand-in takes the next")
    parser.add_argument("--tests", default="", help="only these of tests/, such as \"faults claim\"")
    arguments = parser.parse_args()
    local = Local(arguments.port, parameters=PARAMETERS, announced=False)
    chosen = [word for test in arguments.tests.split() for word in ("--test", test)]
    shown = ["--nocapture"] if chosen else []
    command = ["cargo", "test", "--all-features", "--no-fail-fast", *chosen, "--", "--include-ignored", *shown]
    try:
        # Built first, so that nothing waits for the compiler with the local AWS up.
        subprocess.run(["cargo", "test", "--all-features", "--no-run"], cwd=ROOT, check=True)
        local_aws.up(local)
        environment = os.environ | {"DOCKET_OUTPUTS": str(local.directory / "outputs.env"), "RUST_BACKTRACE": "0"}
        environment.setdefault("FUZZ_SECONDS", "60")
        return subprocess.run(command, cwd=ROOT, env=environment).returncode
    except Stop as stop:
        print(f"test: {stop}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        return error.returncode
    finally:
        local_aws.down(local)


if __name__ == "__main__":
    sys.exit(main())
