"""Sends thousands of generated requests, valid and invalid, to the deployed API with schemathesis.

The run fails if

- a response is a 5xx,
- openapi.yaml does not describe a response, or
- the API accepts a request that openapi.yaml forbids.

The seed determines the cases, and the run prints it. No response is exempt:
openapi.yaml also describes what the local AWS answers in place of API Gateway.
"""
import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import local_aws
import setup
from call import call
from local_aws import Local, print_status
from processes import ROOT, ToolError

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
]
FIXTURE_SECONDS = 120
POLL_SECONDS = 0.2
DESCRIPTION = ROOT / "openapi.yaml"
# Parallel processes, each with a share of the operations. Threads of one process
# would disturb each other in Python 3.11's parser, which Hypothesis uses.
PROCESSES = 3


@dataclass(frozen=True)
class Share:
    """Operations for one process, and the number of cases for them."""

    operations: list[str]
    cases: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=4666, help="port of the local AWS; the stand-in uses the next port")
    parser.add_argument("--cases", type=int, default=10_000, help="the least number of cases")
    parser.add_argument("--seed", type=int, default=None, help="the seed of an earlier run, to repeat its cases")
    arguments = parser.parse_args()
    local = Local(arguments.port, is_default=False)
    try:
        setup.install_api_tools()
        local_aws.up(local)
        return run(local, arguments.cases, arguments.seed)
    except ToolError as error:
        print(f"api cases: {error}", file=sys.stderr)
        return 1
    finally:
        local_aws.down(local)


def run(local: Local, cases: int, seed: int | None = None) -> int:
    """Runs the cases on a local AWS that is up, and returns the exit code.

    The requests leave arbitrary jobs and batches there, so run nothing else on
    that local AWS afterwards.
    """
    seed = random.randrange(1 << 32) if seed is None else seed
    environment = local.environment() | {
        "SCHEMATHESIS_HOOKS": "api_hooks",
        "PYTHONPATH": str(ROOT / "tools"),
        "API_CASES_FIXTURES": json.dumps(create_fixtures(local)),
    }
    url = local_aws.read_outputs(local)["ApiUrl"]
    print_status(f"{cases:,} cases of schemathesis, seed {seed}")
    started = time.monotonic()
    with ThreadPoolExecutor(PROCESSES) as pool:
        running = [pool.submit(run_share, local, url, share, seed, environment) for share in make_shares(cases)]
    counts = [future.result() for future in running]
    if None in counts:
        print_status(f"to repeat: .venv/bin/python tools/api_cases.py --cases {cases} --seed {seed}")
        return 1
    seconds = time.monotonic() - started
    print_status(f"{sum(counts):,} cases in {seconds:.0f} s; every response conforms to openapi.yaml")
    return 0


def make_shares(cases: int) -> list[Share]:
    operations = re.findall(r"^      operationId: (\w+)", DESCRIPTION.read_text(), re.M)
    parts = [operations[first::PROCESSES] for first in range(PROCESSES)]
    return [Share(part, -(-cases * len(part) // len(operations))) for part in parts]


def run_share(local: Local, url: str, share: Share, seed: int, environment: dict) -> int | None:
    """Returns the number of cases, or None after a failed check.

    schemathesis runs out of new cases for some operations. It then runs again
    with the next seed, until there are enough cases.
    """
    count, round_number = 0, 0
    while count < share.cases:
        command = schemathesis_command(
            url, share.operations, share.cases - count, seed + round_number, is_first=round_number == 0
        )
        result = subprocess.run(command, cwd=local.directory, env=environment, capture_output=True, text=True)
        log = local.directory / f"api-cases-{share.operations[0]}-{round_number}.log"
        log.write_text(result.stdout + result.stderr)
        generated = re.search(r"(\d+) generated", result.stdout)
        if result.returncode != 0 or generated is None:
            print(result.stdout + result.stderr, file=sys.stderr)
            return None
        count, round_number = count + int(generated.group(1)), round_number + 1
    return count


def schemathesis_command(url: str, operations: list[str], cases: int, seed: int, is_first: bool) -> list[str]:
    """The command for about `cases` cases.

    The first run includes the examples and the boundary values, which are the
    same for every seed.
    """
    command = [str(Path(setup.API) / "bin" / "schemathesis"), "--config-file", str(ROOT / "tools/schemathesis.toml")]
    command += ["run", str(DESCRIPTION), "--url", url, "--checks", ",".join(CHECKS), "--seed", str(seed)]
    command += ["--phases", "examples,coverage,fuzzing" if is_first else "fuzzing"]
    command += ["--max-examples", str(-(-cases // len(operations)))]
    command += [word for operation in operations for word in ("--include-operation-id", operation)]
    return command + ["--generation-database", "none", "--continue-on-failure", "--no-color"]


def create_fixtures(local: Local) -> dict[str, list[str]]:
    """Creates batches, and jobs in several states, and returns their ids by parameter name."""
    os.environ |= {name: value for name, value in local.environment().items() if name.startswith("AWS_")}
    url = local_aws.read_outputs(local)["ApiUrl"]
    name = f"cases-{uuid.uuid4().hex[:8]}"
    # Every call for these jobs fails, also after a retry that a case requests.
    fault = {"kind": "validation", "job_id_contains": f"{name}-failed"}
    local_aws.set_model_behaviour(local, {"faults": [fault]})
    batches = [f"{name}-{n}" for n in range(6)]
    finished = [f"{name}-{status}-{n}" for status in ("complete", "failed") for n in range(2)]
    waiting = [f"{name}-waiting-{n}" for n in range(4)]
    for batch_id in batches[:3]:
        request(url, "POST", "/batches", {"batch_id": batch_id, "metadata": {"made": "by hand"}})
    for batch_id, job_id in zip(batches, finished):
        job = {"job_id": job_id, "document": "Dear Sir, it is due."}
        request(url, "POST", f"/batches/{batch_id}/jobs", {"jobs": [job]})
    for batch_id, job_id in zip(batches, waiting):
        upload = {"job_id": job_id, "filename": "a.txt", "size": 7, "batch_id": batch_id}
        request(url, "POST", "/uploads", upload)
    request(url, "DELETE", f"/jobs/{waiting[0]}")
    wait_for_jobs(url, finished)
    return {"job_id": finished + waiting, "batch_id": batches}


def wait_for_jobs(url: str, job_ids: list[str]) -> None:
    deadline = time.monotonic() + FIXTURE_SECONDS
    while any(request(url, "GET", f"/jobs/{job_id}")["status"] not in ("complete", "failed") for job_id in job_ids):
        if time.monotonic() > deadline:
            raise ToolError(f"the jobs for the cases did not finish within {FIXTURE_SECONDS} s: see the consumer's log")
        time.sleep(POLL_SECONDS)


def request(url: str, method: str, path: str, body: dict | None = None) -> dict:
    status, response = call(url, method, path, json.dumps(body) if body else None)
    if status >= 400:
        raise ToolError(f"{method} {path} returned {status}: {response}")
    return response


if __name__ == "__main__":
    sys.exit(main())
