"""A chain of invocations through SQS ends after 16, unless the function allows loops.

AWS: Lambda counts the invocations of a chain in the field Lineage of the trace
header. The SDK sends the header of its invocation with every request. SQS keeps it
as AWSTraceHeader of a sent message, and Lambda continues its count. After about 16
invocations, Lambda stops the next one. The event source mapping gets a
RecursiveInvocationException, so the message stays in the queue until SQS
dead-letters it. A function with `RecursiveLoop: Allow` is not stopped.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
https://docs.aws.amazon.com/xray/latest/devguide/xray-services-sqs.html

ministack: it counts the invocations of its Invoke API only. A function without
active tracing gets no trace header, SQS does not keep the header of a request, and
CloudFormation ignores RecursiveLoop.

The patch: it adds all four. AWS does not document two rules. The form of the field
follows headers of real functions, such as `Lineage=2:7569cfea:0`: the first number
is the count. A batch continues the longest chain among its messages.
"""
import contextvars
import hashlib
import json
import re
import secrets
import time
from unittest import mock

from ministack.services import lambda_svc, sqs
from ministack.services.cloudformation import provisioners

from ..patch import Patch, PatchError, Target

RESOURCE_TYPE = "AWS::Lambda::Function"
DEFAULT = "Terminate"
ROOT = re.compile(r"(?:^|;)\s*Root=([^;]+)")
LINEAGE = re.compile(r"(?:^|;)\s*Lineage=(\d+):")

# The trace header of the running invocation, and that of the request to SQS.
invocation_header = contextvars.ContextVar("invocation_header", default=None)
request_header = contextvars.ContextVar("request_header", default=None)


def count_invocations(header: str) -> int:
    """The number of invocations in the chain that the header continues."""
    lineage = LINEAGE.search(header)
    return int(lineage.group(1)) if lineage else 0


def find_longest_chain(event) -> str:
    """The trace header of the longest chain in a batch of queue messages; empty without one."""
    records = event.get("Records") if isinstance(event, dict) else None
    attributes = [record.get("attributes") or {} for record in records or [] if isinstance(record, dict)]
    return max((one.get("AWSTraceHeader") or "" for one in attributes), key=count_invocations, default="")


def continue_chain(header: str, function_name: str) -> str:
    """The trace header of the next invocation after `header`; a new chain if that is empty."""
    found = ROOT.search(header)
    root = found.group(1) if found else f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"
    function = hashlib.sha256(function_name.encode()).hexdigest()[:8]
    lineage = f"{count_invocations(header) + 1}:{function}:0"
    return f"Root={root};Parent={secrets.token_hex(8)};Sampled=0;Lineage={lineage}"


def is_needed() -> bool:
    """Asks for the first invocation that Lambda would stop."""
    handlers = provisioners._RESOURCE_HANDLERS.get(RESOURCE_TYPE, {})
    if not handlers.get("update_with_logical_id"):
        raise PatchError(f"the handler of {RESOURCE_TYPE} takes other arguments")
    attributes = {"AWSTraceHeader": f"Root=1-0-0;Lineage={lambda_svc.MAX_INVOKE_DEPTH}:00000000:0"}
    event = {"Records": [{"attributes": attributes}]}
    function, mapping = {"config": {"FunctionName": "check"}}, {"UUID": "check", "FunctionName": "check"}
    with (
        mock.patch.object(lambda_svc, "_execute_function_dispatch", return_value={"body": None}) as dispatch,
        mock.patch.object(lambda_svc, "logger"),
    ):
        lambda_svc._run_sqs_batch(mapping, function, event, [], "", "")
    return dispatch.called


def count_chains() -> None:
    """Passes the trace header to functions, and stops a chain that is too long."""
    execute, choose_header = lambda_svc._execute_function, lambda_svc._xray_trace_id_for_invocation

    def execute_function(func: dict, event: dict) -> dict:
        name = (func.get("config") or func).get("FunctionName", "")
        header = continue_chain(find_longest_chain(event), name)
        # The setting belongs to the function; `func` may be one of its versions.
        stored = lambda_svc._functions.get(name) or func
        stopped = lambda_svc._recursive_loop_drop(name, stored, count_invocations(header))
        if stopped is not None:
            problem = json.loads(stopped[2])
            body = {"errorType": "RecursiveInvocationException", "errorMessage": problem.get("message", "")}
            return {"error": True, "body": body, "log": ""}
        token = invocation_header.set(header)
        try:
            return execute(func, event)
        finally:
            invocation_header.reset(token)

    def choose_trace_header(config: dict, inbound_trace_header: str | None = None) -> str | None:
        return choose_header(config, inbound_trace_header or invocation_header.get())

    lambda_svc._execute_function = execute_function
    lambda_svc._xray_trace_id_for_invocation = choose_trace_header


def keep_trace_headers() -> None:
    """Keeps the trace header of a request as AWSTraceHeader of the messages that it sends.

    A value that the caller sets as a system attribute has precedence.
    """
    handle, build_attributes = sqs.handle_request, sqs._build_send_sys_attrs

    async def handle_request(method, path, headers, body, query_params):
        token = request_header.set(headers.get("x-amzn-trace-id"))
        try:
            return await handle(method, path, headers, body, query_params)
        finally:
            request_header.reset(token)

    def build_with_header(now: float, sys_attrs_input: dict) -> dict:
        header = request_header.get()
        return ({"AWSTraceHeader": header} if header else {}) | build_attributes(now, sys_attrs_input)

    sqs.handle_request = handle_request
    sqs._build_send_sys_attrs = build_with_header


def read_property() -> None:
    """Makes CloudFormation set the property RecursiveLoop of a function."""
    handlers = provisioners._RESOURCE_HANDLERS[RESOURCE_TYPE]
    create, update = handlers["create"], handlers["update"]

    def set_property(result: tuple, props: dict) -> tuple:
        lambda_svc._functions[result[0]]["recursive_loop"] = props.get("RecursiveLoop", DEFAULT)
        return result

    def create_function(logical_id, props, stack_name):
        return set_property(create(logical_id, props, stack_name), props)

    def update_function(physical_id, old_props, new_props, stack_name, logical_id=None):
        return set_property(update(physical_id, old_props, new_props, stack_name, logical_id), new_props)

    handlers |= {"create": create_function, "update": update_function}


def apply(environment) -> None:
    count_chains()
    keep_trace_headers()
    read_property()


PATCH = Patch(
    "recursive_loops",
    (
        Target(lambda_svc, "_execute_function", ("func", "event")),
        Target(lambda_svc, "_execute_function_dispatch", ("func", "config", "event", "request_id", "started")),
        Target(lambda_svc, "_functions"),
        Target(lambda_svc, "_recursive_loop_drop", ("name", "func", "depth")),
        Target(lambda_svc, "_run_sqs_batch", ("esm", "func_rec", "event", "batch", "queue_url", "queue_name")),
        Target(lambda_svc, "_xray_trace_id_for_invocation", ("config", "inbound_trace_header")),
        Target(lambda_svc, "MAX_INVOKE_DEPTH"),
        Target(sqs, "handle_request", ("method", "path", "headers", "body", "query_params")),
        Target(sqs, "_build_send_sys_attrs", ("now", "sys_attrs_input")),
        Target(provisioners, "_RESOURCE_HANDLERS"),
    ),
    is_needed,
    apply,
)
