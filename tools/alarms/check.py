"""Compares the alarms and the dashboard of template.yaml with the metrics that exist.

    python -m tools.alarms.check

- Each namespace, metric, set of dimensions and statistic is one that AWS documents, or that
  a function writes.
- Each alarm publishes to the topic when it fires and when it ends, and its rules are ones
  that CloudWatch accepts.
- No alarm reads a metric that is red by design.
- Metric math reads no metric of Docket that is left out when it is 0.
"""
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from .expressions import ExpressionError, evaluate, ids
from .rules import COMPARISONS
from .sources import AWS_METRICS, MISLEADING, find_wrong_value, own_metrics
from .template import ROOT, Alarm, MetricQuery, Template, read_rows, read_source

TOPIC = "AlarmTopic"
RUNBOOK = ROOT / "docs" / "operations" / "runbook.md"
ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_limits.html
METRICS_MAX = 10
SHORT_PERIODS = (10, 20, 30)
DAY = 86_400
SEARCH = re.compile(r"SEARCH\('\{([^}]*)\}([^']*)', *'(\w+)'(?:, *\d+)?\)")


def find_faults(template: Template) -> list[str]:
    faults = []
    try:
        alarms = template.alarms()
        dashboard = template.dashboard()
    except (KeyError, ValueError) as error:
        return [f"the template cannot be read: {error!r}"]
    known = AWS_METRICS | own_metrics()
    for alarm in alarms.values():
        faults += [f"{alarm.name}: {fault}" for fault in find_alarm_faults(template, alarm, known)]
    for widget in dashboard["widgets"]:
        title = widget["properties"].get("title", widget["type"])
        faults += [f"dashboard, {title}: {fault}" for fault in find_widget_faults(template, widget, known)]
    return faults + list(find_overlaps(dashboard["widgets"])) + list(find_runbook_faults(alarms))


# ------------------------------------------------------------------- metrics


def find_metric_faults(template: Template, metric: MetricQuery, known: dict) -> Iterator[str]:
    source = known.get((metric.namespace, metric.name))
    title = f"{metric.namespace} {metric.name}"
    if source is None:
        yield f"nobody writes the metric {title}"
        return
    names = {name for name, _ in metric.dimensions}
    if names != source.dimensions:
        yield f"{title} has the dimensions {sorted(source.dimensions)}, not {sorted(names)}"
    for name, value in metric.dimensions:
        if fault := find_wrong_value(template, source, name, value):
            yield f"{title}: {fault}"
    stat = "p" if re.fullmatch(r"p\d+(\.\d+)?", metric.stat) else metric.stat
    if stat not in source.statistics:
        yield f"{title}: {metric.stat or 'no statistic'} has no meaning, {sorted(source.statistics)} have"
    period = metric.period
    if period not in SHORT_PERIODS and (period <= 0 or period % 60):
        yield f"{title}: the period {period} is no multiple of a minute"


def find_search_faults(template: Template, expression: str, known: dict) -> Iterator[str]:
    searches = SEARCH.findall(expression)
    if len(searches) != expression.count("SEARCH("):
        yield f"cannot read {expression}"
    for schema, terms, stat in searches:
        namespace, *dimensions = [part.strip() for part in schema.split(",")]
        values = dict(re.findall(r'(\w+)="([^"]*)"', terms))
        name = values.pop("MetricName", "")
        source = known.get((namespace, name))
        if source is None:
            yield f"nobody writes the metric {namespace} {name}"
            continue
        if set(dimensions) != source.dimensions:
            yield f"{namespace} {name} has the dimensions {sorted(source.dimensions)}, not {sorted(dimensions)}"
        if stat not in source.statistics:
            yield f"{namespace} {name}: {stat} has no meaning, {sorted(source.statistics)} have"
        for dimension, value in values.items():
            if fault := find_wrong_value(template, source, dimension, value):
                yield f"{namespace} {name}: {fault}"


# -------------------------------------------------------------------- alarms


def find_alarm_faults(template: Template, alarm: Alarm, known: dict) -> Iterator[str]:
    properties = alarm.properties
    for metric in alarm.metrics.values():
        yield from find_metric_faults(template, metric, known)
        queue = dict(metric.dimensions).get("QueueName", "")
        if reason := MISLEADING.get((metric.namespace, metric.name, queue)):
            yield f"{metric.name} of {queue} is red by design: {reason}"
    for actions in ("AlarmActions", "OKActions"):
        if properties.get(actions) != [TOPIC]:
            yield f"{actions} must be the topic {TOPIC} alone"
    if not properties.get("AlarmDescription"):
        yield "the alarm has no description"
    if properties.get("ActionsEnabled") is False:
        yield "the actions are off"
    if properties.get("ComparisonOperator") not in COMPARISONS:
        yield f"ComparisonOperator {properties.get('ComparisonOperator')} is not known"
    if "TreatMissingData" not in properties:
        yield "TreatMissingData must be set"
    if not 1 <= alarm.datapoints <= alarm.evaluation_periods:
        yield "DatapointsToAlarm must be from 1 to EvaluationPeriods"
    if alarm.period * alarm.evaluation_periods > (DAY if alarm.period < 3_600 else 7 * DAY):
        yield "the evaluation periods are longer than CloudWatch accepts"
    if "Metrics" in properties:
        yield from find_math_faults(alarm, known)


def find_math_faults(alarm: Alarm, known: dict) -> Iterator[str]:
    items = alarm.properties["Metrics"]
    names = [item["Id"] for item in items]
    returned = [item["Id"] for item in items if item.get("ReturnData", True)]
    if len(set(names)) != len(names) or not all(ID.fullmatch(name) for name in names):
        yield "the ids must be unique and begin with a lower-case letter"
    if len(items) > METRICS_MAX:
        yield f"metric math reads {METRICS_MAX} metrics at most"
    if len(returned) != 1 or "Expression" not in next(item for item in items if item["Id"] in returned):
        yield "exactly the expression must have ReturnData"
    if len({metric.period for metric in alarm.metrics.values()}) != 1:
        yield "the metrics of an expression must have one period"
    try:
        if unused := set(alarm.metrics) - ids(alarm.expression):
            yield f"the expression does not use {sorted(unused)}"
        evaluate(alarm.expression, dict.fromkeys(alarm.metrics, 1.0))
    except ExpressionError as error:
        yield f"the expression is wrong: {error}"
    for metric in alarm.metrics.values():
        source = known.get((metric.namespace, metric.name))
        if source is not None and not source.writes_zero:
            yield f"{metric.name} is not written as 0, so the expression would have no value"


# ----------------------------------------------------------------- dashboard


def find_widget_faults(template: Template, widget: dict, known: dict) -> Iterator[str]:
    if widget["type"] == "metric":
        rows = read_rows(widget)
        names = {row["options"]["id"] for row in rows if "metric" in row and "id" in row["options"]}
        for row in rows:
            if "metric" in row:
                yield from find_metric_faults(template, row["metric"], known)
                continue
            expression = row["expression"]
            yield from find_search_faults(template, expression, known)
            if "SEARCH(" not in expression:
                try:
                    evaluate(expression, dict.fromkeys(names, 1.0))
                except ExpressionError as error:
                    yield f"the expression is wrong: {error}"
    if widget["type"] == "log":
        sources = re.findall(r"SOURCE '([^']*)'", widget["properties"]["query"])
        for name in sources or ["none"]:
            if template.resources.get(name, {}).get("Type") != "AWS::Logs::LogGroup":
                yield f"{name} is no log group of the template"


def find_overlaps(widgets: list[dict]) -> Iterator[str]:
    taken: dict[tuple[int, int], str] = {}
    for widget in widgets:
        title = widget["properties"].get("title", widget["properties"].get("markdown", ""))
        if widget["x"] + widget["width"] > 24:
            yield f"dashboard, {title}: the grid has 24 columns"
        for place in ((widget["x"] + x, widget["y"] + y) for x in range(widget["width"]) for y in range(widget["height"])):
            if place in taken:
                yield f"dashboard: {title} overlaps {taken[place]}"
                return
            taken[place] = title


# ------------------------------------------------------------------- runbook


def find_runbook_faults(alarms: dict[str, Alarm], page: Path = RUNBOOK) -> Iterator[str]:
    text = page.read_text(encoding="utf-8")
    sections = set(re.findall(r"^### (\w+Alarm)$", text, re.M))
    yield from (f"runbook.md has no section of {name}" for name in sorted(set(alarms) - sections))
    yield from (f"runbook.md has a section of {name}, which is no alarm" for name in sorted(sections - set(alarms)))


def main() -> int:
    template = Template(read_source())
    faults = find_faults(template)
    for fault in faults:
        print(f"alarms: {fault}", file=sys.stderr)
    print(f"alarms: {len(template.alarms())} alarms, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
