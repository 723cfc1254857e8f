"""Powertools' idempotency with one thread per record of the batch.

Powertools' batch processors process one record after the other, or need asyncio,
which boto3 does not support. Concurrent calls of boto3 need threads.
"""
import json
from concurrent.futures import ThreadPoolExecutor

from common import CONNECTIONS, batch_response
from idempotent import CONFIG, analyse_once

# Reused by later invocations. The pool starts a thread when it needs one.
THREADS = ThreadPoolExecutor(max_workers=CONNECTIONS)


def process_record(record: dict) -> str | None:
    """Returns the message id if the record failed."""
    try:
        job = json.loads(record["body"])
        analyse_once(job=job, attempt=record["attributes"]["ApproximateReceiveCount"])
    except Exception as error:
        print(f"{record['messageId']} failed: {type(error).__name__}")
        return record["messageId"]
    return None


def handler(event: dict, context) -> dict:
    CONFIG.register_lambda_context(context)
    return batch_response([message_id for message_id in THREADS.map(process_record, event["Records"]) if message_id])
