"""Optional, by LOCAL_AWS_RAMP=1: concurrency of a queue rises as on AWS.

AWS: Lambda starts with 5 concurrent batches of a queue, and adds up to 300
instances a minute.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html

ministack: it starts with the maximum concurrency.

The patch: the limit starts at 5 and rises by 5 a second up to the maximum. It
starts again once no batch of the mapping is in flight.
"""
import time

from ministack.services import lambda_svc

from ..patch import Patch, Target

INITIAL_BATCHES = 5
BATCHES_PER_SECOND = 5


def is_needed() -> bool:
    limit = INITIAL_BATCHES + 1
    mapping = {"UUID": "check", "ScalingConfig": {"MaximumConcurrency": limit}}
    return lambda_svc._sqs_esm_concurrency(mapping, {}, {}) == limit


def apply(environment) -> None:
    read_limit = lambda_svc._sqs_esm_concurrency
    started_at: dict[str, float] = {}

    def rising_limit(esm: dict, func_rec: dict, config: dict, queue: dict | None = None) -> int:
        mapping_id, now = esm["UUID"], time.monotonic()
        if mapping_id not in lambda_svc._esm_inflight:
            started_at[mapping_id] = now
        risen = INITIAL_BATCHES + int(BATCHES_PER_SECOND * (now - started_at[mapping_id]))
        return min(read_limit(esm, func_rec, config, queue), risen)

    lambda_svc._sqs_esm_concurrency = rising_limit


PATCH = Patch(
    "sqs_scaling",
    (
        Target(lambda_svc, "_sqs_esm_concurrency", ("esm", "func_rec", "config", "queue")),
        Target(lambda_svc, "_esm_inflight"),
    ),
    is_needed,
    apply,
    option="LOCAL_AWS_RAMP",
)
