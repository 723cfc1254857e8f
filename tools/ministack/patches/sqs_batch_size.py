"""A batch of queue messages is as large as its mapping's BatchSize.

AWS: the BatchSize of a standard queue may be up to 10,000.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html

ministack: an event source mapping receives ten messages at most.

The patch: an event source mapping receives up to its BatchSize.
"""
from unittest import mock

from ministack.services import sqs

from ..patch import Patch, Target

MINISTACK_LIMIT = 10


def is_needed() -> bool:
    """Asks for more messages than ministack's limit from an empty queue."""
    queue = {"attributes": {}, "messages": []}
    with mock.patch.object(sqs, "_get_q", return_value=queue), mock.patch.object(sqs, "_collect_msgs") as collect:
        sqs._receive_messages_for_esm("", MINISTACK_LIMIT + 1)
    return collect.call_args.args[1] == MINISTACK_LIMIT


def apply(environment) -> None:
    def receive_batch(queue_url: str, max_number: int) -> list[dict]:
        with sqs._queues_lock:
            queue = sqs._get_q(queue_url)
            sqs._expire_retained(queue)
            sqs._dlq_sweep(queue)
            visibility_timeout = int(queue["attributes"].get("VisibilityTimeout", "30"))
            return sqs._collect_msgs(queue, int(max_number or 1), visibility_timeout)

    sqs._receive_messages_for_esm = receive_batch


PATCH = Patch(
    "sqs_batch_size",
    (
        Target(sqs, "_receive_messages_for_esm", ("queue_url", "max_number")),
        Target(sqs, "_queues_lock"),
        Target(sqs, "_get_q", ("url", "action")),
        Target(sqs, "_expire_retained", ("q",)),
        Target(sqs, "_dlq_sweep", ("q",)),
        Target(sqs, "_collect_msgs", ("q", "max_n", "vis_timeout")),
    ),
    is_needed,
    apply,
)
