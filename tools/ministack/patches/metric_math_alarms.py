"""CloudFormation creates alarms of metric math.

AWS: an alarm has either a metric, or `Metrics` with an expression of several metrics.
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudwatch-alarm.html

ministack: its provisioner refuses an alarm with `Metrics`, so the stack cannot be
deployed. Its evaluation leaves out alarms without a metric, but SetAlarmState reaches
their actions.

The patch: such an alarm is stored with the list of its metrics, and with an empty
metric name and namespace.
"""
from ministack.services.cloudformation import provisioners

from ..patch import Patch, Target

PLACEHOLDER = {"MetricName": "none", "Namespace": "none"}
SAMPLE = {
    "Metrics": [{"Id": "e", "Expression": "m"}],
    "ComparisonOperator": "GreaterThanThreshold",
    "Threshold": "1",
}


def is_needed() -> bool:
    try:
        provisioners._cw_metric_alarm_record("check", SAMPLE)
    except ValueError:
        return True
    return False


def apply(environment) -> None:
    record = provisioners._cw_metric_alarm_record

    def record_with_math(name, props):
        if not props.get("Metrics"):
            return record(name, props)
        single = {key: value for key, value in props.items() if key != "Metrics"} | PLACEHOLDER
        return record(name, single) | {"MetricName": "", "Namespace": "", "Metrics": props["Metrics"]}

    provisioners._cw_metric_alarm_record = record_with_math


PATCH = Patch(
    "metric_math_alarms",
    (Target(provisioners, "_cw_metric_alarm_record", ("name", "props")),),
    is_needed,
    apply,
)
