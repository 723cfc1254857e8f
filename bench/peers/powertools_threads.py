"""Powertools' idempotency with a thread for each record of the batch.

Powertools' own batch processors take one record after the other, or are for
asyncio, which boto3 is not: threads are how boto3's calls run side by side.
"""
import json
from concurrent.futures import ThreadPoolExecutor

from common import CONNECTIONS, failures
from idempotent import CONFIG, analyse_once

# Kept from one invocation to the next; a thread is started when it is needed.
THREADS = ThreadPoolExecutor(max_workers=CONNECTIONS)


def work(record: dict) -> str | None:
    """The message's id if it is wanted again."""
    try:
        job = json.loads(record["body"])
        analyse_once(job=job, attempt=record["attributes"]["ApproximateReceiveCount"])
    except Exception as error:
        print(f"{record['messageId']} failed: {type(error).__name__}")
        return record["messageId"]
    return None


def handler(event: dict, context) -> dict:
    CONFIG.register_lambda_context(context)
    return failures([message_id for message_id in THREADS.map(work, event["Records"]) if message_id])
