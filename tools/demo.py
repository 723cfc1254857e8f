"""The sample documents, all the way through: upload, queue, consumer, model, results.

Ends 0 when every document is complete, and leaves nothing running that it
started. The analyses are the stand-in's unless MODEL_ENDPOINT names a model.
"""
import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import local_aws
from call import call, lines
from local_aws import ROOT, Local, Stop

DOCUMENTS = ROOT / "events" / "documents"
RESULTS = ROOT / ".local" / "demo-results.json"
PATIENCE_SECONDS = 120


def upload(bucket: str, batch_id: str) -> None:
    """The folder is the batch: each file in it is a job."""
    command = ["aws", "s3", "sync", "events/documents", f"s3://{bucket}/uploads/{batch_id}/", "--no-progress"]
    print("$ " + " ".join(command), flush=True)
    subprocess.run([str(Path(sys.executable).with_name("aws")), *command[1:]], cwd=ROOT, check=True)


def take_time(model_url: str) -> None:
    """The stand-in takes a second for each, as a model does, so that one sees the batch filling up."""
    behaviour = json.dumps({"latency_ms": 1000}).encode()
    request = urllib.request.Request(f"{model_url}/_behaviour", behaviour, {"content-type": "application/json"}, method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


def wait(api_url: str, batch_id: str, total: int) -> None:
    """Shows the batch filling up, until no job of it is unfinished."""
    shown, deadline = "", time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        status, batch = call(api_url, "GET", f"/batches/{batch_id}")
        if status not in (200, 404):
            raise Stop(f"GET /batches/{batch_id} answered {status}: {batch}")
        counts = batch.get("request_counts", {})
        line = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("pending", "processing", "complete", "failed"))
        if line != shown:
            shown = line
            print(f"demo: {counts.get('total', 0):2} of {total} have come: {line}", flush=True)
        if counts.get("total") == total and counts["pending"] + counts["processing"] == 0:
            return
        time.sleep(0.2)
    raise Stop(f"the batch has not ended after {PATIENCE_SECONDS} s: make up, and then README.md, to look around")


def row(name: str, job: dict) -> list[str]:
    if job.get("status") != "complete":
        error = job.get("error", {})
        return [name, job.get("status", "not done"), "", error.get("code", ""), "", ""]
    result, usage = job["result"], job["usage"]
    label = result["classification"]
    words = " ".join(result["summary"].split()[:8])
    tokens = f"{usage['input_tokens']}+{usage['output_tokens']}"
    return [name, label["label"], f"{label['confidence']:.2f}", f"{words} …", tokens, f"{job['model_ms'] / 1000:.2f}"]


def table(rows: list[list[str]]) -> None:
    rows = [["document", "label", "conf.", "summary", "tokens", "s"], *rows]
    widths = [max(len(cells[column]) for cells in rows) for column in range(len(rows[0]))]
    for place, cells in enumerate(rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())
        if place == 0:
            print("  ".join("-" * width for width in widths))


def run(local: Local) -> int:
    begun = time.monotonic()
    found = local_aws.up(local)
    api_url, batch_id = found["ApiUrl"], f"demo-{int(time.time())}"
    total = len(list(DOCUMENTS.iterdir()))
    if local.model_endpoint is None:
        take_time(found["ModelEndpointUrl"])
    upload(found["DocumentsBucketName"], batch_id)
    wait(api_url, batch_id, total)
    jobs = {job["document"]["name"].split("/")[-1]: job for job in lines(api_url, f"/batches/{batch_id}/results")}
    print()
    table([row(name, jobs[name]) for name in sorted(jobs)])
    RESULTS.write_text(json.dumps(jobs, indent=2, ensure_ascii=False, sort_keys=True))
    complete = sum(job["status"] == "complete" for job in jobs.values())
    print(f"\n{complete} of {total} documents complete in {time.monotonic() - begun:.0f} s, set-up included.")
    if local.model_endpoint is None:
        print("The model was the Bedrock stand-in, which picks sentences; it is not a language model.")
    print(f"The whole results: {RESULTS.relative_to(ROOT)}. To look around: make up, and then README.md.")
    return 0 if complete == total else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=4566, help="the local AWS's port; the stand-in takes the next")
    parser.add_argument("--model-endpoint", default="", help="a Bedrock endpoint in place of the stand-in")
    arguments = parser.parse_args()
    local = Local(arguments.port, arguments.model_endpoint or None)
    os.environ.update(local.environment())
    was_up = local_aws.is_up(local)
    try:
        return run(local)
    except (Stop, OSError, subprocess.CalledProcessError) as stop:
        print(f"demo: {stop}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if was_up:
            print("The local AWS was up before, and is left so: make down ends it.")
        else:
            local_aws.down(local)


if __name__ == "__main__":
    sys.exit(main())
