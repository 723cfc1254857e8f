"""Runs ministack, the local AWS, with one thing mended.

CloudFormation turns a template's `!Ref` to a Number parameter into a number
where the property is one. ministack leaves text there, and its poller then
compares text with numbers: an event source mapping whose MaximumConcurrency or
BatchSize is a parameter is never polled. Here its numbers become numbers.
"""
from ministack.app import main
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


if __name__ == "__main__":
    mend(provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"])
    main()
