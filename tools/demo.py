"""The sample documents, all the way through: API, queue, consumer, model, result.

Ends 0 when every document is complete, and leaves nothing running that it
started. The analyses are the stand-in's unless MODEL_ENDPOINT names a model.
"""
import argparse
import json
import os
import sys
import time
from pathlib import Path

import local_aws
from call import call
from local_aws import ROOT, Local, Stop

DOCUMENTS = ROOT / "events" / "documents"
RESULTS = ROOT / ".local" / "demo-results.json"
PATIENCE_SECONDS = 120


def ask(api_url: str, method: str, path: str, body: dict | None = None) -> dict:
    status, answer = call(api_url, method, path, None if body is None else json.dumps(body))
    if status >= 400:
        raise Stop(f"{method} {path} answered {status}: {answer}")
    return answer


def submit(api_url: str, documents: list[Path]) -> dict[str, str]:
    batch_id = f"demo-{int(time.time())}"
    names = {}
    for document in documents:
        body = {"document": document.read_text(), "batch_id": batch_id, "metadata": {"file": document.name}}
        names[ask(api_url, "POST", "/jobs", body)["job_id"]] = document.name
    return names


def wait(api_url: str, names: dict[str, str]) -> dict[str, dict]:
    jobs: dict[str, dict] = {}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(jobs) < len(names) and time.monotonic() < deadline:
        for job_id in names.keys() - jobs.keys():
            job = ask(api_url, "GET", f"/jobs/{job_id}")
            if job["status"] in ("complete", "failed", "cancelled"):
                jobs[job_id] = job
        print(f"\rdemo: {len(jobs)} of {len(names)} documents done", end="", flush=True)
        time.sleep(0.2)
    print()
    return jobs


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
    documents = sorted(DOCUMENTS.iterdir())
    names = submit(found["ApiUrl"], documents)
    jobs = wait(found["ApiUrl"], names)
    print()
    table([row(name, jobs.get(job_id, {})) for job_id, name in names.items()])
    RESULTS.write_text(json.dumps({names[job_id]: job for job_id, job in jobs.items()}, indent=2, ensure_ascii=False))
    complete = sum(job["status"] == "complete" for job in jobs.values())
    print(f"\n{complete} of {len(names)} documents complete in {time.monotonic() - begun:.0f} s, set-up included.")
    if local.model_endpoint is None:
        print("The model was the Bedrock stand-in, which picks sentences; it is not a language model.")
    print(f"The whole results: {RESULTS.relative_to(ROOT)}. To look around: make up, and then README.md.")
    return 0 if complete == len(names) else 1


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
    except Stop as stop:
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
