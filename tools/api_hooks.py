"""What schemathesis needs to know of this API: how a request is signed, which
jobs and batches there are, and how JSON Lines are read. tools/api_cases.py
starts schemathesis with it.
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
# Ids that the API knows: {"job_id": [...], "batch_id": [...]}.
KNOWN = json.loads(os.environ["API_CASES_KNOWN"])
# Each operation's cases are counted.
NUMBERS = defaultdict(itertools.count)


def signed(request):
    """The request as it leaves, with its signature."""
    asked = AWSRequest(request.method, request.url, data=request.body)
    SIGNER.add_auth(asked)
    request.headers.update(dict(asked.headers))
    return request


def made_possible(case):
    """Takes from a right case what only the whole of it makes wrong, which no
    schema says: two keys, two ways to name the labels, a model that is not
    allowed here."""
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


@schemathesis.hook
def before_call(context, case, kwargs):
    kwargs["auth"] = signed
    if case.meta and case.meta.generation.mode.is_positive:
        made_possible(case)
    label = case.operation.label
    number = next(NUMBERS[label])
    # Of the ids that can be, two of three are made ones that the API knows: by
    # chance alone none would. Which one follows from how many came before, so
    # that the same seed asks the same.
    path = case.meta.components.get(ParameterLocation.PATH) if case.meta else None
    if path and path.mode.is_positive and number % 3:
        for name, ids in KNOWN.items():
            # A batch that is cancelled takes no jobs: some stay.
            ids = ids[:2] if label == "DELETE /batches/{batch_id}" else ids
            if name in case.path_parameters:
                case.path_parameters[name] = ids[number // 3 % len(ids)]
    # OpenAPI has no parameter for it: the answer's content types say it.
    if label.endswith("/results") and number % 2:
        case.headers = {**(case.headers or {}), "accept": "text/csv"}


@schemathesis.deserializer("application/jsonl")
def json_lines(context, response):
    return [json.loads(line) for line in response.content.decode().splitlines()]


@schemathesis.deserializer("text/csv")
def text(context, response):
    return response.content.decode()
