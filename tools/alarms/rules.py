"""CloudWatch's rules: statistics of a period, M of N, and missing data.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from .expressions import evaluate
from .template import Alarm, MetricQuery

OK, ALARM, INSUFFICIENT_DATA = "OK", "ALARM", "INSUFFICIENT_DATA"
COMPARISONS = {
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


class Metrics:
    """The stored values: by namespace, name and dimensions, each with its time in seconds."""

    def __init__(self):
        self.values: dict[tuple, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, namespace: str, name: str, dimensions: dict[str, str], at: float, *values: float) -> None:
        key = (namespace, name, tuple(sorted(dimensions.items())))
        self.values[key][int(at)].extend(values)

    def add_line(self, line: dict, at: float, names: dict[str, str] | None = None) -> None:
        """Adds the metrics of a line in the embedded format. `names` renames functions."""
        for directive in line["_aws"]["CloudWatchMetrics"]:
            for dimensions in directive["Dimensions"]:
                values = {name: str(line[name]) for name in dimensions}
                if names and "FunctionName" in values:
                    values["FunctionName"] = names.get(values["FunctionName"], values["FunctionName"])
                for metric in directive["Metrics"]:
                    value = line[metric["Name"]]
                    samples = value if isinstance(value, list) else [value]
                    self.add(directive["Namespace"], metric["Name"], values, at, *samples)

    def statistic(self, query: MetricQuery, start: int) -> float | None:
        stored = self.values.get((query.namespace, query.name, query.dimensions))
        if not stored:
            return None
        times = range(start, start + query.period) if query.period <= len(stored) else stored
        samples = [value for at in times if start <= at < start + query.period and at in stored for value in stored[at]]
        return statistic_of(query.stat, samples) if samples else None


def statistic_of(stat: str, samples: list[float]) -> float:
    if percentile := re.fullmatch(r"p(\d+(?:\.\d+)?)", stat):
        ordered = sorted(samples)
        return ordered[min(len(ordered) - 1, int(len(ordered) * float(percentile.group(1)) / 100))]
    return {
        "Sum": sum, "Maximum": max, "Minimum": min, "SampleCount": len,
        "Average": lambda values: sum(values) / len(values),
    }[stat](samples)


def datapoint(alarm: Alarm, metrics: Metrics, start: int) -> float | None:
    values = {name: metrics.statistic(query, start) for name, query in alarm.metrics.items()}
    return evaluate(alarm.expression, values)


def judge(points: Iterable[bool | None], needed: int, periods: int, missing: str, state: str) -> str:
    """The state after an evaluation. `points` are those of the evaluation range, the oldest
    first: breaching, not breaching, or missing.

    CloudWatch reads more periods than it needs. If enough of them have a value, the treatment
    of missing data is not used.
    """
    real = [point for point in points if point is not None][-periods:]
    absent, breaching = periods - len(real), sum(real)
    if breaching >= needed:
        return ALARM
    if absent == 0 or missing == "notBreaching":
        return OK
    if missing == "breaching":
        return ALARM if breaching + absent >= needed else OK
    if len(real) > breaching:
        return OK
    if missing == "ignore":
        return state
    # Every value is breaching; without any value, nothing is known.
    return ALARM if real else INSUFFICIENT_DATA


@dataclass(frozen=True)
class Change:
    at: int
    state: str


def run(alarm: Alarm, metrics: Metrics, begin: int, end: int, further_periods: int = 2) -> list[Change]:
    """The changes of state from `begin` to `end`, evaluated at the end of each period.

    `further_periods` is the number of periods that CloudWatch reads beyond the needed ones. AWS
    documents 2 for an alarm of 3, and no rule, so that the tests try several.
    """
    compare = COMPARISONS[alarm.properties["ComparisonOperator"]]
    state, changes, points = INSUFFICIENT_DATA, [], []
    for start in range(begin - begin % alarm.period, end, alarm.period):
        value = datapoint(alarm, metrics, start)
        points.append(None if value is None else compare(value, alarm.threshold))
        window = points[-(alarm.evaluation_periods + further_periods):]
        # The stream of values began before `begin`: nothing is missing at the start.
        next_state = judge(window, alarm.datapoints, alarm.evaluation_periods, alarm.missing, state)
        if next_state != state:
            changes.append(Change(start + alarm.period, next_state))
        state = next_state
    return changes


def read_lines(text: str) -> list[dict]:
    """The metric lines in the output of a function."""
    lines = []
    for text_line in text.splitlines():
        if text_line.startswith("{") and '"_aws"' in text_line:
            lines.append(json.loads(text_line))
    return lines
