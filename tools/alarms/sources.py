"""The metrics that exist: those that AWS documents, and those that the functions write.

The functions' metrics come from docs/reference/metrics.md, which `tests/agreement` compares
with the code.
"""
import re
from dataclasses import dataclass
from pathlib import Path

from .template import ROOT, Template

PAGE = ROOT / "docs" / "reference" / "metrics.md"
SUM, GAUGE = frozenset({"Sum"}), frozenset({"Maximum", "Minimum", "Average"})


@dataclass(frozen=True)
class Source:
    dimensions: frozenset[str]
    statistics: frozenset[str]
    """The statistics that have a meaning; `p` means percentiles."""
    function: str = ""
    """The function that writes a metric of Docket."""
    writes_zero: bool = False


def aws(dimensions: str, statistics: frozenset[str]) -> Source:
    return Source(frozenset(dimensions.split()), statistics, writes_zero=True)


# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-metrics-and-dimensions.html
AWS_METRICS = {
    ("AWS/SQS", "ApproximateAgeOfOldestMessage"): aws("QueueName", GAUGE),
    ("AWS/SQS", "ApproximateNumberOfMessagesDelayed"): aws("QueueName", GAUGE),
    ("AWS/SQS", "ApproximateNumberOfMessagesNotVisible"): aws("QueueName", GAUGE),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"): aws("QueueName", GAUGE),
    ("AWS/SQS", "NumberOfMessagesDeleted"): aws("QueueName", SUM),
    ("AWS/SQS", "NumberOfMessagesReceived"): aws("QueueName", SUM),
    ("AWS/SQS", "NumberOfMessagesSent"): aws("QueueName", SUM),
    ("AWS/Lambda", "ConcurrentExecutions"): aws("FunctionName", GAUGE),
    ("AWS/Lambda", "Duration"): aws("FunctionName", GAUGE | {"p"}),
    ("AWS/Lambda", "Errors"): aws("FunctionName", SUM),
    ("AWS/Lambda", "Invocations"): aws("FunctionName", SUM),
    ("AWS/Lambda", "IteratorAge"): aws("FunctionName", GAUGE | {"p"}),
    ("AWS/Lambda", "Throttles"): aws("FunctionName", SUM),
    ("AWS/ApiGateway", "4XXError"): aws("ApiName Stage", SUM | {"Average"}),
    ("AWS/ApiGateway", "5XXError"): aws("ApiName Stage", SUM | {"Average"}),
    ("AWS/ApiGateway", "Count"): aws("ApiName Stage", frozenset({"SampleCount"})),
    ("AWS/ApiGateway", "Latency"): aws("ApiName Stage", GAUGE | {"p"}),
}

# Metrics whose alarm would be red by design.
MISLEADING = {
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", "JobsQueue"):
        "it leaves out messages that wait by their visibility time-out",
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", "HighPriorityQueue"):
        "it leaves out messages that wait by their visibility time-out",
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "DeadLetterQueue"):
        "one encrypted file in the dead-letter queue is no emergency",
}

# The statistics of Docket's metrics that are no counts of events.
OWN_STATISTICS = {
    "BudgetLeftUsd": frozenset({"Minimum"}),
    "BudgetSpentShare": frozenset({"Maximum"}),
    "CostNanoUsd": SUM,
    "holds_open": frozenset({"Maximum"}),
    "model_latency_ms": frozenset({"p", "Average", "Maximum"}),
    "oldest_message_seconds": frozenset({"Maximum"}),
    "oldest_retried_seconds": frozenset({"Maximum"}),
}

ROW = re.compile(r"^\| `([^`]+)` \| (\w+) \| (`FunctionName`[^|]*) \| (.+) \|$")


def own_metrics(page: Path = PAGE) -> dict[tuple[str, str], Source]:
    """The metrics of the functions, by the sections of the reference page."""
    found, function = {}, ""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("### "):
            function = line[4:].split(":")[0].strip()
        elif row := ROW.match(line):
            name, _, dimensions, meaning = row.groups()
            found["Docket", name] = Source(
                frozenset(re.findall(r"`(\w+)`", dimensions)),
                OWN_STATISTICS.get(name, SUM),
                f"{function}Function",
                "Written as 0, too." in meaning,
            )
    return found


def find_wrong_value(template: Template, source: Source, dimension: str, value: str) -> str | None:
    """Why a dimension has a value that no metric has."""
    types = {"FunctionName": "AWS::Serverless::Function", "QueueName": "AWS::SQS::Queue"}
    if dimension in types:
        resource = template.resources.get(value, {})
        if resource.get("Type") != types[dimension]:
            return f"{dimension} {value} is no {types[dimension]} of the template"
        if source.function and value != source.function:
            return f"{source.function} writes this metric, not {value}"
        return None
    if dimension == "ApiName":
        # SAM takes the title of an API without a definition from the stack's name.
        api = template.resources["Api"]["Properties"]
        expected = template.resolve(api.get("Name", {"Ref": "AWS::StackName"}))
        return None if value == expected else f"the API has the name {expected}, not {value}"
    if dimension == "Stage":
        expected = template.resources["Api"]["Properties"]["StageName"]
        return None if value == expected else f"the API has the stage {expected}, not {value}"
    return None
