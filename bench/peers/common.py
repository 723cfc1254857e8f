"""Code that all peers use: reading the document, and the request to the model.

The request is that of Docket, recorded in request.json: the same system text, task,
tool schema and settings. The peers add the document, the job and the attempt.
"""
import json
import os
import threading
from pathlib import Path

import boto3
from botocore.config import Config

TABLE = os.environ["JOBS_TABLE"]
MODEL_ID = os.environ["MODEL_ID"]
# As many connections as a batch has messages, so that no thread waits for one.
CONNECTIONS = 100
# One attempt, except where a measure is about throttling. A call that is repeated after
# a time-out may be paid for twice, and the queue retries failed messages anyway.
RETRIES = {
    "total_max_attempts": int(os.environ.get("MODEL_ATTEMPTS", "1")),
    "mode": os.environ.get("MODEL_RETRY_MODE", "legacy"),
}
MODEL_CONFIG = Config(max_pool_connections=CONNECTIONS, read_timeout=130, connect_timeout=10, retries=RETRIES)
STORE_CONFIG = Config(max_pool_connections=CONNECTIONS)

REQUEST = json.loads(Path(__file__).with_name("request.json").read_text())
CONTENT = REQUEST["messages"][0]["content"]
TOOL = REQUEST["toolConfig"]["tools"][0]["toolSpec"]["name"]

# Created once per environment, before the first event, as AWS recommends.
MODEL = boto3.client("bedrock-runtime", config=MODEL_CONFIG)
TABLE_CLIENT = boto3.client("dynamodb", config=STORE_CONFIG)
_bucket_client = None
_bucket_lock = threading.Lock()


def read_document(job: dict) -> bytes:
    """The bytes of the document, from the message or from the bucket."""
    if "document" in job:
        return job["document"].encode()
    at = job["document_s3"]
    return get_bucket_client().get_object(Bucket=at["bucket"], Key=at["key"])["Body"].read()


def get_bucket_client():
    """The S3 client, created at its first use, so that a start without objects does not pay for it."""
    global _bucket_client
    with _bucket_lock:
        if _bucket_client is None:
            _bucket_client = boto3.client("s3", config=STORE_CONFIG)
    return _bucket_client


def analyse(job: dict, attempt: str) -> dict:
    """Analyses one document with the model, and returns the tool's input unchanged."""
    block, task = CONTENT
    document = {"document": block["document"] | {"source": {"bytes": read_document(job)}}}
    answer = MODEL.converse(
        modelId=MODEL_ID,
        **REQUEST | {"messages": [{"role": "user", "content": [document, task]}]},
        requestMetadata={"job_id": job["job_id"], "attempt": attempt},
    )
    for block in answer["output"]["message"]["content"]:
        if block.get("toolUse", {}).get("name") == TOOL:
            return {"result": block["toolUse"]["input"], "usage": answer["usage"], "stop_reason": answer["stopReason"]}
    raise ValueError("the model did not call the tool")


def batch_response(message_ids: list[str]) -> dict:
    """Lambda's partial batch response."""
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in message_ids]}
