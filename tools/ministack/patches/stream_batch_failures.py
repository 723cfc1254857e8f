"""Stream records that a function reports as failed are retried.

AWS: a function of a DynamoDB stream reports failed records as
`batchItemFailures`. Lambda retries from the failed record with the lowest
sequence number.
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html

ministack: it does not read the response of a stream's function, and advances
past the whole batch.

The patch: a response with `batchItemFailures` counts as an error of the
invocation. ministack then retries the whole batch. Unlike AWS, it redelivers the
records before the first failed one too.
"""
import inspect
import json

from ministack.services import lambda_svc

from ..patch import Patch, Target


def is_stream_event(event) -> bool:
    records = event.get("Records") if isinstance(event, dict) else None
    return bool(records) and records[0].get("eventSource") == "aws:dynamodb"


def read_item_failures(body) -> list:
    """`batchItemFailures` of a function's response, which is text, bytes or an object."""
    try:
        body = json.loads(body) if isinstance(body, (str, bytes)) else body
    except ValueError:
        return []
    return (body.get("batchItemFailures") or []) if isinstance(body, dict) else []


def is_needed() -> bool:
    return "batchItemFailures" not in inspect.getsource(lambda_svc._poll_dynamodb_streams)


def apply(environment) -> None:
    execute = lambda_svc._execute_function

    def execute_function(func: dict, event: dict) -> dict:
        result = execute(func, event)
        if is_stream_event(event) and not result.get("error") and read_item_failures(result.get("body")):
            return result | {"error": True}
        return result

    lambda_svc._execute_function = execute_function


PATCH = Patch(
    "stream_batch_failures",
    (
        Target(lambda_svc, "_execute_function", ("func", "event")),
        Target(lambda_svc, "_poll_dynamodb_streams", ()),
    ),
    is_needed,
    apply,
)
