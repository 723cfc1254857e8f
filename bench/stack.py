"""The local AWS with the stack of template.yaml, for measures of the complete system.

It deploys the functions of target/release (or --bin-dir) and uses the same stand-in
as the other measures.
"""
import json
import re
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import local_aws  # noqa: E402
from lab import PYTHON, BenchError, Lab  # noqa: E402
from local_aws import Local  # noqa: E402
from processes import ToolError  # noqa: E402
from work import DONE  # noqa: E402

SENDERS = 4
# Distance between the ports of two local AWSs.
PORT_STEP = 10
WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")
MAX_LOG_EVENTS = 10_000
BILLED = re.compile(r"Billed Duration: (\d+) ms")
MESSAGES_PER_REQUEST = 10
ITEMS_PER_REQUEST = 100


def find_binaries(lab: Lab) -> Path:
    """The directory of the release binaries, which the other measures use too."""
    directory = lab.consumer.parent
    missing = [name for name in ("consumer", "producer", "notifier") if not (directory / name).exists()]
    if missing:
        raise BenchError(f"{directory} has no {', '.join(missing)}: run `make bench`, which builds them")
    return directory


@dataclass
class Deployment:
    """The resources of one variant."""

    function: str
    queue: str
    dead_letters: str
    table: str
    log_group: str
    # A job's key in the table.
    key: Callable[[str], str] = str


@dataclass
class Stack:
    """A deployed stack, with its outputs."""

    local: Local
    outputs: dict[str, str]

    @property
    def queue(self) -> str:
        return self.outputs["JobsQueueUrl"]

    @property
    def table(self) -> str:
        return self.outputs["JobsTableName"]

    def docket(self) -> Deployment:
        """Docket's resources."""
        outputs = self.outputs
        log_group = f"/docket/{local_aws.STACK}/consumer"
        return Deployment(
            outputs["ConsumerFunctionName"], self.queue, outputs["DeadLetterQueueUrl"], self.table, log_group
        )

    def request_model(self, method: str, path: str, body: dict | None = None):
        """Sends a request to the control of the Bedrock stand-in."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.outputs["ModelEndpointUrl"] + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or b"null")

    def reset_model(self, **behaviour) -> None:
        """Clears the recorded calls and sets the behaviour of the model."""
        self.request_model("POST", "/_reset")
        self.request_model("PUT", "/_behaviour", behaviour)

    def send(self, jobs: list[str], document: str, queue: str | None = None) -> None:
        """Sends one message per job to the queue."""
        sqs, url = self.local.client("sqs"), queue or self.queue

        def send_batch(first: int) -> int:
            batch = jobs[first : first + MESSAGES_PER_REQUEST]
            bodies = [json.dumps({"job_id": job, "document": document}) for job in batch]
            entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies)]
            return len(sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed", []))

        with ThreadPoolExecutor(SENDERS) as pool:
            if failed := sum(pool.map(send_batch, range(0, len(jobs), MESSAGES_PER_REQUEST))):
                raise BenchError(f"the queue rejected {failed} messages")

    def count_messages(self, queue: str | None = None) -> tuple[int, int]:
        """The visible and the invisible messages of a queue."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        sqs = self.local.client("sqs")
        attributes = sqs.get_queue_attributes(QueueUrl=queue or self.queue, AttributeNames=names)["Attributes"]
        return int(attributes[names[0]]), int(attributes[names[1]])

    def set_polling(self, enabled: bool, deployment: Deployment | None = None) -> None:
        """Enables or disables the event source mappings of a function."""
        client = self.local.client("lambda")
        name = (deployment or self.docket()).function
        for mapping in client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]:
            client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)

    def find_unfinished(self, jobs: list[str], deployment: Deployment) -> list[str]:
        """The jobs that are not complete."""
        client, job_of_key, done = self.local.client("dynamodb"), {deployment.key(job): job for job in jobs}, set()
        query = {"ProjectionExpression": "job_id, #s", "ExpressionAttributeNames": {"#s": "status"}, "ConsistentRead": True}
        all_keys = list(job_of_key)
        for first in range(0, len(all_keys), ITEMS_PER_REQUEST):
            keys = [{"job_id": {"S": key}} for key in all_keys[first : first + ITEMS_PER_REQUEST]]
            answer = client.batch_get_item(RequestItems={deployment.table: query | {"Keys": keys}})
            items = answer["Responses"][deployment.table]
            done |= {item["job_id"]["S"] for item in items if item.get("status", {}).get("S") in DONE}
        return [job for key, job in job_of_key.items() if key not in done]

    def count_writes(self) -> int:
        """Writes to all tables of DynamoDB so far."""
        time.sleep(1.5)  # The local AWS writes the file twice per second.
        counts = json.loads(self.local.counts.read_text())
        return sum(count for name, count in counts.items() if name.split(" ")[0] in WRITES)

    def read_function_seconds(self, log_group: str) -> float:
        """The seconds that Lambda would bill, by the REPORT lines of the log."""
        client = self.local.client("logs")
        try:
            events = client.filter_log_events(logGroupName=log_group, filterPattern='"Billed Duration"')["events"]
        except client.exceptions.ResourceNotFoundException:
            return 0.0  # A function that has not run has no log.
        # ministack returns at most this number, without a token for the next page.
        if len(events) >= MAX_LOG_EVENTS:
            raise BenchError(f"the log has {MAX_LOG_EVENTS:,} or more REPORT lines; ministack returns only the first ones")
        return sum(int(match[1]) for event in events if (match := BILLED.search(event["message"]))) / 1_000


@contextmanager
def deploy_stack(lab: Lab, parameters: str, number: int = 0) -> Iterator[Stack]:
    """A separate local AWS for the duration of the context. `number` distinguishes concurrent ones."""
    local = Local(
        lab.port + PORT_STEP * number,
        parameters=parameters,
        is_default=False,
        binaries=find_binaries(lab),
        stand_in=lab.stand_in,
        ramp=True,
        python=PYTHON,
    )
    local.counts = local.directory / "counts.json"
    try:
        yield Stack(local, local_aws.up(local))
    except ToolError as error:
        raise BenchError(str(error)) from error
    finally:
        local_aws.down(local)


def wait_until(is_done: Callable[[], bool], seconds: float, interval: float, problem: str) -> None:
    """Waits until `is_done`; raises BenchError with `problem` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline:
            raise BenchError(f"after {seconds:.0f} s {problem}")
        time.sleep(interval)
