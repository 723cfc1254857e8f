"""What the environments are given to do, and whether it was really done."""
import json
import uuid

from lab import Lab, Stop

QUEUE_ARN = "arn:aws:sqs:us-east-1:000000000000:jobs"
DONE = ("complete", "COMPLETED")
# Each names its document, so that a result tells whose it is, whichever it is made of.
SENTENCES = [
    "This lease, {job_id}, is made between the landlord, Mr Fergus Tallow, and the tenant, Ms Ines Brightwater.",
    "By {job_id} the landlord lets the flat at 4 Cooper's Court, Marrowby, for twelve months from 1 February 2026.",
    "The monthly rent of {job_id} is GBP 760 and is due on the first day of each month.",
    "The tenant of {job_id} pays a deposit of GBP 870, which is returned within 14 days of the end of the lease.",
    "Either party may end {job_id} by two months' notice in writing.",
]


def jobs(count: int, prefix: str = "job") -> list[str]:
    """Ids that no other batch has."""
    mark = uuid.uuid4().hex[:12]
    return [f"{prefix}-{mark}-{number:05}" for number in range(count)]


def document(job_id: str, size: int = 0) -> str:
    """A text of about so many bytes, at least some sentences; each job's is its own."""
    text = " ".join(SENTENCES).format(job_id=job_id)
    return (text + "\n") * max(1, size // len(text))


def message(body: dict, number: int) -> dict:
    """A record as a queue's poller hands it over."""
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


def batch(job_ids: list[str], size: int = 0) -> dict:
    """An event whose messages hold their documents."""
    bodies = [{"job_id": job_id, "document": document(job_id, size)} for job_id in job_ids]
    return {"Records": [message(body, number) for number, body in enumerate(bodies)]}


def batch_in_bucket(lab: Lab, job_ids: list[str], size: int) -> dict:
    """An event whose documents lie in the bucket."""
    bodies = []
    for job_id in job_ids:
        key = f"documents/{job_id}.txt"
        lab.services.ask("PUT", f"/_objects/{key}", document(job_id, size).encode())
        bodies.append({"job_id": job_id, "document_s3": {"bucket": "documents", "key": key}})
    return {"Records": [message(body, number) for number, body in enumerate(bodies)]}


def check_done(lab: Lab, job_ids: list[str], failed: list[str]) -> None:
    """Each job was asked of the model once, and has a result in the table."""
    if failed:
        raise Stop(f"{len(failed)} of {len(job_ids)} messages were given back")
    calls = lab.calls()["by_job"]
    wrong = [job_id for job_id in job_ids if calls.get(job_id) != 1]
    if wrong:
        raise Stop(f"{len(wrong)} jobs were not asked of the model exactly once: {wrong[0]} {calls.get(wrong[0], 0)} times")
    done = [item for item in lab.services.ask("GET", "/_items").values() if is_done(item)]
    told = json.dumps([item.get("result") or item["data"] for item in done])
    missing = [job_id for job_id in job_ids if job_id not in told]
    if missing or len(done) < len(job_ids):
        raise Stop(f"{len(done)} rows are complete, and {len(missing)} of {len(job_ids)} results tell nothing of their document")


def is_done(item: dict) -> bool:
    return item["status"]["S"] in DONE and ("result" in item or "data" in item)
