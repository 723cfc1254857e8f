"""Tests the tests: without a safeguard, a test must fail.

Each case replaces one text in a copy of the sources, and runs the tests that
must then fail, on a separate local AWS. The exit code is 1 if a change fails no
test. `--check` verifies the cases themselves, without a build.
"""
import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import local_aws
from local_aws import Local
from negative_cases import CASES, Case
from processes import ROOT, ToolError

COPY = ROOT / ".local" / "negative-control"
TARGET = ROOT / "target" / "negative-control"
# The first pattern is for .git, .venv and .local.
NOT_COPIED = shutil.ignore_patterns(".*", "target", "__pycache__")
INTERLEAVINGS = "500"

NOTICED, UNNOTICED, BROKEN = "a test fails", "NO TEST FAILS", "does not compile"


@dataclass(frozen=True)
class Result:
    case: Case
    outcome: str
    seconds: float


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=4666, help="port of the local AWS; the stand-in uses the next port")
    parser.add_argument("--only", default="", help="only the cases whose name contains this text, such as quota")
    parser.add_argument("--check", action="store_true", help="verify that the cases match the sources, and run nothing")
    arguments = parser.parse_args()
    cases = [case for case in CASES if arguments.only in case.name]
    if not cases:
        print(f"negative control: no case's name contains {arguments.only!r}", file=sys.stderr)
        return 1
    if errors := [error for case in cases for error in case.find_errors(ROOT)]:
        print("\n".join(f"negative control: {error}" for error in errors), file=sys.stderr)
        return 1
    if arguments.check:
        print(f"negative control: {len(cases)} cases match the sources")
        return 0
    local = Local(arguments.port, is_default=False)
    try:
        local_aws.up(local)
        return run_cases(local, cases)
    except ToolError as error:
        print(f"negative control: {error}", file=sys.stderr)
        return 1
    finally:
        local_aws.down(local)


def run_cases(local: Local, cases: list[Case]) -> int:
    copy_sources()
    print("negative control: building, and running the unchanged tests", flush=True)
    tests = sorted({test for case in cases for test in case.tests})
    unchanged = run_tests(local, tests)
    if unchanged != UNNOTICED:
        log = (COPY / "last.log").relative_to(ROOT)
        raise ToolError(f"unchanged sources: {unchanged}; repair that first, see {log}")
    results = []
    for case in cases:
        result = run_case(local, case)
        print(f"without {case.name}: {result.outcome}", flush=True)
        results.append(result)
    print_table(results)
    return 0 if all(result.outcome == NOTICED for result in results) else 1


def copy_sources() -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    # `shutil.copy` gives every file a new time. With the original times, cargo
    # would not notice that a file is back to what it was before the last run's change.
    shutil.copytree(ROOT, COPY, ignore=NOT_COPIED, copy_function=shutil.copy)


def run_case(local: Local, case: Case) -> Result:
    started, path = time.monotonic(), COPY / case.source
    original = path.read_text()
    path.write_text(original.replace(case.old, case.new))
    try:
        outcome = run_tests(local, case.tests)
    finally:
        path.write_text(original)
    return Result(case, outcome, time.monotonic() - started)


def run_tests(local: Local, tests: list[str] | tuple[str, ...]) -> str:
    """Builds and runs the tests in the copy of the sources."""
    environment = os.environ | {
        "CARGO_TARGET_DIR": str(TARGET),
        "DOCKET_OUTPUTS": str(local.directory / "outputs.env"),
        "INTERLEAVINGS": INTERLEAVINGS,
    }
    cargo_test = ["cargo", "test", "--quiet", "-p", "docket"]
    targets = group_by_target(tests)
    options = [word for target in targets for word in ("--test", target)]
    if run([*cargo_test, "--no-run", *options], environment) != 0:
        return BROKEN
    for target, functions in targets.items():
        command = [*cargo_test, "--test", target, "--", "--include-ignored", *functions]
        if run(command, environment) != 0:
            return NOTICED
    return UNNOTICED


def group_by_target(tests: list[str] | tuple[str, ...]) -> dict[str, list[str]]:
    """The functions to run, by target; an empty list means all of the target."""
    whole = {test for test in tests if "::" not in test}
    targets: dict[str, list[str]] = {}
    for test in tests:
        target, _, function = test.partition("::")
        functions = targets.setdefault(target, [])
        if target not in whole:
            functions.append(function)
    return targets


def run(command: list[str], environment: dict[str, str]) -> int:
    """Runs a command in the copy; its output is in last.log."""
    result = subprocess.run(command, cwd=COPY, env=environment, capture_output=True, text=True)
    (COPY / "last.log").write_text(result.stdout + result.stderr)
    return result.returncode


def print_table(results: list[Result]) -> None:
    header = ["without", "source", "tests", "outcome", "seconds"]
    rows = [
        [result.case.name, result.case.source, " ".join(result.case.tests), result.outcome, f"{result.seconds:.0f}"]
        for result in results
    ]
    widths = [max(len(cells[column]) for cells in [header, *rows]) for column in range(len(header))]
    print()
    for cells in [header, ["-" * width for width in widths], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
