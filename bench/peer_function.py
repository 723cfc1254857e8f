"""The Powertools peer as a function of the local AWS, with its own queue and table."""
import hashlib
import io
import json
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from lab import HANDLERS, MODEL_ID, PEERS, PYTHON, BenchError
from measures.size import BOTO3_PACKAGES, POWERTOOLS_PACKAGES, list_package_files
from results import THREADS
from stack import Deployment, Stack

NAME = "bench-peer"
ROLE = "arn:aws:iam::000000000000:role/bench"
# As in Docket's template, so that SQS does not dead-letter a throttled message.
MAX_RECEIVE_COUNT = 1_000
# boto3's adaptive retries, its means against throttling.
RETRY_VARIABLES = {"MODEL_ATTEMPTS": "8", "MODEL_RETRY_MODE": "adaptive"}


# The prefix of Powertools' keys: the function of bench/peers/idempotent.py.
KEY_PREFIX = f"{NAME}.idempotent.analyse_once#"


def make_zip() -> bytes:
    """The peer and its packages with their bytecode, so that a new environment compiles nothing."""
    files = {path.name: path for path in PEERS.iterdir() if path.is_file()}
    files |= list_package_files(POWERTOOLS_PACKAGES + BOTO3_PACKAGES)
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as directory, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, path in files.items():
            (Path(directory) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, Path(directory) / name)
        # Unpacking changes the modification times of the sources, so the bytecode must not depend on them.
        command = [PYTHON, "-m", "compileall", "-q", "-s", directory, "--invalidation-mode", "unchecked-hash", directory]
        if subprocess.run(command).returncode != 0:
            raise BenchError("compileall failed for the peer: see its messages above")
        for path in sorted(Path(directory).rglob("*")):
            archive.write(path, path.relative_to(directory))
    return buffer.getvalue()


def make_key(job: str) -> str:
    """The job's key in the peer's table, as Powertools builds it."""
    return KEY_PREFIX + hashlib.md5(json.dumps(job).encode()).hexdigest()


def deploy_peer(stack: Stack, concurrency: int, batch: int, seconds: int, polled: bool = True) -> Deployment:
    """Creates the queue, the table, the function and its event source mapping.

    `seconds` is the time-out of the function and the visibility time-out of the
    messages. That is the minimum that Lambda allows, and the best for the peer: SQS
    redelivers a failed message only after it.
    """
    sqs, functions = stack.local.client("sqs"), stack.local.client("lambda")

    def create_queue(name: str, attributes: dict) -> tuple[str, str]:
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    dead, dead_arn = create_queue(f"{NAME}-dead", {})
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": MAX_RECEIVE_COUNT})
    url, arn = create_queue(NAME, {"VisibilityTimeout": str(seconds), "RedrivePolicy": redrive})
    stack.local.client("dynamodb").create_table(
        TableName=NAME,
        KeySchema=[{"AttributeName": "job_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "job_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    functions.create_function(
        FunctionName=NAME,
        Runtime="python3.12",
        Role=ROLE,
        Handler=HANDLERS[THREADS],
        Code={"ZipFile": make_zip()},
        Timeout=seconds,
        MemorySize=512,
        Environment={"Variables": {"JOBS_TABLE": NAME, "MODEL_ID": MODEL_ID} | RETRY_VARIABLES},
    )
    functions.create_event_source_mapping(
        FunctionName=NAME,
        EventSourceArn=arn,
        BatchSize=batch,
        MaximumBatchingWindowInSeconds=1,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        ScalingConfig={"MaximumConcurrency": concurrency},
        Enabled=polled,
    )
    return Deployment(NAME, url, dead, NAME, f"/aws/lambda/{NAME}", make_key)
