"""Runs the tests of the conditional writes on other implementations of DynamoDB.

The implementations share no code with the local AWS or with each other. A test that
passes on one and fails on another shows an error in an implementation or in Docket. AWS's
documentation decides, and docs/internals/reliability.md lists the findings.

The test programs are those that run on the local AWS. They read the endpoint of DynamoDB
from a file of outputs. SQS and S3 are those of the local AWS.
"""
import argparse
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import local_aws
import setup
from cargo_tests import Output, Phases, TestProgram, build_test_programs, select
from local_aws import Local, write_env_file
from processes import HOST, ROOT, BackgroundProcess, ToolError

# Smaller than on the local AWS, because the runs repeat what ran there. Variables of the
# caller have precedence.
SIZES = {"INTERLEAVINGS": "500", "CLAIM_KEYS": "20"}

# Test targets with the functions to run; no function means all of the target.
TESTS: dict[str, tuple[str, ...]] = {
    "claim": (),
    "interleavings": (),
    "stored_jobs": (),
    "quota": (
        "slot_decision_and_conditional_write_agree_on_every_case",
        "concurrent_reservations_are_each_counted_once",
    ),
    "consumer": (),
    "producer": (),
    "async_jobs": (
        "cancelled_job_is_not_polled_and_notes_its_invocation",
        "one_copy_of_a_poll_continues_and_old_copies_do_nothing",
        "redrive_of_a_failed_invocation_starts_another_one",
    ),
}


@dataclass(frozen=True)
class Implementation:
    """A server that speaks DynamoDB's API."""

    # A part of the command line of its process, too.
    name: str
    # {port} is replaced.
    command: tuple[str, ...]
    # The port is that of the local AWS plus this number. The stand-in uses the next port.
    port_offset: int
    health_path: str
    # Tests that fail because this implementation differs from AWS, with the reason.
    skipped: dict[str, str] = field(default_factory=dict)

    def start(self, local: Local) -> BackgroundProcess:
        port = local.port + self.port_offset
        process = BackgroundProcess(local.directory, self.name, port, f"http://{HOST}:{port}{self.health_path}")
        # Another start is a start without tables.
        process.end()
        command = [word.format(port=process.port) for word in self.command]
        process.start(command, local.environment())
        return process


NOT_ATOMIC = (
    "moto changes an item in several steps without a lock, so a concurrent request meets half of a write; "
    "on AWS, UpdateItem is atomic"
)
IMPLEMENTATIONS = [
    Implementation(
        name="dynoxide",
        command=(f"{setup.DYNOXIDE}/bin/dynoxide", "--host", HOST, "--port", "{port}"),
        port_offset=2,
        health_path="/",
    ),
    Implementation(
        name="moto_server",
        command=(f"{setup.MOTO}/bin/moto_server", "-H", HOST, "-p", "{port}"),
        port_offset=3,
        health_path="/moto-api/data.json",
        skipped={
            "one_of_sixty_four_concurrent_claims_wins": NOT_ATOMIC,
            "concurrent_reservations_are_each_counted_once": NOT_ATOMIC,
            "one_copy_of_a_poll_continues_and_old_copies_do_nothing": NOT_ATOMIC,
            "number_beyond_the_range_of_dynamodb_is_rejected": (
                "moto stores numbers of any size; AWS refuses a magnitude beyond 9.99…E+125"
            ),
        },
    ),
]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [implementation.name for implementation in IMPLEMENTATIONS]
    parser.add_argument("--port", type=int, default=4666, help="port of the local AWS; the next three ports are used")
    parser.add_argument("--only", choices=names, help="the only implementation to run")
    parser.add_argument("--tests", default="", help='only these test targets, such as "claim quota"')
    arguments = parser.parse_args()
    tests = {name: TESTS.get(name, ()) for name in arguments.tests.split()} or TESTS
    implementations = [each for each in IMPLEMENTATIONS if arguments.only in (None, each.name)]
    local = Local(arguments.port, is_default=False)
    phases = Phases()
    try:
        programs = phases.run("build of the tests", build_test_programs, list(tests))
        phases.run("build of the functions", local_aws.build)
        phases.run("installation", setup.install_second_dynamodb)
        # SQS and S3 are enough: no test uses the deployed stack.
        (local.directory / "tmp").mkdir(parents=True, exist_ok=True)
        phases.run("local AWS: start", local_aws.start_ministack, local)
        failed = run(local, programs, dict(os.environ), phases, Output.LIVE, tests, implementations)
    except ToolError as error:
        print(f"second DynamoDB: {error}", file=sys.stderr)
        return 1
    finally:
        local_aws.down(local)
        phases.print_table()
    if failed:
        print(f"\nsecond DynamoDB: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run(
    local: Local,
    programs: list[TestProgram],
    environment: dict[str, str],
    phases: Phases,
    output: Output,
    tests: dict[str, tuple[str, ...]] = TESTS,
    implementations: list[Implementation] = IMPLEMENTATIONS,
) -> list[str]:
    """Runs the tests on each implementation; returns those that failed. The local AWS must run."""
    programs = select(programs, list(tests))
    check_names(programs, tests)
    failed = []
    for implementation in implementations:
        name = implementation.name
        for test, reason in implementation.skipped.items():
            print(f"second DynamoDB: {name} skips {test}: {reason}", flush=True)
        skips = [word for test in implementation.skipped for word in ("--skip", test)]
        process = implementation.start(local)
        variables = {"DOCKET_OUTPUTS": str(write_outputs(local, process)), "RUST_BACKTRACE": "0"}
        try:
            for program in programs:
                named = replace(program, source=f"{program.source} on {name}")
                arguments = ["--include-ignored", "--exact", *skips, *tests[program.name]]
                if phases.run(named.source, named.run, arguments, SIZES | environment | variables, output) != 0:
                    failed.append(named.source)
        finally:
            process.end()
    return failed


def write_outputs(local: Local, dynamodb: BackgroundProcess) -> Path:
    path = local.directory / f"outputs-{dynamodb.name}.env"
    endpoint = f"http://{HOST}:{dynamodb.port}"
    write_env_file(path, {"AwsEndpointUrl": local.endpoint, "DynamoDbEndpointUrl": endpoint})
    return path


def check_names(programs: list[TestProgram], tests: dict[str, tuple[str, ...]]) -> None:
    """Verifies the names of functions: the test programs leave unknown ones out silently."""
    listed = {program.name: list_tests(program) for program in programs}
    for target, functions in tests.items():
        for function in functions:
            if function not in listed[target]:
                raise ToolError(f"tests/{target}.rs has no test {function}: change TESTS in tools/second_dynamodb.py")
    if tests is TESTS:
        known = set().union(*listed.values())
        for implementation in IMPLEMENTATIONS:
            for test in implementation.skipped.keys() - known:
                raise ToolError(f"there is no test {test}: change IMPLEMENTATIONS in tools/second_dynamodb.py")


def list_tests(program: TestProgram) -> set[str]:
    command = [program.executable, "--list", "--format", "terse"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {line.removesuffix(": test") for line in listed.splitlines() if line.endswith(": test")}


if __name__ == "__main__":
    sys.exit(main())
