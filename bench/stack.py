"""The local AWS with the stack of template.yaml, for the measures that want all of it.

The functions lie where the bench has its consumer from: target/release, or what
--bin-dir names; the stand-in is that of the other measures.
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
from lab import PYTHON, Lab, Stop  # noqa: E402
from local_aws import Local  # noqa: E402
from processes import ToolError  # noqa: E402
from work import DONE  # noqa: E402

SENDERS = 4
# Ports of a local AWS and what belongs to it.
PORTS = 10
WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")
MOST_EVENTS = 10_000
BILLED = re.compile(r"Billed Duration: (\d+) ms")
BATCH_OF_MESSAGES = 10
BATCH_OF_ROWS = 100


def binaries(lab: Lab) -> Path:
    """Where the release binaries are: those of the other measures."""
    found = lab.consumer.parent
    wanted = ["consumer", "producer", "notifier"]
    missing = [name for name in wanted if not (found / name).exists()]
    if missing:
        raise Stop(f"{found} has no {', '.join(missing)}: say `make bench`, which builds them")
    return found


@dataclass
class Place:
    """Where a variant has its work from, and where it leaves it."""

    function: str
    queue: str
    dead_letters: str
    table: str
    log_group: str
    # A job's key in the table.
    key: Callable[[str], str] = str


@dataclass
class Stack:
    """A deployed stack."""

    local: Local
    found: dict[str, str]

    @property
    def queue(self) -> str:
        return self.found["JobsQueueUrl"]

    @property
    def table(self) -> str:
        return self.found["JobsTableName"]

    def place(self) -> Place:
        """Docket's own."""
        found = self.found
        log_group = f"/docket/{local_aws.STACK}/consumer"
        return Place(found["ConsumerFunctionName"], self.queue, found["DeadLetterQueueUrl"], self.table, log_group)

    def model(self, method: str, path: str, body: dict | None = None):
        """Asks the model's stand-in."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(self.found["ModelEndpointUrl"] + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or b"null")

    def behave(self, **behaviour) -> None:
        """Forgets the calls so far, and tells the model how to behave."""
        self.model("POST", "/_reset")
        self.model("PUT", "/_behaviour", behaviour)

    def send(self, jobs: list[str], document: str, queue: str | None = None) -> None:
        """Puts a message for each of the jobs into the queue."""
        sqs, url = self.local.client("sqs"), queue or self.queue

        def batch(first: int) -> int:
            several = jobs[first : first + BATCH_OF_MESSAGES]
            bodies = [json.dumps({"job_id": job, "document": document}) for job in several]
            entries = [{"Id": str(place), "MessageBody": body} for place, body in enumerate(bodies)]
            return len(sqs.send_message_batch(QueueUrl=url, Entries=entries).get("Failed", []))

        with ThreadPoolExecutor(SENDERS) as pool:
            if failed := sum(pool.map(batch, range(0, len(jobs), BATCH_OF_MESSAGES))):
                raise Stop(f"{failed} messages were not taken by the queue")

    def waiting(self, queue: str | None = None) -> tuple[int, int]:
        """Messages of a queue that are visible, and that are not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        sqs = self.local.client("sqs")
        attributes = sqs.get_queue_attributes(QueueUrl=queue or self.queue, AttributeNames=names)["Attributes"]
        return int(attributes[names[0]]), int(attributes[names[1]])

    def poll(self, enabled: bool, place: Place | None = None) -> None:
        """Has the queue's event source mapping take messages, or not."""
        client = self.local.client("lambda")
        name = (place or self.place()).function
        for mapping in client.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]:
            client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)

    def unfinished(self, jobs: list[str], place: Place) -> list[str]:
        """Those of the jobs that are not complete."""
        client, keys, done = self.local.client("dynamodb"), {place.key(job): job for job in jobs}, set()
        told = {"ProjectionExpression": "job_id, #s", "ExpressionAttributeNames": {"#s": "status"}, "ConsistentRead": True}
        wanted = list(keys)
        for first in range(0, len(wanted), BATCH_OF_ROWS):
            some = [{"job_id": {"S": key}} for key in wanted[first : first + BATCH_OF_ROWS]]
            answer = client.batch_get_item(RequestItems={place.table: told | {"Keys": some}})
            rows = answer["Responses"][place.table]
            done |= {row["job_id"]["S"] for row in rows if row.get("status", {}).get("S") in DONE}
        return [job for key, job in keys.items() if key not in done]

    def writes(self) -> int:
        """Writes to DynamoDB so far, of whichever table."""
        time.sleep(1.5)  # The counts are written down twice a second.
        counts = json.loads(self.local.counts.read_text())
        return sum(count for name, count in counts.items() if name.split(" ")[0] in WRITES)

    def function_seconds(self, log_group: str) -> float:
        """What Lambda would bill: the durations that its reports tell."""
        client = self.local.client("logs")
        try:
            events = client.filter_log_events(logGroupName=log_group, filterPattern='"Billed Duration"')["events"]
        except client.exceptions.ResourceNotFoundException:
            return 0.0  # A function that has not run has no log.
        # ministack gives so many, and no token for more.
        if len(events) >= MOST_EVENTS:
            raise Stop(f"the log holds {MOST_EVENTS:,} reports or more, and not all can be read")
        return sum(int(match[1]) for event in events if (match := BILLED.search(event["message"]))) / 1_000


@contextmanager
def deployed(lab: Lab, parameters: str, beside: int = 0) -> Iterator[Stack]:
    """A local AWS of its own, until the measure is done with it; `beside` so many others."""
    local = Local(
        lab.port + PORTS * beside,
        parameters=parameters,
        is_default=False,
        binaries=binaries(lab),
        stand_in=lab.stand_in,
        ramp=True,
        python=PYTHON,
    )
    local.counts = local.directory / "counts.json"
    try:
        yield Stack(local, local_aws.up(local))
    except ToolError as error:
        raise Stop(str(error)) from error
    finally:
        local_aws.down(local)


def wait_until(done, seconds: float, every: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            raise Stop(f"after {seconds:.0f} s {what}")
        time.sleep(every)
