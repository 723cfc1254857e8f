"""Runs the sample documents from upload to result: S3, queue, consumer, model, API.

The exit code is 0 if every document is complete. The demo ends every process
that it started. The stand-in analyses the documents unless MODEL_ENDPOINT names
a Bedrock endpoint.
"""
import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import local_aws
from call import call, list_lines
from local_aws import Local
from processes import ROOT, ToolError

DOCUMENTS = ROOT / "events" / "documents"
RESULTS = ROOT / ".local" / "demo-results.json"
BATCH_SECONDS = 120
POLL_SECONDS = 0.2
# Slow enough that the batch's progress is visible.
STAND_IN_LATENCY_MS = 1000
STATUSES = ("pending", "processing", "complete", "failed")
HEADER = ["document", "label", "conf.", "summary", "tokens", "s"]
SUMMARY_WORDS = 8


def upload(bucket: str, batch_id: str) -> None:
    """Uploads the sample documents: the folder names the batch, and each file becomes a job."""
    command = ["aws", "s3", "sync", "events/documents", f"s3://{bucket}/uploads/{batch_id}/", "--no-progress"]
    print("$ " + " ".join(command), flush=True)
    subprocess.run([str(Path(sys.executable).with_name("aws")), *command[1:]], cwd=ROOT, check=True)


def wait_for_batch(api_url: str, batch_id: str, total: int) -> None:
    """Prints the batch's progress until all of its jobs have finished."""
    printed, deadline = "", time.monotonic() + BATCH_SECONDS
    while time.monotonic() < deadline:
        status, batch = call(api_url, "GET", f"/batches/{batch_id}")
        if status not in (200, 404):
            raise ToolError(f"GET /batches/{batch_id} returned {status}: {batch}")
        counts = batch.get("request_counts", {})
        line = ", ".join(f"{counts.get(name, 0)} {name}" for name in STATUSES)
        if line != printed:
            printed = line
            print(f"demo: {counts.get('total', 0):2} of {total} jobs: {line}", flush=True)
        if counts.get("total") == total and counts["pending"] + counts["processing"] == 0:
            return
        time.sleep(POLL_SECONDS)
    raise ToolError(
        f"the batch did not finish within {BATCH_SECONDS} s: run `make up` and see README.md to find the cause"
    )


def format_job(name: str, job: dict) -> list[str]:
    """The cells of a job's row."""
    if job.get("status") != "complete":
        error = job.get("error", {})
        return [name, job.get("status", "unknown"), "", error.get("code", ""), "", ""]
    result, usage = job["result"], job["usage"]
    label, confidence = result["classification"]["label"], result["classification"]["confidence"]
    summary = " ".join(result["summary"].split()[:SUMMARY_WORDS]) + " …"
    tokens = f"{usage['input_tokens']}+{usage['output_tokens']}"
    return [name, label, f"{confidence:.2f}", summary, tokens, f"{job['model_latency_ms'] / 1000:.2f}"]


def print_table(header: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(cells[column]) for cells in [header, *rows]) for column in range(len(header))]
    for cells in [header, ["-" * width for width in widths], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())


def run(local: Local) -> int:
    started = time.monotonic()
    outputs = local_aws.up(local)
    api_url, batch_id = outputs["ApiUrl"], f"demo-{int(time.time())}"
    total = len(list(DOCUMENTS.iterdir()))
    if local.model_endpoint is None:
        local_aws.set_model_behaviour(local, {"latency_ms": STAND_IN_LATENCY_MS})
    upload(outputs["DocumentsBucketName"], batch_id)
    wait_for_batch(api_url, batch_id, total)
    results = list_lines(api_url, f"/batches/{batch_id}/results")
    jobs = {job["document"]["name"].split("/")[-1]: job for job in results}
    print()
    print_table(HEADER, [format_job(name, jobs[name]) for name in sorted(jobs)])
    RESULTS.write_text(json.dumps(jobs, indent=2, ensure_ascii=False, sort_keys=True))
    complete = sum(job["status"] == "complete" for job in jobs.values())
    print(f"\n{complete} of {total} documents complete in {time.monotonic() - started:.0f} s, including set-up.")
    if local.model_endpoint is None:
        print("The model was the Bedrock stand-in. It selects sentences; it is not a language model.")
    print(f"Full results: {RESULTS.relative_to(ROOT)}. To explore the stack, run `make up` and see README.md.")
    return 0 if complete == total else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=4566, help="port of the local AWS; the stand-in uses the next port")
    parser.add_argument("--model-endpoint", default="", help="a Bedrock endpoint to use instead of the stand-in")
    arguments = parser.parse_args()
    local = Local(arguments.port, arguments.model_endpoint or None)
    os.environ.update(local.environment())
    was_up = local_aws.is_up(local)
    try:
        return run(local)
    except (ToolError, OSError, subprocess.CalledProcessError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if was_up:
            print("The local AWS was running before the demo and still runs: `make down` ends it.")
        else:
            local_aws.down(local)


if __name__ == "__main__":
    sys.exit(main())
