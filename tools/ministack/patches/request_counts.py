"""Optional, by LOCAL_AWS_COUNTS=FILE: requests to DynamoDB are counted.

AWS: the metric SuccessfulRequestLatency counts requests by operation and table.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html

ministack: it has no such metric.

The patch: FILE holds the number of requests so far, by "operation table", as
JSON. It is at most a second old. Refused requests count too.
"""
import inspect
import json
import os
import threading
import time
from collections import Counter

from ministack.services import dynamodb

from ..patch import Patch, Target

OPTION = "LOCAL_AWS_COUNTS"
WRITE_INTERVAL_SECONDS = 0.5


def is_needed() -> bool:
    return "SuccessfulRequestLatency" not in inspect.getsource(dynamodb)


def read_key(headers: dict, body: bytes) -> str:
    """Operation and table of a request, such as "PutItem jobs"."""
    target = next((value for name, value in headers.items() if name.lower() == "x-amz-target"), "")
    try:
        table = json.loads(body).get("TableName", "")
    except ValueError:
        table = ""
    return f"{target.rpartition('.')[2]} {table}"


def write_counts(path: str, counts: Counter) -> None:
    """Replaces the file, so that no reader sees half of it."""
    new = f"{path}.new"
    with open(new, "w") as file:
        json.dump(dict(counts), file)
    os.replace(new, path)


def apply(environment) -> None:
    file_path, counts, handle = environment[OPTION], Counter(), dynamodb.handle_request

    async def count_request(method, path, headers, body, query_params):
        counts[read_key(headers, body)] += 1
        return await handle(method, path, headers, body, query_params)

    def write_forever() -> None:
        while True:
            time.sleep(WRITE_INTERVAL_SECONDS)
            write_counts(file_path, counts)

    dynamodb.handle_request = count_request
    threading.Thread(target=write_forever, name="counts", daemon=True).start()


PATCH = Patch(
    "request_counts",
    (Target(dynamodb, "handle_request", ("method", "path", "headers", "body", "query_params")),),
    is_needed,
    apply,
    option=OPTION,
)
