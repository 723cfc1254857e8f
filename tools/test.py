"""Runs all tests on a separate local AWS, and prints the duration of each phase."""
import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import api_cases
import docs_commands
import local_aws
import page_test
import setup
from cargo_tests import Output, Phases, TestProgram, build_test_programs, select
from local_aws import Local
from processes import ROOT, ToolError

# Template parameters that the tests of the deployed stack rely on.
PARAMETERS = (
    "MaximumConcurrency=20 BatchSize=10 MaxAttempts=8 AsyncModelIds=amazon.nova-reel-v1:1 "
    "ModelTokensPerMinute=1000000000"
)
# Generated requests to the API after the tests, with a fixed seed. `make
# api-cases` sends more, with another seed each time.
API_CASES, API_SEED = 1_500, 1

FUZZ_TEST = "bad_input"
# At least as many threads as the fuzz test has targets, so that all of them run at once.
FUZZ_THREADS = 8
FUZZ_SECONDS = "60"
# Tests that need the processor and no local AWS.
BUSY_TESTS = ["protocol", "async_order"]
# Tests whose workers have deadlines of seconds: on a busy machine, a slow request counts
# as another fault.
ALONE_TESTS = ["faults"]
# Tests that use the deployed stack.
STACK_TESTS = [
    "async_deployed", "batch_api", "cli_batch", "cli_redrive", "cli_submit", "cli_terminal", "doctor", "end_to_end",
    "events", "hold_commands", "lists", "openapi", "smoke", "uploads",
]
# Writes the metric lines of the functions, which the alarms are fed with.
METRIC_TEST = "metric_lines"
# `make bench` runs it: it compares the plan with a measured run, which needs an idle machine.
BENCH_TEST = "plan_measured"
NO_BROWSER = (
    "test: left out: the tests of `docket ui` in a browser (tools/page_test.py), because there is no Chromium or "
    "Chrome. To run them, install one (Debian: apt-get install chromium), or name one by the variable CHROMIUM."
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=4666, help="port of the local AWS; the stand-in uses the next port")
    parser.add_argument("--tests", default="", help='only these test targets, such as "faults claim"')
    arguments = parser.parse_args()
    # With IAM enforced, a permission that a role lacks fails a test.
    local = Local(arguments.port, parameters=PARAMETERS, is_default=False, enforce_iam=True)
    phases = Phases()
    try:
        return run(local, arguments.tests.split(), phases)
    except ToolError as error:
        print(f"test: {error}", file=sys.stderr)
        return 1
    finally:
        phases.run("end of the local AWS", local_aws.down, local)
        phases.print_table()


def run(local: Local, names: list[str], phases: Phases) -> int:
    # Builds come first, so that the local AWS does not wait for the compiler.
    programs = phases.run("build of the tests", build_test_programs, names)
    phases.run("build of the functions and the stand-in", local_aws.build)
    selected = select(programs, names)
    if not names:
        phases.run("installation of schemathesis", setup.install_api_tools)
    phases.run("local AWS: start and deployment", local_aws.up, local)
    environment = os.environ | {"DOCKET_OUTPUTS": str(local.directory / "outputs.env"), "RUST_BACKTRACE": "0"}
    environment.setdefault("FUZZ_SECONDS", FUZZ_SECONDS)
    environment.setdefault("METRIC_LINES", str(local.directory / "metric-lines"))
    if names:
        failed = run_programs(selected, ["--include-ignored", "--nocapture"], environment, phases)
        if METRIC_TEST in names:
            failed += run_alarms(local, environment, phases)
    else:
        failed = run_all(programs, environment, phases)
        failed += run_alarms(local, environment, phases)
        if phases.run("commands of the documentation", docs_commands.run, local.directory) != 0:
            failed.append("commands of the documentation")
        if page_test.find_chromium() is not None:
            phases.run("installation of playwright", setup.install_browser_tools)
            if phases.run("docket ui in a browser", run_page_test, local) != 0:
                failed.append("docket ui in a browser")
        # Last, because the cases leave arbitrary jobs and batches behind.
        if phases.run("API cases", api_cases.run, local, API_CASES, API_SEED) != 0:
            failed.append("API cases")
        if page_test.find_chromium() is None:
            print(f"\n{NO_BROWSER}", flush=True)
    if failed:
        print(f"\ntest: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run_all(programs: list[TestProgram], environment: dict[str, str], phases: Phases) -> list[str]:
    """Runs every test but that of the bench; returns the sources of those that failed.

    Three lanes run at the same time. The tests of the deployed stack share its queues, so
    they run one by one. The other tests of the local AWS create their own resources. Both
    mostly wait; the tests that keep the processor busy have a low priority. At the end,
    the tests with short deadlines have the machine for themselves.
    """
    groups = ([FUZZ_TEST], BUSY_TESTS, STACK_TESTS, ALONE_TESTS)
    fuzz, busy, stack, alone = (select(programs, names) for names in groups)
    grouped = fuzz + busy + stack + alone
    rest = [program for program in programs if program not in grouped and program.name != BENCH_TEST]
    everything = ["--include-ignored"]
    with ThreadPoolExecutor() as lanes:
        own = lanes.submit(run_programs, rest, everything, environment, phases, Output.AT_END)
        low = Output.AT_END_LOW_PRIORITY
        processor = lanes.submit(
            lambda: run_programs(fuzz, [f"--test-threads={FUZZ_THREADS}"], environment, phases, low)
            + run_programs(busy, [], environment, phases, low)
        )
        failed = run_programs(stack, everything, environment, phases)
        failed += own.result() + processor.result()
    return failed + run_programs(alone, everything, environment, phases)


def run_alarms(local: Local, environment: dict[str, str], phases: Phases) -> list[str]:
    """Feeds the lines of this run to the alarms, and sets the states of the deployed ones."""
    outputs = str(local.directory / "outputs.env")
    commands = {
        "alarms with the lines of this run": ["tools.alarms.play", "--lines", environment["METRIC_LINES"]],
        "alarms of the deployed stack": ["tools.alarms.deployed", "--outputs", outputs],
    }

    def run_module(arguments: list[str]) -> int:
        return subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT).returncode

    return [name for name, arguments in commands.items() if phases.run(name, run_module, arguments) != 0]


def run_page_test(local: Local) -> int:
    """Runs the tests of the page in a browser, in their own virtual environment."""
    python, script = ROOT / ".venv" / "browser" / "bin" / "python", ROOT / "tools" / "page_test.py"
    binary, outputs = local_aws.target_directory() / "docket", local.directory / "outputs.env"
    return subprocess.run([python, script, "--binary", binary, "--outputs", outputs], cwd=ROOT).returncode


def run_programs(
    programs: list[TestProgram],
    arguments: list[str],
    environment: dict[str, str],
    phases: Phases,
    output: Output = Output.LIVE,
) -> list[str]:
    """Runs programs one after the other; returns the sources of those that failed."""
    failed = []
    for program in programs:
        if phases.run(program.source, program.run, arguments, environment, output) != 0:
            failed.append(program.source)
    return failed


if __name__ == "__main__":
    sys.exit(main())
