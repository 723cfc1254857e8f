"""The events for the environments, and the check that their work was done."""
import json
import uuid

from lab import BenchError, Lab

QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:jobs"
DONE = ("complete", "COMPLETED")
# Every sentence has the job id, so that any result can be matched with its job.
SENTENCES = [
    "This lease, {job_id}, is made between the landlord, Mr Fergus Tallow, and the tenant, Ms Ines Brightwater.",
    "By {job_id} the landlord lets the flat at 4 Cooper's Court, Marrowby, for twelve months from 1 February 2026.",
    "The monthly rent of {job_id} is GBP 760 and is due on the first day of each month.",
    "The tenant of {job_id} pays a deposit of GBP 870, which is returned within 14 days of the end of the lease.",
    "Either party may end {job_id} by two months' notice in writing.",
]


def make_job_ids(count: int, prefix: str = "job") -> list[str]:
    """Job ids that no other batch has."""
    mark = uuid.uuid4().hex[:12]
    return [f"{prefix}-{mark}-{number:05}" for number in range(count)]


def make_document(job_id: str, size: int = 0) -> str:
    """A different text for each job, of about `size` bytes and at least all sentences."""
    text = " ".join(SENTENCES).format(job_id=job_id)
    return (text + "\n") * max(1, size // len(text))


def make_record(body: dict, number: int) -> dict:
    """An SQS record of a Lambda event."""
    return {
        "messageId": str(uuid.uuid4()),
        "receiptHandle": f"receipt-{number}",
        "body": json.dumps(body),
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1768382760579",
            "SenderId": "AROAEXAMPLEPRODUCER01:docket-sample-producer",
            "ApproximateFirstReceiveTimestamp": "1768382760594",
        },
        "messageAttributes": {},
        "md5OfBody": "160ecb0fa572ee6c9346085d7695c5a5",
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE_ARN,
        "awsRegion": "us-east-1",
    }


def make_event(job_ids: list[str], size: int = 0) -> dict:
    """An event whose messages contain the documents."""
    bodies = [{"job_id": job_id, "document": make_document(job_id, size)} for job_id in job_ids]
    return {"Records": [make_record(body, number) for number, body in enumerate(bodies)]}


def make_event_with_objects(lab: Lab, job_ids: list[str], size: int) -> dict:
    """An event whose documents are objects in the bucket."""
    bodies = []
    for job_id in job_ids:
        key = f"documents/{job_id}.txt"
        lab.services.request("PUT", f"/_objects/{key}", make_document(job_id, size).encode())
        bodies.append({"job_id": job_id, "document_s3": {"bucket": "documents", "key": key}})
    return {"Records": [make_record(body, number) for number, body in enumerate(bodies)]}


def check_results(lab: Lab, job_ids: list[str], failed: list[str]) -> None:
    """Raises BenchError unless each job made one call of the model and has its own result in the table."""
    if failed:
        raise BenchError(f"{len(failed)} of {len(job_ids)} messages failed")
    calls = lab.read_calls()["by_job"]
    wrong = [job_id for job_id in job_ids if calls.get(job_id) != 1]
    if wrong:
        raise BenchError(f"{len(wrong)} jobs did not make exactly one call: {wrong[0]} made {calls.get(wrong[0], 0)}")
    done = [item for item in lab.services.request("GET", "/_items").values() if is_complete(item)]
    results = json.dumps([item.get("result") or item["data"] for item in done])
    missing = [job_id for job_id in job_ids if job_id not in results]
    if missing or len(done) < len(job_ids):
        raise BenchError(f"{len(done)} of {len(job_ids)} jobs are complete, {len(missing)} have no result of their own document")


def is_complete(item: dict) -> bool:
    return item["status"]["S"] in DONE and ("result" in item or "data" in item)
