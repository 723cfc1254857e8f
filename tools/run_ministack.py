"""Runs ministack, the local AWS, with eight things mended.

CloudFormation turns a template's `!Ref` to a Number parameter into a number
where the property is one. ministack leaves text there, and its poller then
compares text with numbers: an event source mapping whose MaximumConcurrency or
BatchSize is a parameter is never polled. Here its numbers become numbers.

Lambda goes back in a table's stream to the first change that a function names in
its `batchItemFailures`. ministack does not read that answer, and goes on. Here
such an answer counts as an error, after which ministack gives the same changes
again; AWS would leave out those before the first that failed.

An event source mapping of a queue gives a function up to its BatchSize. ministack
gives ten at the most. Here it gives what is asked for.

Lambda reads each event source by itself, and gathers a stream's changes for the
mapping's window. ministack has one thread for all, which gives each change at
once, waits for the function, and meanwhile takes nothing from any queue. Here
streams have a thread of their own, and the template's window.

Lambda begins to read a queue with 5 batches at the same time, and with up to 300
more each minute (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html);
ministack begins with all at once. With LOCAL_AWS_RAMP=1 it rises as AWS's does.

A hundred connections may wait to be taken; a batch that begins opens more than
that at once, and those left over are opened again by TCP a second later. Here
more may wait.

Tables, streams and logs stay in memory, and Python's full collection walks all of
them: it stops every service at once, 0.3 s after ten thousand jobs and 1 s after
forty thousand. Here the garbage collector leaves the oldest generation alone; what
nothing refers to is freed by reference counting as before, and a cycle that lived
long enough to come there stays until the end.

Functions in Python run by the Python that ministack itself runs by. With
LOCAL_AWS_PYTHON=FILE that one runs them.

With LOCAL_AWS_COUNTS=FILE the requests to DynamoDB are counted, by operation and
table, and the counts are in the file within a second.
"""
import gc
import json
import os
import threading
import time
from collections import Counter

from hypercorn.config import Config as Server
from ministack.app import main
from ministack.core import lambda_runtime
from ministack.services import dynamodb, lambda_svc, sqs
from ministack.services.cloudformation import provisioners

# MaximumBatchingWindowInSeconds of the template's mapping of a stream.
STREAM_WINDOW_SECONDS = 1.0
STREAM_PAUSE_SECONDS = 0.1
CONNECTIONS_WAITING = 4_096
RAMP_BEGINS, RAMP_A_SECOND = 5, 5
# The garbage collector's threshold for its oldest generation: never, in effect.
OLDEST_GENERATION = 1_000_000


def with_numbers(value):
    if isinstance(value, dict):
        return {key: with_numbers(inner) for key, inner in value.items()}
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def mend(handlers: dict) -> None:
    create, update = handlers["create"], handlers["update"]
    handlers["create"] = lambda logical_id, props, stack: create(logical_id, with_numbers(props), stack)
    handlers["update"] = lambda physical_id, old, new, stack: update(
        physical_id, with_numbers(old), with_numbers(new), stack
    )


def is_of_a_stream(event) -> bool:
    records = event.get("Records") if isinstance(event, dict) else None
    return bool(records) and records[0].get("eventSource") == "aws:dynamodb"


def failures(body) -> list:
    try:
        body = json.loads(body) if isinstance(body, (str, bytes)) else body
    except ValueError:
        return []
    return (body.get("batchItemFailures") or []) if isinstance(body, dict) else []


def with_stream_failures(execute):
    def execute_and_read(function: dict, event: dict) -> dict:
        result = execute(function, event)
        if is_of_a_stream(event) and not result.get("error") and failures(result.get("body")):
            return result | {"error": True}
        return result

    return execute_and_read


def receive_whole_batch(queue_url: str, wanted: int) -> list[dict]:
    """Messages for a function, up to its BatchSize."""
    with sqs._queues_lock:
        queue = sqs._get_q(queue_url)
        sqs._expire_retained(queue)
        sqs._dlq_sweep(queue)
        return sqs._collect_msgs(queue, int(wanted or 1), int(queue["attributes"].get("VisibilityTimeout", "30")))


def counted(path: str) -> None:
    """Counts DynamoDB's requests."""
    counts: Counter = Counter()
    handle = dynamodb.handle_request

    async def handle_and_count(method, url, headers, body, query):
        operation = next((value for name, value in headers.items() if name.lower() == "x-amz-target"), "")
        try:
            table = json.loads(body).get("TableName", "")
        except ValueError:
            table = ""
        counts[f"{operation.rpartition('.')[2]} {table}"] += 1
        return await handle(method, url, headers, body, query)

    def tell() -> None:
        while True:
            time.sleep(0.5)
            new = f"{path}.new"
            with open(new, "w") as file:
                json.dump(dict(counts), file)
            os.replace(new, path)

    dynamodb.handle_request = handle_and_count
    threading.Thread(target=tell, name="counts", daemon=True).start()


def with_ramp(concurrency):
    """How many batches may run, from when the mapping began to find messages."""
    began: dict[str, float] = {}

    def so_far(mapping: dict, *rest) -> int:
        name, now = mapping["UUID"], time.monotonic()
        if name not in lambda_svc._esm_inflight:
            began[name] = now
        return min(concurrency(mapping, *rest), RAMP_BEGINS + int(RAMP_A_SECOND * (now - began[name])))

    return so_far


def by_python(detect, python: str):
    """Functions in Python by this one, the rest as before."""

    def detect_with(runtime: str) -> tuple[str, str]:
        binary, worker = detect(runtime)
        return (python if runtime.startswith("python") else binary), worker

    return detect_with


def gathered(read):
    """A stream's changes once there is a whole batch of them, or the first has
    waited for the window."""

    def read_gathered(table: str, position: int, limit: int, **scope) -> list[dict]:
        records = read(table, position, limit, **scope)
        if len(records) < limit and records:
            created = float(records[0]["dynamodb"]["ApproximateCreationDateTime"])
            return records if time.time() - created >= STREAM_WINDOW_SECONDS else []
        return records

    return read_gathered


def on_a_thread_of_its_own(poll):
    """Polls beside whoever asks; who asks hears that there is nothing."""

    def always() -> None:
        while True:
            try:
                found = poll()
            except Exception as error:
                lambda_svc.logger.error("ESM DynamoDB streams poller error: %s", error)
                found = False
            if not found:
                time.sleep(STREAM_PAUSE_SECONDS)

    thread = threading.Thread(target=always, name="streams", daemon=True)

    def begin() -> bool:
        if not thread.is_alive():
            thread.start()
        return False

    return begin


if __name__ == "__main__":
    mend(provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"])
    lambda_svc._execute_function = with_stream_failures(lambda_svc._execute_function)
    sqs._receive_messages_for_esm = receive_whole_batch
    dynamodb.stream_records_since = gathered(dynamodb.stream_records_since)
    lambda_svc._poll_dynamodb_streams = on_a_thread_of_its_own(lambda_svc._poll_dynamodb_streams)
    if path := os.environ.get("LOCAL_AWS_COUNTS"):
        counted(path)
    if python := os.environ.get("LOCAL_AWS_PYTHON"):
        lambda_runtime._detect_runtime_binary = by_python(lambda_runtime._detect_runtime_binary, python)
    Server.backlog = CONNECTIONS_WAITING
    gc.set_threshold(*gc.get_threshold()[:2], OLDEST_GENERATION)
    if os.environ.get("LOCAL_AWS_RAMP") == "1":
        lambda_svc._sqs_esm_concurrency = with_ramp(lambda_svc._sqs_esm_concurrency)
    main()
