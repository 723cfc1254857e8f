"""The Powertools peer as a function of the local AWS, with a queue and a table of its own."""
import io
import json
import zipfile
from dataclasses import dataclass

from lab import HANDLERS, MODEL_ID, PEERS
from measures.size import OF_BOTO3, OF_POWERTOOLS, packages
from results import THREADS
from stack import Stack

NAME = "bench-peer"
ROLE = "arn:aws:iam::000000000000:role/bench"
# A failed message comes again when its visibility time-out is over: the shortest
# that Lambda allows, which is the function's own time-out, is the best for the peer.
SECONDS = 30
# As Docket's template has it, so that a throttled message is not given up.
RECEIVED = 1_000


@dataclass
class PeerFunction:
    queue: str
    dead_letters: str
    table: str
    log_group: str = f"/aws/lambda/{NAME}"


def code() -> bytes:
    files = {path.name: path for path in PEERS.iterdir() if path.is_file()} | packages(OF_POWERTOOLS + OF_BOTO3)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, path in sorted(files.items()):
            archive.write(path, name)
    return buffer.getvalue()


def deployed(stack: Stack, concurrency: int, batch: int) -> PeerFunction:
    """Makes the queue, the table, the function and the mapping, which begins at once."""
    sqs, functions = stack.local.client("sqs"), stack.local.client("lambda")

    def queue(name: str, attributes: dict) -> tuple[str, str]:
        url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    dead, dead_arn = queue(f"{NAME}-dead", {})
    redrive = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": RECEIVED})
    url, arn = queue(NAME, {"VisibilityTimeout": str(SECONDS), "RedrivePolicy": redrive})
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
        Timeout=SECONDS,
        MemorySize=512,
        Environment={"Variables": {"JOBS_TABLE": NAME, "MODEL_ID": MODEL_ID}},
    )
    functions.create_event_source_mapping(
        FunctionName=NAME,
        EventSourceArn=arn,
        BatchSize=batch,
        MaximumBatchingWindowInSeconds=1,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        ScalingConfig={"MaximumConcurrency": concurrency},
    )
    return PeerFunction(url, dead, NAME)
