"""The Powertools peer as a function of the local AWS, with a queue and a table of its own."""
import hashlib
import io
import json
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

from lab import HANDLERS, MODEL_ID, PEERS, PYTHON, Stop
from measures.size import OF_BOTO3, OF_POWERTOOLS, packages
from results import THREADS
from stack import Place, Stack

NAME = "bench-peer"
ROLE = "arn:aws:iam::000000000000:role/bench"
# As Docket's template has it, so that a throttled message is not given up.
RECEIVED = 1_000
# boto3's own answer to throttling, which it is here for.
ATTEMPTS = {"MODEL_ATTEMPTS": "8", "MODEL_RETRY_MODE": "adaptive"}


# What Powertools puts before a job's hash in its key: the function of bench/peers/idempotent.py.
KEYS = f"{NAME}.idempotent.analyse_once#"


def code() -> bytes:
    """The peer and its packages, with their bytecode: a new environment does not compile."""
    files = {path.name: path for path in PEERS.iterdir() if path.is_file()} | packages(OF_POWERTOOLS + OF_BOTO3)
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory() as made, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, path in files.items():
            (Path(made) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, Path(made) / name)
        # By the Python that runs it. Unpacking gives the source another time: the bytecode must not ask for it.
        command = [PYTHON, "-m", "compileall", "-q", "-s", made, "--invalidation-mode", "unchecked-hash", made]
        if subprocess.run(command).returncode != 0:
            raise Stop("the peer could not be compiled: see above")
        for path in sorted(Path(made).rglob("*")):
            archive.write(path, path.relative_to(made))
    return buffer.getvalue()


def key(job: str) -> str:
    """The job's key in the peer's table, as Powertools makes it."""
    return KEYS + hashlib.md5(json.dumps(job).encode()).hexdigest()


def deployed(stack: Stack, concurrency: int, batch: int, seconds: int, polled: bool = True) -> Place:
    """Makes the queue, the table, the function and its mapping.

    `seconds` is the function's time-out, and the messages' visibility time-out: the
    shortest that Lambda allows, after which a failed one comes again, is the best for
    the peer.
    """
    sqs, functions = stack.local.client("sqs"), stack.local.client("lambda")

    def queue(name: str, attributes: dict) -> tuple[str, str]:
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    dead, dead_arn = queue(f"{NAME}-dead", {})
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": RECEIVED})
    url, arn = queue(NAME, {"VisibilityTimeout": str(seconds), "RedrivePolicy": redrive})
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
        Code={"ZipFile": code()},
        Timeout=seconds,
        MemorySize=512,
        Environment={"Variables": {"JOBS_TABLE": NAME, "MODEL_ID": MODEL_ID} | ATTEMPTS},
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
    return Place(NAME, url, dead, NAME, f"/aws/lambda/{NAME}", key)
