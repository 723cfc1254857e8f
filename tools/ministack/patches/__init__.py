"""All patches, in the order in which they apply. An optional patch says so in its file."""
from . import (
    connection_backlog,
    garbage_collection,
    metric_math_alarms,
    number_parameters,
    python_interpreter,
    query_definitions,
    recursive_loops,
    request_counts,
    response_headers,
    sqs_batch_size,
    sqs_scaling,
    stream_batch_failures,
    stream_batching_window,
    stream_poller_thread,
)

PATCHES = (
    number_parameters.PATCH,
    stream_batch_failures.PATCH,
    stream_batching_window.PATCH,
    stream_poller_thread.PATCH,
    sqs_batch_size.PATCH,
    sqs_scaling.PATCH,
    recursive_loops.PATCH,
    metric_math_alarms.PATCH,
    query_definitions.PATCH,
    connection_backlog.PATCH,
    garbage_collection.PATCH,
    python_interpreter.PATCH,
    request_counts.PATCH,
    response_headers.PATCH,
)
