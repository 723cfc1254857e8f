#!/usr/bin/env python3
"""Runs the sample documents through a deployed stack, and deletes a stack with its data.

    tools/smoke.py run --stack NAME      runs events/documents as a batch
    tools/smoke.py delete --stack NAME   deletes the stack and its data

`run` exits 0 when every document is complete. It calls the model and costs
money. `delete` removes documents and results for good. Needs boto3 and AWS
credentials. The workflow smoke.yml runs both in an account for tests.
"""
import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError, WaiterError

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ROOT / "events" / "documents"
BATCH_SECONDS = 600
POLL_SECONDS = 5


class Fault(Exception):
    """The stack did not do what it must."""


# ----------------------------------------------------------------------- run

def outputs(session: boto3.Session, stack: str) -> dict[str, str]:
    found = session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def get(session: boto3.Session, url: str) -> tuple[int, str]:
    request = AWSRequest("GET", url)
    SigV4Auth(session.get_credentials(), "execute-api", session.region_name).add_auth(request)
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=dict(request.headers)), timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def upload(session: boto3.Session, bucket: str, batch_id: str) -> int:
    documents = sorted(DOCUMENTS.iterdir())
    for document in documents:
        session.client("s3").upload_file(str(document), bucket, f"uploads/{batch_id}/{document.name}")
    return len(documents)


def wait(session: boto3.Session, url: str, total: int) -> dict[str, int]:
    """Polls the batch until all its jobs have finished; returns the counts."""
    shown, deadline = "", time.monotonic() + BATCH_SECONDS
    while time.monotonic() < deadline:
        status, text = get(session, url)
        # The batch begins to exist with its first job.
        if status not in (200, 404):
            raise Fault(f"GET {url} answered {status}: {text}")
        counts = json.loads(text).get("request_counts", {}) if status == 200 else {}
        line = ", ".join(f"{count} {name}" for name, count in counts.items()) or "no jobs yet"
        if line != shown:
            shown = line
            print(f"smoke: {line}", flush=True)
        if counts.get("total") == total and counts["pending"] + counts["processing"] == 0:
            return counts
        time.sleep(POLL_SECONDS)
    raise Fault(f"the batch has unfinished jobs after {BATCH_SECONDS} s: {shown}")


def failures(session: boto3.Session, url: str) -> list[str]:
    """Id, code and message of each failed job. Neither has text of a document."""
    status, text = get(session, f"{url}/jobs?status=failed")
    if status != 200:
        return [f"GET {url}/jobs answered {status}"]
    return [f"{job['job_id']}: {job['error']['code']}: {job['error']['message']}" for job in json.loads(text)["data"]]


def run(session: boto3.Session, stack: str) -> None:
    found = outputs(session, stack)
    batch_id = f"smoke-{int(time.time())}"
    url = f"{found['ApiUrl']}/batches/{batch_id}"
    begun = time.monotonic()
    total = upload(session, found["DocumentsBucketName"], batch_id)
    counts = wait(session, url, total)
    if counts["complete"] != total:
        for failure in failures(session, url):
            print(f"smoke: {failure}", file=sys.stderr)
        raise Fault(f"{counts['complete']} of {total} documents are complete")
    print(f"smoke: {total} of {total} documents are complete after {time.monotonic() - begun:.0f} s")


# -------------------------------------------------------------------- delete

def delete_bucket(session: boto3.Session, name: str) -> None:
    bucket = session.resource("s3").Bucket(name)
    bucket.object_versions.delete()
    bucket.delete()


def delete_table(session: boto3.Session, name: str) -> None:
    session.client("dynamodb").delete_table(TableName=name)


def delete_queue(session: boto3.Session, url: str) -> None:
    session.client("sqs").delete_queue(QueueUrl=url)


# The types whose resources outlive their stack. API Gateway's log role is not
# among them: other stacks of the account may use it.
KEPT = {"AWS::S3::Bucket": delete_bucket, "AWS::DynamoDB::Table": delete_table, "AWS::SQS::Queue": delete_queue}
ABSENT = ("NoSuchBucket", "ResourceNotFoundException", "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")


def delete(session: boto3.Session, stack: str) -> None:
    cloudformation = session.client("cloudformation")
    try:
        resources = [resource for page in cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
                     for resource in page["StackResourceSummaries"]]
    except ClientError as error:
        if "does not exist" in str(error):
            print(f"smoke: there is no stack {stack}")
            return
        raise
    cloudformation.delete_stack(StackName=stack)
    faults = []
    try:
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack)
    except WaiterError as error:
        faults.append(str(error))
    for resource in resources:
        remove, name = KEPT.get(resource["ResourceType"]), resource.get("PhysicalResourceId")
        if remove is None or not name:
            continue
        try:
            remove(session, name)
            print(f"smoke: deleted {resource['LogicalResourceId']}")
        except ClientError as error:
            if error.response["Error"]["Code"] not in ABSENT:
                faults.append(f"{resource['LogicalResourceId']}: {error}")
    if faults:
        raise Fault("\n".join(faults))
    print(f"smoke: deleted the stack {stack}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "delete"))
    parser.add_argument("--stack", required=True)
    arguments = parser.parse_args()
    session = boto3.Session()
    try:
        (run if arguments.action == "run" else delete)(session, arguments.stack)
    except (Fault, ClientError, OSError) as fault:
        print(f"smoke: {fault}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
