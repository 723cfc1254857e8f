"""Asks the deployed API some thousand random things, right ones and wrong ones,
by schemathesis: no answer is a 5xx, none is outside openapi.yaml, and nothing
that openapi.yaml forbids is taken.

The cases follow from the seed, which is printed.
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
    description = ROOT / "openapi.yaml"
    operations = len(re.findall(r"^      operationId: ", description.read_text(), re.M))
    environment = local.environment() | {
        "SCHEMATHESIS_HOOKS": "api_hooks",
        "PYTHONPATH": str(ROOT / "tools"),
        "API_CASES_KNOWN": json.dumps(known(local)),
    }
    command = [str(Path(setup.API) / "bin" / "schemathesis"), "--config-file", str(ROOT / "tools/schemathesis.toml")]
    command += ["run", str(description), "--url", local_aws.outputs(local)["ApiUrl"], "--checks", ",".join(CHECKS)]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(-(-cases // operations))]
    command += ["--seed", str(seed), "--generation-database", "none", "--workers", "4", "--continue-on-failure", "--no-color"]
    say(f"{cases:,} cases of schemathesis, seed {seed}")
    begun = time.monotonic()
    done = subprocess.run(command, cwd=local.directory, env=environment, capture_output=True, text=True)
    (local.directory / "api-cases.log").write_text(done.stdout + done.stderr)
    seconds = time.monotonic() - begun
    generated = re.search(r"([\d,]+) generated", done.stdout)
    count = int(generated.group(1).replace(",", "")) if generated else 0
    say(f"{count:,} cases in {seconds:.0f} s, {count / seconds:.0f} a second")
    if done.returncode != 0 or count < cases:
        print(done.stdout + done.stderr, file=sys.stderr)
        say(f"once more: .venv/bin/python tools/api_cases.py --cases {cases} --seed {seed}")
        return 1
    return 0


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
