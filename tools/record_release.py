"""Records what a release writes, for the tests of later releases (`tests/compatibility`).

Check the release out, and start its stack with its own tools (`make up PORT=…`). Then:

    .venv/bin/python tools/record_release.py --outputs RELEASE/.local/PORT/outputs.env --out tests/compatibility/0.1

The files have the messages, the stored items, the cursors, the events, the dead letters and
the objects of the bucket, as the release wrote them. Names of this run are replaced: the
bucket by BUCKET, and the version of an object by VERSION and its key.
"""
import argparse
import json
import re
import time
import urllib.request
import uuid
from pathlib import Path

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

DOCUMENT = "The tenant, Mr Amadou Kerr, pays a rent of 900 euros a month for the flat at 16 Mill Street."
BATCH, PAUSED, LATER = "release-batch", "release-paused", "release-later"
SECONDS = 120


class Release:
    def __init__(self, outputs: dict[str, str]):
        self.outputs = outputs
        self.queues = [outputs["JobsQueueUrl"], outputs["HighPriorityQueueUrl"]]

    def client(self, service: str):
        return boto3.client(service, endpoint_url=self.outputs["AwsEndpointUrl"], region_name="us-east-1",
                            aws_access_key_id="test", aws_secret_access_key="test")

    def ask(self, method: str, path: str, body: dict | None = None) -> dict:
        data = json.dumps(body).encode() if body is not None else None
        request = AWSRequest(method, self.outputs["ApiUrl"] + path, {"content-type": "application/json"}, data)
        SigV4Auth(Credentials("test", "test"), "execute-api", "us-east-1").add_auth(request)
        prepared = request.prepare()
        call = urllib.request.Request(prepared.url, data, dict(prepared.headers), method=method)
        with urllib.request.urlopen(call, timeout=60) as response:
            answer = json.loads(response.read() or b"{}")
            # A page of results is JSON Lines, and has its cursor in a header.
            if "next-cursor" in response.headers:
                answer["next_cursor"] = response.headers["next-cursor"]
            return answer

    def behave(self, behaviour: dict) -> None:
        call = urllib.request.Request(f"{self.outputs['ModelEndpointUrl']}/_behaviour", json.dumps(behaviour).encode(),
                                      {"content-type": "application/json"}, method="PUT")
        urllib.request.urlopen(call, timeout=10).close()

    def set_work(self, is_on: bool) -> None:
        """Switches the consumer's event source mappings."""
        client = self.client("lambda")
        mappings = client.list_event_source_mappings(FunctionName=self.outputs["ConsumerFunctionName"])
        for mapping in mappings["EventSourceMappings"]:
            client.update_event_source_mapping(UUID=mapping["UUID"], Enabled=is_on)
        time.sleep(3)

    def receive(self, url: str, seconds: float = 4) -> list[dict]:
        """The visible messages of a queue, which become visible again at once."""
        sqs, found, end = self.client("sqs"), {}, time.monotonic() + seconds
        while time.monotonic() < end:
            answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=30, WaitTimeSeconds=1,
                                         MessageAttributeNames=["All"])
            for message in answer.get("Messages", []):
                found[message["MessageId"]] = message
        for message in found.values():
            sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
        return [{"body": message["Body"], "attributes": {
            name: value["StringValue"] for name, value in message.get("MessageAttributes", {}).items()
            if "StringValue" in value}} for message in found.values()]

    def items(self) -> list[dict]:
        """The items of the jobs table, in DynamoDB's JSON."""
        pages = self.client("dynamodb").get_paginator("scan").paginate(TableName=self.outputs["JobsTableName"])
        return sorted((item for page in pages for item in page["Items"]), key=lambda item: item["job_id"]["S"])

    def wait(self, what: str, is_done) -> None:
        end = time.monotonic() + SECONDS
        while not is_done():
            if time.monotonic() > end:
                raise SystemExit(f"record: waited {SECONDS} s for {what}")
            time.sleep(1)

    def status(self, job_id: str) -> str:
        found = [item for item in self.items() if item["job_id"]["S"] == job_id]
        return found[0]["status"]["S"] if found else "none"

    def wait_for(self, job_id: str, *statuses: str) -> None:
        self.wait(f"{job_id} to be {' or '.join(statuses)}", lambda: self.status(job_id) in statuses)

    def listen(self) -> str:
        """A queue that receives all events of Docket."""
        events, sqs, name = self.client("events"), self.client("sqs"), f"record-{uuid.uuid4().hex[:8]}"
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        events.put_rule(Name=name, EventPattern=json.dumps({"source": ["docket"]}), State="ENABLED")
        events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}])
        return url

    def objects(self) -> dict[str, dict]:
        s3, bucket = self.client("s3"), self.outputs["DocumentsBucketName"]
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        found = {}
        for key in keys:
            answer = s3.get_object(Bucket=bucket, Key=key)
            found[key] = {"version": answer.get("VersionId", "null"), "text": answer["Body"].read().decode()}
        return found


def record(release: Release) -> dict[str, object]:
    events = release.listen()
    job = lambda name, **more: {"job_id": name, "document": f"{DOCUMENT} This is {name}."} | more  # noqa: E731
    bucket, s3 = release.outputs["DocumentsBucketName"], release.client("s3")

    # Jobs in every state that a worker leaves behind.
    analysis = {"labels": ["lease", "letter", "other"], "instructions": "Name the rent."}
    release.ask("POST", "/batches", {"batch_id": BATCH, "analysis": analysis, "metadata": {"team": "legal"}})
    faults = [{"kind": "guardrail", "job_id": "release-failed"}, {"kind": "throttling", "job_id": "release-retried"}]
    release.behave({"faults": faults})
    ended = [job(f"release-complete-{n}") for n in range(4)] + [job("release-failed"), job("release-retried")]
    release.ask("POST", f"/batches/{BATCH}/jobs", {"jobs": ended})
    release.wait_for("release-failed", "failed")
    release.wait("the complete jobs", lambda: all(release.status(f"release-complete-{n}") == "complete" for n in range(4)))
    release.wait("the retried job", lambda: release.status("release-retried") == "pending")
    in_work = [item for item in release.items() if item["job_id"]["S"] == "release-retried"]

    # A worker has claimed a job, and dies.
    release.behave({"latency_ms": 8_000})
    release.ask("POST", "/jobs", job("release-processing"))
    release.wait_for("release-processing", "processing")
    in_work += [item for item in release.items() if item["job_id"]["S"] == "release-processing"]
    release.wait_for("release-processing", "complete")
    release.wait_for("release-retried", "complete")
    events_seen = [json.loads(message["body"]) for message in release.receive(events, 8)]

    # A paused batch, and a hold of the model, with the messages that wait.
    release.behave({})
    release.ask("POST", "/batches", {"batch_id": PAUSED})
    release.ask("POST", f"/batches/{PAUSED}/pause")
    release.ask("POST", f"/batches/{PAUSED}/jobs", {"jobs": [job("release-paused-1")]})
    release.wait("a waiting job", lambda: any("waiting_for" in item and item["job_id"]["S"] == "release-paused-1"
                                              for item in release.items()))
    release.behave({"faults": [{"kind": "access_denied"}]})
    release.ask("POST", "/jobs", job("release-on-hold"))
    release.wait("a hold", lambda: any(item["job_id"]["S"].startswith("hold/") for item in release.items()))
    held = [item for item in release.items() if "waiting_for" in item]
    release.set_work(False)
    release.behave({})
    # The probe is delayed by up to 30 s.
    controls = [message for url in release.queues for message in release.receive(url, 35)
                if '"control"' in message["body"]]

    # Messages that nobody has received.
    before = {item["job_id"]["S"] for item in release.items()}
    release.ask("POST", "/jobs", job("release-normal", metadata={"matter": "4711"}))
    release.ask("POST", "/jobs", job("release-high", priority="high", analysis={"labels": ["a", "b"]}))
    release.ask("POST", f"/batches/{LATER}/jobs", {"jobs": [job("release-in-batch")]})
    release.ask("POST", "/jobs", job("release-cancelled"))
    release.ask("DELETE", "/jobs/release-cancelled")
    s3.put_object(Bucket=bucket, Key="uploads/release-uploads/note.txt", Body=DOCUMENT.encode())
    body = {"job_id": "release-other-producer", "document": f"{DOCUMENT} Sent by another program."}
    release.client("sqs").send_message(QueueUrl=release.queues[0], MessageBody=json.dumps(body))
    messages = [message | {"priority": priority} for url, priority in zip(release.queues, ("normal", "high"))
                for message in release.receive(url, 6)]
    messages = [message for message in messages if json.loads(message["body"]).get("job_id", "") not in before
                and '"control"' not in message["body"]]

    jobs_page = release.ask("GET", f"/batches/{BATCH}/jobs?limit=2")
    failed_page = release.ask("GET", f"/batches/{BATCH}/jobs?limit=2&status=complete")
    results_page = release.ask("GET", f"/batches/{BATCH}/results?limit=1")
    batches_page = release.ask("GET", "/batches?limit=1")
    held_ids, work_ids = ({item["job_id"]["S"] for item in items} for items in (held, in_work))
    return {
        "messages": messages,
        "controls": controls,
        "stored": [item for item in release.items() if item["job_id"]["S"] not in held_ids | work_ids],
        "in_work": in_work,
        "held": held,
        "dead_letters": release.receive(release.outputs["DeadLetterQueueUrl"], 6),
        "cursors": {"jobs": jobs_page, "complete_jobs": failed_page, "results": results_page, "batches": batches_page},
        "events": [event for event in events_seen if event["detail-type"].startswith("Docket")],
        "objects": release.objects(),
        "not_yet_received": sorted({item["job_id"]["S"] for item in release.items()} - before),
    }


def anonymise(text: str, release: Release, objects: dict[str, dict]) -> str:
    text = text.replace(release.outputs["DocumentsBucketName"], "BUCKET")
    for key, found in objects.items():
        if found["version"] != "null":
            text = text.replace(found["version"], f"VERSION {key}")
    return re.sub(r"\b\d{12}\b", "111122223333", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", type=Path, required=True, help="outputs.env of the release's stack")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    arguments = parser.parse_args()
    lines = arguments.outputs.read_text().splitlines()
    release = Release(dict(line.split("=", 1) for line in lines if "=" in line))
    found = record(release)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, content in found.items():
        text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
        (arguments.out / f"{name}.json").write_text(anonymise(text, release, found["objects"]) + "\n")
        print(f"record: {name}.json: {len(content)}")


if __name__ == "__main__":
    main()
