"""template.yaml with its intrinsic functions resolved to readable names.

A reference to a resource becomes the resource's logical id: the function ConsumerFunction
has the name ConsumerFunction, the queue JobsQueue the name JobsQueue.
"""
import copy
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parent.parent.parent
STACK, REGION = "docket", "us-east-1"
PSEUDO = {
    "AWS::StackName": STACK, "AWS::Region": REGION, "AWS::Partition": "aws", "AWS::AccountId": "111122223333",
    "AWS::NoValue": None,
}


def read_source(path: Path = ROOT / "template.yaml") -> dict:
    return yaml_parse(path.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class MetricQuery:
    """A metric with its statistic."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    stat: str
    period: int


@dataclass
class Alarm:
    name: str
    properties: dict
    """The resolved properties."""
    metrics: dict[str, MetricQuery] = field(default_factory=dict)
    """The metrics by their id; a simple alarm has one, with the id `m`."""
    expression: str = "m"

    @property
    def period(self) -> int:
        return max(metric.period for metric in self.metrics.values())

    @property
    def evaluation_periods(self) -> int:
        return int(self.properties["EvaluationPeriods"])

    @property
    def datapoints(self) -> int:
        return int(self.properties.get("DatapointsToAlarm", self.evaluation_periods))

    @property
    def threshold(self) -> float:
        return float(self.properties["Threshold"])

    @property
    def missing(self) -> str:
        return self.properties.get("TreatMissingData", "missing")


class Template:
    def __init__(self, source: dict, parameters: dict[str, str] | None = None):
        self.source = source
        self.resources = source["Resources"]
        defaults = {name: parameter.get("Default", "") for name, parameter in source["Parameters"].items()}
        self.parameters = defaults | (parameters or {})

    def resolve(self, value):
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(function, argument)] = value.items()
            if function == "Ref":
                return self.reference(argument)
            if function == "Fn::GetAtt":
                owner, attribute = argument if isinstance(argument, list) else argument.split(".", 1)
                return owner if attribute in ("QueueName", "Arn") else f"{owner}.{attribute}"
            if function == "Fn::Sub":
                return re.sub(r"\$\{([^}]+)\}", lambda match: str(self.reference(match.group(1))), argument)
            if function == "Fn::If":
                return self.resolve(argument[1])
        return {key: self.resolve(item) for key, item in value.items()}

    def reference(self, name: str):
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return self.parameters[name]
        owner = name.split(".")[0]
        if owner not in self.resources:
            raise KeyError(f"the template has no {name}")
        return owner

    def alarms(self) -> dict[str, Alarm]:
        named = self.resources.items()
        return {name: self.alarm(name) for name, item in named if item["Type"] == "AWS::CloudWatch::Alarm"}

    def alarm(self, name: str) -> Alarm:
        properties = self.resolve(copy.deepcopy(self.resources[name]["Properties"]))
        if "Metrics" not in properties:
            stat = properties.get("Statistic") or properties.get("ExtendedStatistic", "")
            return Alarm(name, properties, {"m": read_metric(properties, stat, properties.get("Period", 0))})
        alarm = Alarm(name, properties, expression="")
        for item in properties["Metrics"]:
            if item.get("Expression"):
                alarm.expression = item["Expression"]
            else:
                stat = item["MetricStat"]
                alarm.metrics[item["Id"]] = read_metric(stat["Metric"], stat["Stat"], stat["Period"])
        return alarm

    def dashboard(self) -> dict:
        [body] = [item["Properties"]["DashboardBody"] for item in self.resources.values()
                  if item["Type"] == "AWS::CloudWatch::Dashboard"]
        return json.loads(self.resolve(body))


def read_metric(properties: dict, stat: str, period) -> MetricQuery:
    dimensions = tuple(sorted((item["Name"], str(item["Value"])) for item in properties.get("Dimensions", [])))
    return MetricQuery(str(properties.get("Namespace")), str(properties.get("MetricName")), dimensions, stat, int(period))


def read_rows(widget: dict) -> list[dict]:
    """The rows of a metric widget: a metric, or an expression. `.` repeats the row above.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
    """
    properties, rows, above = widget["properties"], [], []
    for row in properties.get("metrics", []):
        options = row[-1] if isinstance(row[-1], dict) else {}
        if "expression" in options:
            rows.append({"expression": options["expression"], "options": options})
            continue
        names = [item for item in row if not isinstance(item, dict)]
        names = [above[place] if item == "." else item for place, item in enumerate(names)]
        above = names
        pairs = tuple(sorted(zip(names[2::2], names[3::2])))
        stat = options.get("stat", properties.get("stat", "Average"))
        period = int(options.get("period", properties.get("period", 300)))
        rows.append({"metric": MetricQuery(names[0], names[1], pairs, stat, period), "options": options})
    return rows
