"""Runs ministack, the local AWS, with two things mended.

CloudFormation turns a template's `!Ref` to a Number parameter into a number
where the property is one. ministack leaves text there, and its poller then
compares text with numbers: an event source mapping whose MaximumConcurrency or
BatchSize is a parameter is never polled. Here its numbers become numbers.

Lambda goes back in a table's stream to the first change that a function names in
its `batchItemFailures`. ministack does not read that answer, and goes on. Here
such an answer counts as an error, after which ministack gives the same changes
again; AWS would leave out those before the first that failed.
"""
import json

from ministack.app import main
from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners


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


if __name__ == "__main__":
    mend(provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"])
    lambda_svc._execute_function = with_stream_failures(lambda_svc._execute_function)
    main()
