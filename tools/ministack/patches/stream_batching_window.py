"""Stream records wait for the mapping's batching window.

AWS: with MaximumBatchingWindowInSeconds, Lambda gathers the records of a stream
until the batch is full or the window has passed.
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html

ministack: it stores the window and does not read it. Every record is delivered
at once.

The patch: a read of stream records returns nothing until a whole batch is there
or the oldest record is as old as the window. The window is that of the
template's only stream. Other readers of streams (GetRecords, EventBridge Pipes)
use the same function, and wait too. A record's time has a resolution of one
second, so a record may wait for less than the window.
"""
import inspect
import time

from ministack.services import dynamodb, lambda_svc

from ..patch import Patch, Target

# MaximumBatchingWindowInSeconds of the notifier's mapping in template.yaml.
WINDOW_SECONDS = 1.0


def is_needed() -> bool:
    return "MaximumBatchingWindowInSeconds" not in inspect.getsource(lambda_svc._poll_dynamodb_streams)


def apply(environment) -> None:
    read = dynamodb.stream_records_since

    def read_after_window(table_name: str, position: int, limit: int, *, account_id=None, region=None) -> list[dict]:
        records = read(table_name, position, limit, account_id=account_id, region=region)
        if not records or len(records) >= limit:
            return records
        oldest = float(records[0]["dynamodb"]["ApproximateCreationDateTime"])
        return records if time.time() - oldest >= WINDOW_SECONDS else []

    dynamodb.stream_records_since = read_after_window


PATCH = Patch(
    "stream_batching_window",
    (
        Target(dynamodb, "stream_records_since", ("table_name", "position", "limit", "account_id", "region")),
        Target(lambda_svc, "_poll_dynamodb_streams", ()),
    ),
    is_needed,
    apply,
)
