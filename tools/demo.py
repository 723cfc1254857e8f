"""Runs the sample documents from submit to result by the command line.

The exit code is 0 if every document is complete. The demo ends every process
that it started. The stand-in analyses the documents unless MODEL_ENDPOINT names
a Bedrock endpoint.
"""
import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import local_aws
import setup
from demo_documents import make_documents
from local_aws import Local
from processes import ROOT, ToolError

DOCUMENTS = ROOT / "events" / "documents"
RESULTS = ROOT / ".local" / "demo-results.jsonl"
BATCH_TIMEOUT = "2m"
# SmolLM2 needs up to a minute for a document and its repeated questions.
SMOLLM2_BATCH_TIMEOUT = "40m"
# Few calls at a time, because the model answers one after the other. Structured output
# restricts the model's text to the schema; the id is of a family that accepts it.
SMOLLM2_PARAMETERS = (
    "MaximumConcurrency=2 BatchSize=1 MaxAttempts=3 FunctionTimeoutSeconds=900 "
    "AnswerMode=json_schema ModelId=qwen.qwen3-32b-v1:0"
)
# Slow enough that the batch's progress is visible.
STAND_IN_LATENCY_MS = 1000
# `docket results` writes failed jobs to this file.
FAILURES = RESULTS.with_name(RESULTS.name + ".errors.csv")
# The samples, and documents that the demo makes.
FOLDER = ROOT / ".local" / "demo-documents"
HEADER = ["document", "label", "conf.", "verified", "summary", "tokens", "s"]
FAILURE_COLUMNS = ["name", "error_code", "error_message"]
SUMMARY_WORDS = 8


def docket(local: Local, *arguments: str) -> None:
    """Runs the command line on the local AWS. Exit code 1 means that a job failed."""
    print("$ docket " + " ".join(arguments), flush=True)
    environment = os.environ | {"DOCKET_OUTPUTS": str(local.directory / "outputs.env")}
    command = [str(local_aws.target_directory() / "docket"), *arguments]
    code = subprocess.run(command, cwd=ROOT, env=environment).returncode
    if code not in (0, 1):
        raise ToolError(f"docket {arguments[0]} ended with {code}: run `make up` and see README.md to find the cause")


def format_job(name: str, job: dict) -> list[str]:
    """The cells of a job's row."""
    result, usage = job["result"], job["usage"]
    label, confidence = result["classification"]["label"], result["classification"]["confidence"]
    summary = " ".join(result["summary"].split()[:SUMMARY_WORDS]) + " …"
    tokens = f"{usage['input_tokens']}+{usage['output_tokens']}"
    return [name, label, f"{confidence:.2f}", job.get("verified", ""), summary, tokens, f"{job['model_latency_ms'] / 1000:.2f}"]


def print_table(header: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(cells[column]) for cells in [header, *rows]) for column in range(len(header))]
    for cells in [header, ["-" * width for width in widths], *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip())


def print_failures() -> None:
    """Prints why documents failed, if any did."""
    if not FAILURES.exists():
        return
    with FAILURES.open(newline="") as file:
        rows = [[row[column] for column in FAILURE_COLUMNS] for row in csv.DictReader(file)]
    print()
    print_table(FAILURE_COLUMNS, sorted(rows))


def run(local: Local) -> int:
    started = time.monotonic()
    local_aws.up(local)
    batch_id = f"demo-{int(time.time())}"
    folder, total = DOCUMENTS, len(list(DOCUMENTS.iterdir()))
    if not local.language_model:
        # A small language model would need an hour for the PDF.
        folder, total = FOLDER, make_documents(DOCUMENTS, FOLDER)
    if local.model_endpoint is None and not local.language_model:
        local_aws.set_model_behaviour(local, {"latency_ms": STAND_IN_LATENCY_MS})
    timeout = SMOLLM2_BATCH_TIMEOUT if local.language_model else BATCH_TIMEOUT
    results = str(RESULTS.relative_to(ROOT))
    source = str(folder.relative_to(ROOT))
    docket(local, "submit", source, "--batch", batch_id, "--evidence", "--local", "--wait", "--timeout", timeout)
    docket(local, "results", batch_id, "-o", results, "--local")
    lines = RESULTS.read_text().splitlines()
    jobs = {job["document"]["name"]: job for job in map(json.loads, lines)}
    print()
    print_table(HEADER, [format_job(name, jobs[name]) for name in sorted(jobs)])
    print_failures()
    complete = len(jobs)
    print(f"\n{complete} of {total} documents complete in {time.monotonic() - started:.0f} s, including set-up.")
    if local.language_model:
        print("The model was SmolLM2 with 135 million parameters. Its answers are poor, and many do not fit the schema.")
    elif local.model_endpoint is None:
        print("The model was the Bedrock stand-in. It selects sentences; it is not a language model.")
    print(f"Full results: {results}. To explore the stack, run `make up` and see README.md.")
    print("To see it on a page: make up && target/debug/docket ui --local --write")
    # A small model fails at some documents, and the demo shows that they end with a reason.
    return 0 if complete == total or local.language_model else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=4566, help="port of the local AWS; the stand-in uses the next port")
    parser.add_argument("--model-endpoint", default="", help="a Bedrock endpoint to use instead of the stand-in")
    parser.add_argument("--model", choices=["", "smollm2"], default="", help="a language model on this machine, in place of the stand-in's sentences")
    arguments = parser.parse_args()
    if arguments.model and arguments.model_endpoint:
        parser.error("use either --model or --model-endpoint")
    local = Local(arguments.port, arguments.model_endpoint or None)
    if arguments.model:
        local.language_model, local.parameters = True, SMOLLM2_PARAMETERS
        setup.install_language_model()
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
