"""`docket submit` of ten thousand files against `aws s3 sync`, and `docket results` of their batch.

The measure uses the local AWS. The consumer's mappings are off until the results are wanted."""
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lab import BenchError, Lab, find_program, print_status
from results import DOCKET, ROOT, Result
from stack import Stack, deploy_stack, wait_until

import setup  # isort: skip; `stack` adds its directory to the path

AWS_CLI = "aws s3 sync"
FILES, FILE_BYTES = 10_000, 8_000
MAX_RATIO, MAX_MEGABYTES, MAX_AGAIN_SECONDS, MAX_RESULTS_SECONDS = 1.15, 100, 10, 20
PARAMETERS = "MaximumConcurrency=20 BatchSize=50 MaximumBatchingWindowSeconds=1"
# A longer run is stuck.
LIMIT_SECONDS = 1_800
# The exit codes of `docket status` without an answer of the API, and while jobs run.
FAILED, RUNNING = 1, 3
WORDS = "lease rent landlord tenant deposit notice clause premises term repair insurance interest".split()
SEED = 21


@dataclass
class Finished:
    """One command that has ended."""

    seconds: float
    megabytes: float
    output: str


class Commands:
    """The commands of one deployed stack."""

    def __init__(self, lab: Lab, stack: Stack, folder: Path):
        self.docket = find_program(lab.consumer.parent, "docket", "cargo build --release --bins -p docket-cli")
        self.aws = ROOT / ".venv" / "awscli" / "bin" / "aws"
        self.stack, self.folder = stack, folder
        # The messages of the last command.
        self.log = folder.parent / "stderr.log"
        self.bucket = stack.outputs["DocumentsBucketName"]
        self.environment = stack.local.environment() | {"DOCKET_OUTPUTS": str(stack.local.directory / "outputs.env")}

    def start(self, command: list) -> subprocess.Popen:
        with self.log.open("w") as log:
            return subprocess.Popen(
                [str(word) for word in command], env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def run(self, command: list, accepted: tuple[int, ...] = (0,)) -> Finished:
        """Runs a command to its end. Raises BenchError for another exit code than the accepted ones."""
        started = time.monotonic()
        process = self.start(command)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in accepted:
            reason = (output + self.log.read_text())[-500:]
            raise BenchError(f"{Path(command[0]).name} {command[1]} ended with {process.returncode}: {reason}")
        return Finished(time.monotonic() - started, usage.ru_maxrss * 1024 / 1e6, output)

    def submit_command(self, batch: str) -> list:
        return [self.docket, "submit", self.folder, "--batch", batch, "--local", "--yes", "--json"]

    def submit(self, batch: str) -> tuple[Finished, int]:
        """Submits the folder. Returns the number of uploaded files too."""
        finished = self.run(self.submit_command(batch))
        return finished, json.loads(finished.output)["uploaded"]

    def sync(self, name: str) -> Finished:
        return self.run([self.aws, "s3", "sync", "--quiet", self.folder, f"s3://{self.bucket}/uploads/{name}/"])

    def list_versions(self, batch: str) -> list[str]:
        """The keys of all versions of a batch's objects, sorted."""
        pages = self.stack.local.client("s3").get_paginator("list_object_versions")
        found = pages.paginate(Bucket=self.bucket, Prefix=f"submitted/{batch}/")
        return sorted(version["Key"] for page in found for version in page.get("Versions", []))


def write_files(folder: Path) -> None:
    generator = random.Random(SEED)
    for number in range(FILES):
        directory = folder / f"{number // 500:02}"
        directory.mkdir(exist_ok=True)
        words = generator.choices(WORDS, k=FILE_BYTES // 6)
        (directory / f"{number:05}.txt").write_text(f"Document {number}. {' '.join(words)}"[:FILE_BYTES])


def measure_resume(commands: Commands, batch: str, seconds: float) -> tuple[int, int]:
    """Kills a submit after about half of its time, and runs it again.

    Returns the number of files that are missing, and of those that were uploaded twice."""
    process = commands.start(commands.submit_command(batch))
    time.sleep(seconds / 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = len(commands.list_versions(batch))
    if not 0 < before < FILES:
        raise BenchError(f"the killed submit had uploaded {before} of {FILES} files: choose another moment")
    commands.submit(batch)
    keys = commands.list_versions(batch)
    return FILES - len(set(keys)), len(keys) - len(set(keys))


def measure_results(commands: Commands, batch: str) -> Finished:
    """Lets the consumer complete the batch, then writes its results as CSV."""
    stack = commands.stack
    stack.reset_model()
    stack.set_polling(True)

    def is_complete() -> bool:
        command = [commands.docket, "status", batch, "--local", "--json"]
        # The local AWS may not answer while the consumer uses the whole machine.
        output = commands.run(command, accepted=(0, FAILED, RUNNING)).output
        return bool(output.strip()) and json.loads(output)["request_counts"]["complete"] == FILES

    wait_until(is_complete, LIMIT_SECONDS, 5, "the batch is not complete")
    path = commands.folder.parent / "results.csv"
    finished = commands.run([commands.docket, "results", batch, "-o", path, "--local"])
    rows = path.read_text().count(".txt")
    if rows < FILES:
        raise BenchError(f"the results have {rows} of {FILES} files")
    return finished


def run(lab: Lab, repeats: int) -> Result:
    setup.install(str(ROOT / ".venv" / "awscli"), "requirements-awscli.txt")
    result = lab.begin_result("submit", f"docket submit: {FILES:,} files of {FILE_BYTES // 1_000} kB", "s")
    with tempfile.TemporaryDirectory(prefix="docket-submit-") as directory, deploy_stack(lab, PARAMETERS) as stack:
        folder = Path(directory) / "files"
        folder.mkdir()
        write_files(folder)
        commands = Commands(lab, stack, folder)
        stack.set_polling(False)
        for repeat in range(repeats):
            batch = f"bench-{repeat}"
            own, uploaded = commands.submit(batch)
            if uploaded != FILES:
                raise BenchError(f"docket submit uploaded {uploaded} of {FILES} files")
            peer = commands.sync(batch)
            again, repeated = commands.submit(batch)
            result.add(DOCKET, "", "time", own.seconds)
            result.add(AWS_CLI, "", "time", peer.seconds)
            result.add(DOCKET, "", "memory", own.megabytes, "MB")
            result.add(AWS_CLI, "", "memory", peer.megabytes, "MB")
            result.add(DOCKET, "", "second run", again.seconds)
            result.add(DOCKET, "", "uploads of the second run", repeated, "")
            print_status(f"submit {repeat + 1}/{repeats}: {own.seconds:.1f} s, {AWS_CLI} {peer.seconds:.1f} s, again {again.seconds:.1f} s")
        missing, twice = measure_resume(commands, "bench-killed", result.median(DOCKET, "", "time"))
        results = measure_results(commands, "bench-0")
        result.add(DOCKET, "", "results", results.seconds)
    ratio = result.add_ratio(f"time: {DOCKET} ÷ {AWS_CLI}", result.values(DOCKET, "", "time"), result.values(AWS_CLI, "", "time"))
    result.add_bar(f"≤ {MAX_RATIO} × the time of {AWS_CLI}", ratio.value, ratio.value <= MAX_RATIO)
    for quantity, most, text in (
        ("memory", MAX_MEGABYTES, f"≤ {MAX_MEGABYTES} MB of memory"),
        ("second run", MAX_AGAIN_SECONDS, f"second run of a finished folder ≤ {MAX_AGAIN_SECONDS} s"),
        ("uploads of the second run", 0, "no upload in the second run"),
        ("results", MAX_RESULTS_SECONDS, f"{FILES:,} results as CSV ≤ {MAX_RESULTS_SECONDS} s"),
    ):
        worst = max(result.values(DOCKET, "", quantity))
        result.add_bar(text, worst, worst <= most)
    result.add_bar("no file is missing after a killed submit", missing, missing == 0)
    result.add_bar("no file is uploaded twice after a killed submit", twice, twice == 0)
    result.add_note("The local AWS, whose event source mappings are off. Both commands upload to prefixes that notify the queue.")
    result.add_note("Memory is the largest resident size of the process.")
    return result
