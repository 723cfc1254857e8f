"""Sets the state of every alarm of the stack on the local AWS, and waits for the messages of
its topic: one for ALARM, and one for OK.

    python -m tools.alarms.deployed --outputs .local/4666/outputs.env
"""
import argparse
import json
import sys
import time
import uuid
from pathlib import Path

import boto3

from .template import Template, read_source

SECONDS = 60


class Deployed:
    def __init__(self, outputs: dict[str, str]):
        self.outputs = outputs

    def client(self, service: str):
        return boto3.client(service, endpoint_url=self.outputs["AwsEndpointUrl"], region_name="us-east-1",
                            aws_access_key_id="test", aws_secret_access_key="test")

    def alarm_names(self) -> dict[str, str]:
        """The names of the deployed alarms, by their logical id."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack())
        found = (item for page in pages for item in page["StackResourceSummaries"])
        return {item["LogicalResourceId"]: item["PhysicalResourceId"] for item in found
                if item["ResourceType"] == "AWS::CloudWatch::Alarm"}

    def stack(self) -> str:
        stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        topic = self.outputs["AlarmTopicArn"]
        return next(stack["StackName"] for stack in stacks
                    if any(output["OutputValue"] == topic for output in stack.get("Outputs", [])))

    def subscribe(self) -> str:
        """A queue that receives the messages of the topic."""
        sqs = self.client("sqs")
        url = sqs.create_queue(QueueName=f"alarms-{uuid.uuid4().hex}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage",
                     "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        self.client("sns").subscribe(TopicArn=self.outputs["AlarmTopicArn"], Protocol="sqs", Endpoint=arn)
        return url

    def receive(self, url: str, wanted: set[tuple[str, str]]) -> set[tuple[str, str]]:
        """The alarms and states of the messages, until all wanted ones are there."""
        sqs, received, end = self.client("sqs"), set(), time.monotonic() + SECONDS
        while not wanted <= received and time.monotonic() < end:
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
            for message in messages.get("Messages", []):
                alarm = json.loads(json.loads(message["Body"])["Message"])
                received.add((alarm["AlarmName"], alarm["NewStateValue"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return received


def find_faults(deployed: Deployed) -> list[str]:
    names = deployed.alarm_names()
    template = Template(read_source())
    # The webhook's alarm exists only with a webhook.
    expected = {name for name in template.alarms() if "Condition" not in template.resources[name]}
    faults = [f"{name} is not deployed" for name in sorted(expected - set(names))]
    url, cloudwatch = deployed.subscribe(), deployed.client("cloudwatch")
    for state in ("ALARM", "OK"):
        for name in names.values():
            cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")
    wanted = {(name, state) for name in names.values() for state in ("ALARM", "OK")}
    missing = wanted - deployed.receive(url, wanted)
    return faults + [f"the topic received no message of {name}: {state}" for name, state in sorted(missing)]


def read_outputs(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--outputs", type=Path, required=True, help="outputs.env of the local AWS")
    deployed = Deployed(read_outputs(parser.parse_args().outputs))
    faults = find_faults(deployed)
    for fault in faults:
        print(f"alarms: {fault}", file=sys.stderr)
    print(f"alarms: {len(deployed.alarm_names())} alarms reach a subscriber of the topic" if not faults
          else f"alarms: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
