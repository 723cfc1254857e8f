"""Tests of the alarms and the dashboard of template.yaml, and of the tools that check them.

`.venv/bin/python -m unittest tools.alarms.test_alarms`, run in the repository's root. They
start no server.
"""
import copy
import functools
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

from . import check, play
from .expressions import ExpressionError, evaluate, ids
from .rules import ALARM, INSUFFICIENT_DATA, OK, Metrics, judge, statistic_of
from .scenarios import Lines
from .template import MetricQuery, Template, read_source

SOURCE = read_source()
TEMPLATE = Template(SOURCE)
ALARMS = TEMPLATE.alarms()
INVERTED = {
    "GreaterThanOrEqualToThreshold": "LessThanThreshold", "GreaterThanThreshold": "LessThanOrEqualToThreshold",
    "LessThanThreshold": "GreaterThanOrEqualToThreshold", "LessThanOrEqualToThreshold": "GreaterThanThreshold",
}


@functools.cache
def played() -> list[play.Played]:
    return play.play_all(Lines())


class RulesTest(unittest.TestCase):
    # The tables of the page: 0 is within the threshold, X breaches it, and - is missing. The
    # columns are missing, ignore, breaching and notBreaching; `keep` is the present state.
    # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    THREE_OF_THREE = (
        ("0-X-X", OK, OK, OK, OK),
        ("0----", OK, OK, OK, OK),
        ("-----", INSUFFICIENT_DATA, "keep", ALARM, OK),
        ("0XX-X", ALARM, ALARM, ALARM, ALARM),
        ("--X--", ALARM, "keep", ALARM, OK),
    )
    TWO_OF_THREE = (
        ("0-X-X", ALARM, ALARM, ALARM, ALARM),
        ("00X0X", ALARM, ALARM, ALARM, ALARM),
        ("0-X--", OK, OK, ALARM, OK),
        ("----0", OK, OK, ALARM, OK),
        ("----X", ALARM, "keep", ALARM, OK),
    )

    def test_missing_data_is_treated_as_in_the_tables_of_aws(self):
        points = {"0": False, "X": True, "-": None}
        for needed, table in ((3, self.THREE_OF_THREE), (2, self.TWO_OF_THREE)):
            for text, *states in table:
                for missing, state in zip(("missing", "ignore", "breaching", "notBreaching"), states):
                    for present in (OK, ALARM):
                        with self.subTest(text=text, needed=needed, missing=missing, present=present):
                            found = judge([points[one] for one in text], needed, 3, missing, present)
                            self.assertEqual(found, present if state == "keep" else state)

    def test_statistics_of_samples(self):
        samples = [float(value) for value in range(1, 101)]
        for stat, expected in (("Sum", 5050), ("Maximum", 100), ("Minimum", 1), ("Average", 50.5), ("SampleCount", 100),
                               ("p50", 51), ("p99", 100)):
            self.assertEqual(statistic_of(stat, samples), expected, stat)

    def test_metric_has_exactly_its_dimensions(self):
        metrics = Metrics()
        metrics.add("N", "m", {"A": "1", "B": "2"}, 70, 5)
        both = MetricQuery("N", "m", (("A", "1"), ("B", "2")), "Sum", 60)
        self.assertEqual([metrics.statistic(both, start) for start in (0, 60, 120)], [None, 5, None])
        self.assertIsNone(metrics.statistic(MetricQuery("N", "m", (("A", "1"),), "Sum", 60), 60))

    def test_line_of_a_function_is_read(self):
        metrics = Metrics()
        definition = [{"Name": "latency", "Unit": "Milliseconds"}, {"Name": "calls", "Unit": "Count"}]
        directive = {"Namespace": "Docket", "Dimensions": [["FunctionName"]], "Metrics": definition}
        line = {"_aws": {"Timestamp": 1, "CloudWatchMetrics": [directive]}, "FunctionName": "f", "latency": [3, 9], "calls": 2}
        metrics.add_line(line, 0, {"f": "ConsumerFunction"})
        query = MetricQuery("Docket", "latency", (("FunctionName", "ConsumerFunction"),), "Maximum", 60)
        self.assertEqual(metrics.statistic(query, 0), 9)


class ExpressionTest(unittest.TestCase):
    def test_expressions_are_evaluated(self):
        values = {"a": 4.0, "b": 0.0, "none": None}
        for text, expected in (
            ("1 + 2 * 3 - 4 / 2", 5), ("(1 + 2) * 3", 9), ("a > 3 AND b == 0", 1), ("a < 3 OR b != 0", 0),
            ("IF(a >= 4, 7, 8)", 7), ("IF(b, 7, 8)", 8), ("IF(b, 7)", None), ("a / b", None),
            ("none + 1", None), ("IF(none > 0, 1, 0)", None), ("IF((a > 5) OR (a == 4 AND b == 0), 1, 0)", 1),
        ):
            with self.subTest(text):
                self.assertEqual(evaluate(text, values), expected)

    def test_wrong_expressions_are_refused(self):
        for text in ("a +", "IF(a)", "FILL(a, 0)", "a b", "(a", "c", "a $ 1", ""):
            with self.subTest(text), self.assertRaises(ExpressionError):
                evaluate(text, {"a": 1.0})

    def test_ids_are_lower_case_words(self):
        self.assertEqual(ids("IF(a > 3 AND bC == 0, 1, d)"), {"a", "bC", "d"})


class TemplateTest(unittest.TestCase):
    def test_every_metric_of_alarms_and_dashboard_exists(self):
        self.assertEqual(check.find_faults(TEMPLATE), [])

    def test_every_alarm_fires_and_stays_quiet_as_it_must(self):
        self.assertEqual(play.find_faults(TEMPLATE, played()), [])


def mutated(name: str, change: Callable[[dict], None]) -> Template:
    source = copy.deepcopy(SOURCE)
    change(source["Resources"][name]["Properties"])
    return Template(source)


def metrics_of(properties: dict) -> list[dict]:
    """The places of an alarm that name a metric."""
    if "Metrics" not in properties:
        return [properties]
    return [item["MetricStat"]["Metric"] for item in properties["Metrics"] if "MetricStat" in item]


class NegativeControlTest(unittest.TestCase):
    """A changed alarm or dashboard must be noticed."""

    def assert_noticed(self, name: str, change: Callable[[dict], None], by_play: bool = False) -> None:
        template = mutated(name, change)
        faults = [] if by_play else check.find_faults(template)
        self.assertTrue(faults or list(play.find_alarm_faults(template.alarms()[name], played())), "nothing was noticed")

    def each_metric(self, change: Callable[[dict], None]) -> None:
        for name, alarm in ALARMS.items():
            for place in range(len(alarm.metrics)):
                with self.subTest(alarm=name, metric=place):
                    self.assert_noticed(name, lambda properties: change(metrics_of(properties)[place]))

    def test_renamed_metric_is_noticed(self):
        self.each_metric(lambda metric: metric.update(MetricName=metric["MetricName"] + "s"))

    def test_other_namespace_is_noticed(self):
        self.each_metric(lambda metric: metric.update(Namespace=metric["Namespace"] + "X"))

    def test_dropped_dimension_is_noticed(self):
        self.each_metric(lambda metric: metric["Dimensions"].pop())

    def test_further_dimension_is_noticed(self):
        self.each_metric(lambda metric: metric["Dimensions"].append({"Name": "Region", "Value": "here"}))

    def test_metric_of_another_resource_is_noticed(self):
        self.each_metric(lambda metric: metric["Dimensions"][0].update(Value={"Ref": "PurgerFunction"}))

    def test_wrong_statistic_is_noticed(self):
        for name, alarm in ALARMS.items():
            for place, metric in enumerate(alarm.metrics.values()):
                other = "Average" if metric.stat == "Sum" else "Sum"

                def change(properties, place=place, other=other):
                    if "Metrics" in properties:
                        stats = [item["MetricStat"] for item in properties["Metrics"] if "MetricStat" in item]
                        stats[place]["Stat"] = other
                    else:
                        properties["Statistic"] = other

                with self.subTest(alarm=name, metric=place):
                    self.assert_noticed(name, change)

    def test_inverted_comparison_fails_a_scenario(self):
        for name, alarm in ALARMS.items():
            operator = INVERTED[alarm.properties["ComparisonOperator"]]
            with self.subTest(name):
                self.assert_noticed(name, lambda properties: properties.update(ComparisonOperator=operator), by_play=True)

    def test_inverted_expression_fails_a_scenario(self):
        pairs = ((" == 0", " != 0"), ("received == 0", "received > 0"), (" AND ", " OR "), (" > 0", " < 0"), (">=", "<"))
        for name, alarm in ALARMS.items():
            for old, new in pairs:
                if "Metrics" not in alarm.properties or old not in alarm.expression:
                    continue
                source = copy.deepcopy(SOURCE)
                [item] = [item for item in source["Resources"][name]["Properties"]["Metrics"] if "Expression" in item]
                item["Expression"] = alarm.expression.replace(old, new)
                with self.subTest(alarm=name, old=old):
                    changed = Template(source).alarms()[name]
                    self.assertTrue(list(play.find_alarm_faults(changed, played())), "nothing was noticed")

    def test_unreachable_threshold_fails_a_scenario(self):
        for name, alarm in ALARMS.items():
            with self.subTest(name):
                threshold = alarm.threshold * 1_000_000
                self.assert_noticed(name, lambda properties: properties.update(Threshold=threshold), by_play=True)

    def test_other_treatment_of_missing_data_fails_a_scenario(self):
        for name, alarm in ALARMS.items():
            missing = {"notBreaching": "breaching", "ignore": "notBreaching"}[alarm.missing]
            with self.subTest(alarm=name, missing=missing):
                self.assert_noticed(name, lambda properties: properties.update(TreatMissingData=missing), by_play=True)

    def test_alarm_without_its_topic_is_noticed(self):
        for name in ALARMS:
            for actions in ("AlarmActions", "OKActions"):
                with self.subTest(alarm=name, actions=actions):
                    self.assert_noticed(name, lambda properties: properties.pop(actions))

    def test_alarm_without_a_section_of_the_runbook_is_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "runbook.md"
            page.write_text(check.RUNBOOK.read_text().replace("### HoldAlarm", "### HoldsAlarm"))
            faults = list(check.find_runbook_faults(ALARMS, page))
        self.assertEqual(len(faults), 2, faults)

    def test_red_by_design_is_noticed(self):
        old = {"Namespace": "AWS/SQS", "MetricName": "ApproximateAgeOfOldestMessage"}
        dead = {"Namespace": "AWS/SQS", "MetricName": "ApproximateNumberOfMessagesVisible"}
        for metric, queue in ((old, "JobsQueue"), (dead, "DeadLetterQueue")):
            value = {"Fn::GetAtt": [queue, "QueueName"]}
            changed = mutated("EventsLostAlarm", lambda properties: properties.update(
                metric, Dimensions=[{"Name": "QueueName", "Value": value}]))
            self.assertIn("red by design", " ".join(check.find_faults(changed)))

    def test_changed_dashboard_is_noticed(self):
        for old, new in (
            ('"completed", "FunctionName"', '"complete", "FunctionName"'),
            ('"jobs_ended", "FunctionName", "${ConsumerFunction}"', '"jobs_ended"'),
            ('"Stage", "v1"', '"Stage", "v2"'),
            ("{Docket,FunctionName,Cause}", "{Docket,FunctionName}"),
            ('"stat": "p99"', '"stat": "Sum"'),
            ('"AWS/SQS", "ApproximateNumberOfMessagesNotVisible"', '"AWS/Lambda", "ApproximateNumberOfMessagesNotVisible"'),
            ("reserved / 600", "reserve / 600"),
            ("SOURCE '${ConsumerLogs}'", "SOURCE '${ConsumerFunction}'"),
            ('"x": 12, "y": 1,', '"x": 10, "y": 1,'),
        ):
            source = copy.deepcopy(SOURCE)
            body = source["Resources"]["Dashboard"]["Properties"]["DashboardBody"]
            self.assertIn(old, body["Fn::Sub"])
            body["Fn::Sub"] = body["Fn::Sub"].replace(old, new)
            with self.subTest(old):
                self.assertTrue(check.find_faults(Template(source)), "nothing was noticed")


if __name__ == "__main__":
    unittest.main()
