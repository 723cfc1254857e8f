"""Asks the deployed API some thousand random things, right ones and wrong ones,
by schemathesis: no answer is a 5xx, none is outside openapi.yaml, and nothing
that openapi.yaml forbids is taken.

The cases follow from the seed, which is printed. Nothing is filtered: what the
local AWS answers in API Gateway's place is in openapi.yaml, too.
"""
import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import local_aws
import setup
from call import call
from local_aws import ROOT, Local, Stop, say

CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
]
END_SECONDS = 120
DESCRIPTION = ROOT / "openapi.yaml"
# Side by side; each asks some of the operations. Threads of one process would
# disturb each other in Python 3.11's parser, which Hypothesis uses.
PROCESSES = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=4666, help="the local AWS's port; the stand-in takes the next")
    parser.add_argument("--cases", type=int, default=10_000, help="at least so many")
    parser.add_argument("--seed", type=int, default=None, help="of an earlier run, to repeat it")
    arguments = parser.parse_args()
    local = Local(arguments.port, announced=False)
    try:
        setup.api()
        local_aws.up(local)
        return run(local, arguments.cases, arguments.seed)
    except Stop as stop:
        print(f"api cases: {stop}", file=sys.stderr)
        return 1
    finally:
        local_aws.down(local)


def run(local: Local, cases: int, seed: int | None = None) -> int:
    """On a local AWS that is up. What is asked there is at random: afterwards it
    is good for nothing else."""
    seed = random.randrange(1 << 32) if seed is None else seed
    environment = local.environment() | {
        "SCHEMATHESIS_HOOKS": "api_hooks",
        "PYTHONPATH": str(ROOT / "tools"),
        "API_CASES_KNOWN": json.dumps(known(local)),
    }
    url = local_aws.outputs(local)["ApiUrl"]
    operations = re.findall(r"^      operationId: (\w+)", DESCRIPTION.read_text(), re.M)
    shares = [operations[place::PROCESSES] for place in range(PROCESSES)]
    say(f"{cases:,} cases of schemathesis, seed {seed}")
    begun = time.monotonic()
    with ThreadPoolExecutor(PROCESSES) as pool:
        asked = [
            pool.submit(ask_share, local, url, share, -(-cases * len(share) // len(operations)), seed, environment)
            for share in shares
        ]
    counts = [one.result() for one in asked]
    if None in counts:
        say(f"once more: .venv/bin/python tools/api_cases.py --cases {cases} --seed {seed}")
        return 1
    say(f"{sum(counts):,} cases in {time.monotonic() - begun:.0f} s, each answered as openapi.yaml says")
    return 0


def ask_share(local: Local, url: str, operations: list[str], cases: int, seed: int, environment: dict) -> int | None:
    """How many cases these operations had; `None` when something was found. Of
    some schemathesis soon has no more to ask, so that it goes on with the next
    seed until there are enough."""
    count, part = 0, 0
    while count < cases:
        command = schemathesis(url, operations, cases - count, seed + part, first=part == 0)
        done = subprocess.run(command, cwd=local.directory, env=environment, capture_output=True, text=True)
        (local.directory / f"api-cases-{operations[0]}-{part}.log").write_text(done.stdout + done.stderr)
        generated = re.search(r"(\d+) generated", done.stdout)
        if done.returncode != 0 or generated is None:
            print(done.stdout + done.stderr, file=sys.stderr)
            return None
        count, part = count + int(generated.group(1)), part + 1
    return count


def schemathesis(url: str, operations: list[str], cases: int, seed: int, first: bool) -> list[str]:
    """The command for about so many cases. The first time it takes the examples
    and the edges of every limit, too, which are the same for every seed."""
    command = [str(Path(setup.API) / "bin" / "schemathesis"), "--config-file", str(ROOT / "tools/schemathesis.toml")]
    command += ["run", str(DESCRIPTION), "--url", url, "--checks", ",".join(CHECKS), "--seed", str(seed)]
    command += ["--phases", "examples,coverage,fuzzing" if first else "fuzzing"]
    command += ["--max-examples", str(-(-cases // len(operations)))]
    command += [word for operation in operations for word in ("--include-operation-id", operation)]
    return command + ["--generation-database", "none", "--continue-on-failure", "--no-color"]


def known(local: Local) -> dict[str, list[str]]:
    """Batches, and jobs that stand wherever a job can stand, for the cases to ask
    about."""
    os.environ |= {name: value for name, value in local.environment().items() if name.startswith("AWS_")}
    url = local_aws.outputs(local)["ApiUrl"]
    name = f"cases-{uuid.uuid4().hex[:8]}"
    # Whatever is asked of them, jobs named so fail, and may be tried again.
    faults = {"faults": [{"kind": "validation", "job_id_contains": f"{name}-failed"}]}
    headers = {"content-type": "application/json"}
    behave = urllib.request.Request(f"{local.model}/_behaviour", json.dumps(faults).encode(), headers, method="PUT")
    urllib.request.urlopen(behave, timeout=10).close()
    batches = [f"{name}-{n}" for n in range(6)]
    ended = [f"{name}-{end}-{n}" for end in ("complete", "failed") for n in range(2)]
    waiting = [f"{name}-waiting-{n}" for n in range(4)]
    for batch_id in batches[:3]:
        ask(url, "POST", "/batches", {"batch_id": batch_id, "metadata": {"made": "by hand"}})
    for place, job_id in enumerate(ended):
        ask(url, "POST", f"/batches/{batches[place]}/jobs", {"jobs": [{"job_id": job_id, "document": "Dear Sir, it is due."}]})
    for place, job_id in enumerate(waiting):
        ask(url, "POST", "/uploads", {"job_id": job_id, "filename": "a.txt", "size": 7, "batch_id": batches[place]})
    ask(url, "DELETE", f"/jobs/{waiting[0]}")
    deadline = time.monotonic() + END_SECONDS
    while any(ask(url, "GET", f"/jobs/{job_id}")["status"] not in ("complete", "failed") for job_id in ended):
        if time.monotonic() > deadline:
            raise Stop(f"the jobs to ask about did not end within {END_SECONDS} s")
        time.sleep(0.2)
    return {"job_id": ended + waiting, "batch_id": batches}


def ask(url: str, method: str, path: str, body: dict | None = None) -> dict:
    status, answer = call(url, method, path, json.dumps(body) if body else None)
    if status >= 400:
        raise Stop(f"{method} {path} was answered {status}: {answer}")
    return answer


if __name__ == "__main__":
    sys.exit(main())
