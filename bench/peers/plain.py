"""A usual consumer in Python: boto3, one record after the other.

It keeps no claim: a message that comes twice is paid for twice.
"""
import json
import time

from common import TABLE, TABLE_CLIENT, analyse, failures


def work(record: dict) -> None:
    job = json.loads(record["body"])
    done = analyse(job, record["attributes"]["ApproximateReceiveCount"])
    item = {
        "job_id": {"S": job["job_id"]},
        "status": {"S": "complete"},
        "result": {"S": json.dumps(done["result"])},
        "usage": {"S": json.dumps(done["usage"])},
        "completed_at": {"N": str(int(time.time()))},
    }
    TABLE_CLIENT.put_item(TableName=TABLE, Item=item)


def handler(event: dict, _context) -> dict:
    failed = []
    for record in event["Records"]:
        try:
            work(record)
        except Exception as error:
            print(f"{record['messageId']} failed: {type(error).__name__}")
            failed.append(record["messageId"])
    return failures(failed)
