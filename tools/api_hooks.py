"""Hooks for schemathesis: signatures, ids of existing jobs and batches, and parsers of JSON Lines and CSV.

tools/api_cases.py starts schemathesis with these hooks.
"""
import copy
import itertools
import json
import os
from collections import defaultdict

import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from schemathesis.core.parameters import ParameterLocation

SIGNER = SigV4Auth(Credentials("test", "test"), "execute-api", "us-east-1")
# Ids that exist, by parameter name: {"job_id": [...], "batch_id": [...]}.
FIXTURES = json.loads(os.environ["API_CASES_FIXTURES"])
# A cancelled batch accepts no jobs, so only the first batches may be cancelled.
CANCELLABLE_BATCHES = 2
# The number of the next case, by operation.
CASE_NUMBERS = defaultdict(itertools.count)


def sign(request):
    """Adds the signature to the request that is about to be sent."""
    signed = AWSRequest(request.method, request.url, data=request.body)
    SIGNER.add_auth(signed)
    request.headers.update(dict(signed.headers))
    return request


def remove_conflicts(case):
    """Removes combinations that the API refuses and that no schema can express.

    These are two idempotency keys, labels next to a schema, and a model that the
    stack does not allow.
    """
    if not isinstance(case.body, dict):
        return
    case.body = copy.deepcopy(case.body)
    if case.body.get("job_id") is not None and case.headers:
        case.headers.pop("Idempotency-Key", None)
    analysis = case.body.get("analysis")
    if isinstance(analysis, dict):
        analysis.pop("model_id", None)
        if analysis.get("schema") is not None:
            analysis.pop("labels", None)


def use_existing_ids(case, label, number):
    """Replaces two of three valid ids by ids that exist, because a generated id never does.

    The case's number selects the id, so the same seed sends the same requests.
    """
    path = case.meta.components.get(ParameterLocation.PATH) if case.meta else None
    if not (path and path.mode.is_positive and number % 3):
        return
    for name, ids in FIXTURES.items():
        if label == "DELETE /batches/{batch_id}":
            ids = ids[:CANCELLABLE_BATCHES]
        if name in case.path_parameters:
            case.path_parameters[name] = ids[number // 3 % len(ids)]


@schemathesis.hook
def before_call(context, case, kwargs):
    kwargs["auth"] = sign
    if case.meta and case.meta.generation.mode.is_positive:
        remove_conflicts(case)
    label = case.operation.label
    number = next(CASE_NUMBERS[label])
    use_existing_ids(case, label, number)
    # OpenAPI describes Accept by the content types of the response, so no case varies it.
    if label.endswith("/results") and number % 2:
        case.headers = {**(case.headers or {}), "accept": "text/csv"}


@schemathesis.deserializer("application/jsonl")
def parse_json_lines(context, response):
    return [json.loads(line) for line in response.content.decode().splitlines()]


@schemathesis.deserializer("text/csv")
def parse_csv(context, response):
    return response.content.decode()
