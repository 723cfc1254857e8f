"""A presigned URL of an object's version sets the headers of the response.

AWS: the query parameters `response-content-type`, `response-content-disposition`
and four others of GetObject replace headers of the response, with and without a
`versionId`.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html

ministack: a request with a `versionId` ignores these parameters.

The patch: a request with a `versionId` applies them, too.
"""
from unittest import mock

from ministack.services import s3

from ..patch import Patch, Target


def is_needed() -> bool:
    """Gets a version with another content type."""
    version = {"version_id": "v"}
    query = {"versionId": "v", "response-content-type": "b/b", "X-Amz-Signature": "s"}
    with (
        mock.patch.object(s3, "_ensure_bucket", return_value={"objects": {}}),
        mock.patch.object(s3, "_object_versions", {("bucket", "key"): [version]}),
        mock.patch.object(s3, "_object_record_from_version", return_value={}),
        mock.patch.object(s3, "_object_response_headers", return_value={"Content-Type": "a/a"}),
        mock.patch.object(s3, "_object_tagging_count_header", return_value={}),
        mock.patch.object(s3, "_check_sse_read_headers", return_value=None),
        mock.patch.object(s3, "_check_read_preconditions", return_value=None),
        mock.patch.object(s3, "_version_body", return_value=b""),
    ):
        _, headers, _ = s3._get_object("bucket", "key", {}, query)
    return headers["Content-Type"] == "a/a"


def apply(environment) -> None:
    get_object = s3._get_object

    def get_object_with_overrides(bucket_name, key, headers, query_params=None):
        status, response_headers, body = get_object(bucket_name, key, headers, query_params)
        if status == 200 and s3._qp(query_params or {}, "versionId", ""):
            s3._apply_response_overrides(response_headers, query_params)
        return status, response_headers, body

    s3._get_object = get_object_with_overrides


PATCH = Patch(
    "response_headers",
    (
        Target(s3, "_get_object", ("bucket_name", "key", "headers", "query_params")),
        Target(s3, "_apply_response_overrides", ("resp_headers", "query_params")),
        Target(s3, "_qp", ("params", "key", "default")),
        Target(s3, "_object_versions"),
    ),
    is_needed,
    apply,
)
