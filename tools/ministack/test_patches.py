"""Tests of the patches against the installed ministack.

`.venv/bin/python -m unittest tools.ministack.test_patches`, run in the
repository's root. They start no server.
"""
import asyncio
import contextlib
import gc
import json
import re
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from ministack.services import lambda_svc, sqs
from ministack.services.cloudformation import provisioners

from .patch import REQUIREMENTS, Patch, PatchError, Target, apply_patches, check_version, read_pinned_version
from .patches import (
    PATCHES, metric_math_alarms, number_parameters, query_definitions, recursive_loops, stream_batch_failures,
    stream_batching_window,
)

ROOT = REQUIREMENTS.parent.parent
CHECKED_BY_A_CALL = {
    "connection_backlog",
    "garbage_collection",
    "metric_math_alarms",
    "python_interpreter",
    "query_definitions",
    "recursive_loops",
    "response_headers",
    "sqs_batch_size",
    "sqs_scaling",
}


@contextlib.contextmanager
def restored_targets():
    """Puts every target back afterwards, so that a test may apply patches."""
    thresholds = gc.get_threshold()
    with contextlib.ExitStack() as stack:
        for target in (target for patch in PATCHES for target in patch.targets):
            stack.enter_context(mock.patch.object(target.owner, target.name, getattr(target.owner, target.name)))
        for resource_type in (number_parameters.RESOURCE_TYPE, recursive_loops.RESOURCE_TYPE):
            stack.enter_context(mock.patch.dict(provisioners._RESOURCE_HANDLERS[resource_type]))
        stack.enter_context(mock.patch.dict(provisioners._RESOURCE_HANDLERS))
        stack.enter_context(mock.patch("threading.Thread.start"))
        try:
            yield
        finally:
            gc.set_threshold(*thresholds)


class PatchesTest(unittest.TestCase):
    def test_every_patch_applies_to_the_pinned_version(self):
        check_version()
        options = {patch.option: "1" for patch in PATCHES if patch.option}
        with restored_targets():
            applied = apply_patches(PATCHES, options)
        self.assertEqual(applied, [patch.name for patch in PATCHES])

    def test_optional_patch_without_its_option_is_not_applied(self):
        with restored_targets():
            applied = apply_patches(PATCHES, {"LOCAL_AWS_RAMP": "0"})
        self.assertEqual(applied, [patch.name for patch in PATCHES if patch.option is None])

    def test_applied_patch_is_reported_as_obsolete(self):
        """Where a check calls ministack, it sees the behaviour of the patch."""
        for patch in (patch for patch in PATCHES if patch.name in CHECKED_BY_A_CALL):
            with self.subTest(patch.name), restored_targets():
                patch.apply({patch.option: "python"})
                with self.assertRaisesRegex(PatchError, "obsolete"):
                    patch.check()

    def test_every_patch_has_a_file_with_documentation(self):
        files = {path.stem for path in (Path(__file__).parent / "patches").glob("*.py")} - {"__init__"}
        self.assertEqual({patch.name for patch in PATCHES}, files)
        for name in files:
            text = (Path(__file__).parent / "patches" / f"{name}.py").read_text()
            for heading in ("AWS: ", "ministack: ", "The patch: "):
                self.assertIn(f"\n{heading}", text, name)

    def test_other_version_fails(self):
        with tempfile.TemporaryDirectory() as directory:
            requirements = Path(directory) / "requirements.txt"
            requirements.write_text(f"ministack=={read_pinned_version()}.1\n")
            with self.assertRaisesRegex(PatchError, "pins"):
                check_version(requirements)

    def test_unpinned_version_fails(self):
        with tempfile.TemporaryDirectory() as directory:
            requirements = Path(directory) / "requirements.txt"
            requirements.write_text("ministack>=1\n")
            with self.assertRaisesRegex(PatchError, "must pin"):
                check_version(requirements)

    def test_every_missing_target_fails(self):
        for patch in PATCHES:
            for target in patch.targets:
                with self.subTest(f"{patch.name}: {target.name}"), contextlib.ExitStack() as stack:
                    stack.enter_context(mock.patch.object(target.owner, target.name))
                    delattr(target.owner, target.name)
                    with self.assertRaisesRegex(PatchError, "does not exist"):
                        patch.check()

    def test_every_changed_signature_fails(self):
        def other(first, *, second):
            """Has parameters that no target has."""

        for patch in PATCHES:
            for target in (target for target in patch.targets if target.parameters is not None):
                with self.subTest(f"{patch.name}: {target.name}"):
                    with mock.patch.object(target.owner, target.name, other):
                        with self.assertRaisesRegex(PatchError, "takes"):
                            patch.check()

    def test_obsolete_patch_fails(self):
        patch = Patch("none", (), is_needed=lambda: False, apply=lambda environment: None)
        with self.assertRaisesRegex(PatchError, "obsolete"):
            apply_patches([patch], {})

    def test_failing_check_fails_and_applies_nothing(self):
        applied = []
        good = Patch("good", (), is_needed=lambda: True, apply=applied.append)
        bad = Patch("bad", (), is_needed=lambda: 1 / 0, apply=applied.append)
        with self.assertRaisesRegex(PatchError, "cannot be checked"):
            apply_patches([good, bad], {})
        self.assertEqual(applied, [])

    def test_value_in_place_of_function_fails(self):
        with mock.patch.object(sqs, "_collect_msgs", 1), self.assertRaisesRegex(PatchError, "not a function"):
            Target(sqs, "_collect_msgs", ("q",)).check()


class BehaviourTest(unittest.TestCase):
    def test_decimal_text_becomes_a_number(self):
        properties = {"BatchSize": "50", "ScalingConfig": {"MaximumConcurrency": "20"}, "Queue": "q-1"}
        expected = {"BatchSize": 50, "ScalingConfig": {"MaximumConcurrency": 20}, "Queue": "q-1"}
        self.assertEqual(number_parameters.convert_numbers(properties), expected)

    def test_stream_response_with_failures_is_an_error(self):
        event = {"Records": [{"eventSource": "aws:dynamodb"}]}
        for body, failed in (
            ('{"batchItemFailures": [{"itemIdentifier": "7"}]}', True),
            ({"batchItemFailures": [{"itemIdentifier": "7"}]}, True),
            ('{"batchItemFailures": []}', False),
            ("not JSON", False),
            (None, False),
        ):
            with self.subTest(body=body), restored_targets():
                lambda_svc._execute_function = lambda func, event, body=body: {"body": body}
                stream_batch_failures.apply({})
                self.assertEqual(bool(lambda_svc._execute_function({}, event).get("error")), failed)
                queue_event = {"Records": [{"eventSource": "aws:sqs"}]}
                self.assertNotIn("error", lambda_svc._execute_function({}, queue_event))

    def test_chain_of_invocations_is_stopped_after_16(self):
        executed = []

        def execute(func, event):
            executed.append(lambda_svc._xray_trace_id_for_invocation({}))
            return {"body": None}

        for setting, last in (("Terminate", 16), (None, 16), ("Allow", 20)):
            function = {"config": {"FunctionName": "check"}, "recursive_loop": setting}
            with self.subTest(setting=setting), restored_targets(), mock.patch.object(lambda_svc, "logger"):
                executed.clear()
                lambda_svc._execute_function = execute
                recursive_loops.apply({})
                header, shorter = "Root=1-2-3;Sampled=0", "Root=1-4-5;Lineage=0:00000000:0"
                for number in range(1, 21):
                    records = [{"attributes": {"AWSTraceHeader": value}} for value in (header, shorter)]
                    result = lambda_svc._execute_function(function, {"Records": [*records, {"body": ""}]})
                    self.assertEqual(bool(result.get("error")), number > last, number)
                    header = executed[-1]
                self.assertEqual([recursive_loops.count_invocations(one) for one in executed], list(range(1, last + 1)))
                self.assertTrue(all(one.startswith("Root=1-2-3;") for one in executed[1:]), executed)
                if setting != "Allow":
                    self.assertEqual(result["body"]["errorType"], "RecursiveInvocationException")
                self.assertIsNone(lambda_svc._xray_trace_id_for_invocation({}))

    def test_event_without_a_trace_header_starts_a_chain(self):
        for event in ({"Records": [{"body": "x"}, {"attributes": None}]}, {"Records": []}, {"body": "x"}, "x", None):
            header = recursive_loops.continue_chain(recursive_loops.find_longest_chain(event), "f")
            self.assertRegex(header, r"^Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0;Lineage=1:")

    def test_message_keeps_the_trace_header_of_its_request(self):
        def send(headers: dict, **attributes) -> dict:
            system = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()}
            request = {"QueueUrl": url, "MessageBody": "x", "MessageSystemAttributes": system}
            call({"x-amz-target": "AmazonSQS.SendMessage"} | headers, request)
            received = call(
                {"x-amz-target": "AmazonSQS.ReceiveMessage"}, {"QueueUrl": url, "MessageSystemAttributeNames": ["All"]}
            )
            call(
                {"x-amz-target": "AmazonSQS.DeleteMessage"},
                {"QueueUrl": url, "ReceiptHandle": received["Messages"][0]["ReceiptHandle"]},
            )
            return received["Messages"][0]["Attributes"]

        def call(headers: dict, request: dict) -> dict:
            response = asyncio.run(sqs.handle_request("POST", "/", headers, json.dumps(request).encode(), {}))
            self.assertEqual(response[0], 200, response[2])
            return json.loads(response[2] or b"{}")

        with restored_targets(), mock.patch.object(sqs, "logger"):
            recursive_loops.apply({})
            url = call({"x-amz-target": "AmazonSQS.CreateQueue"}, {"QueueName": "check"})["QueueUrl"]
            self.assertNotIn("AWSTraceHeader", send({}))
            self.assertEqual(send({"x-amzn-trace-id": "Root=1"})["AWSTraceHeader"], "Root=1")
            self.assertEqual(send({"x-amzn-trace-id": "Root=1"}, AWSTraceHeader="Root=2")["AWSTraceHeader"], "Root=2")
            call({"x-amz-target": "AmazonSQS.DeleteQueue"}, {"QueueUrl": url})

    def test_template_property_sets_the_recursive_loop(self):
        with restored_targets(), mock.patch.dict(lambda_svc._functions._data):
            recursive_loops.apply({})
            handlers = provisioners._RESOURCE_HANDLERS[recursive_loops.RESOURCE_TYPE]

            def read() -> str:
                return json.loads(lambda_svc._get_function_recursion_config("check")[2])["RecursiveLoop"]

            properties = {"FunctionName": "check", "Runtime": "provided.al2023"}
            allowed = properties | {"RecursiveLoop": "Allow"}
            handlers["create"]("Check", allowed, "stack")
            self.assertEqual(read(), "Allow")
            handlers["update"]("check", allowed, properties, "stack", "Check")
            self.assertEqual(read(), "Terminate")
            handlers["update"]("check", properties, allowed, "stack", "Check")
            self.assertEqual(read(), "Allow")

    def test_alarm_of_metric_math_keeps_its_metrics(self):
        with restored_targets():
            metric_math_alarms.apply({})
            record = provisioners._cw_metric_alarm_record
            alarm = record("check", metric_math_alarms.SAMPLE)
            self.assertEqual(alarm["Metrics"], metric_math_alarms.SAMPLE["Metrics"])
            self.assertEqual((alarm["MetricName"], alarm["Namespace"]), ("", ""))
            simple = {"MetricName": "m", "Namespace": "n", "ComparisonOperator": "GreaterThanThreshold", "Threshold": 1}
            self.assertNotIn("Metrics", record("check", simple))

    def test_saved_query_needs_a_name_and_a_text(self):
        with restored_targets():
            query_definitions.apply({})
            handlers = provisioners._RESOURCE_HANDLERS[query_definitions.RESOURCE_TYPE]
            self.assertRegex(handlers["create"]("Q", {"Name": "n", "QueryString": "fields x"}, "stack")[0], "^[0-9a-f-]{36}$")
            with self.assertRaisesRegex(ValueError, "QueryString is required"):
                handlers["create"]("Q", {"Name": "n"}, "stack")

    def test_batching_window_equals_the_template(self):
        windows = re.findall(r"MaximumBatchingWindowInSeconds: (\d+)", (ROOT / "template.yaml").read_text())
        self.assertEqual([float(window) for window in windows], [stream_batching_window.WINDOW_SECONDS])


if __name__ == "__main__":
    unittest.main()
