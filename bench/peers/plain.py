"""A plain consumer in Python with boto3: one record after the other.

It has no claim: a message that SQS delivers twice is paid for twice.
"""
import json
import time

from common import TABLE, TABLE_CLIENT, analyse, batch_response


def process_record(record: dict) -> None:
    job = json.loads(record["body"])
    analysis = analyse(job, record["attributes"]["ApproximateReceiveCount"])
    item = {
        "job_id": {"S": job["job_id"]},
        "status": {"S": "complete"},
        "result": {"S": json.dumps(analysis["result"])},
        "usage": {"S": json.dumps(analysis["usage"])},
        "completed_at": {"N": str(int(time.time()))},
    }
    TABLE_CLIENT.put_item(TableName=TABLE, Item=item)


def handler(event: dict, _context) -> dict:
    failed = []
    for record in event["Records"]:
        try:
            process_record(record)
        except Exception as error:
            print(f"{record['messageId']} failed: {type(error).__name__}")
            failed.append(record["messageId"])
    return batch_response(failed)
