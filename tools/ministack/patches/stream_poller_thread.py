"""A separate thread polls the streams.

AWS: Lambda polls each event source mapping separately. A slow function of a
stream does not delay a queue.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html

ministack: one thread polls queues and streams. It waits for the function of a
stream, and receives nothing from any queue meanwhile.

The patch: the first poll of the streams starts a thread that polls them from
then on. The thread of the queues finds no work in streams and does not wait.
"""
import inspect
import threading
import time

from ministack.services import lambda_svc

from ..patch import Patch, Target

IDLE_PAUSE_SECONDS = 0.1


def is_needed() -> bool:
    return "_poll_dynamodb_streams()" in inspect.getsource(lambda_svc._poll_loop)


def apply(environment) -> None:
    poll = lambda_svc._poll_dynamodb_streams

    def poll_forever() -> None:
        while True:
            try:
                has_work = poll()
            except Exception as error:
                lambda_svc.logger.error("ESM DynamoDB streams poller error: %s", error)
                has_work = False
            if not has_work:
                time.sleep(IDLE_PAUSE_SECONDS)

    thread = threading.Thread(target=poll_forever, name="streams", daemon=True)

    def ensure_thread() -> bool:
        if not thread.is_alive():
            thread.start()
        return False

    lambda_svc._poll_dynamodb_streams = ensure_thread


PATCH = Patch(
    "stream_poller_thread",
    (
        Target(lambda_svc, "_poll_dynamodb_streams", ()),
        Target(lambda_svc, "_poll_loop", ()),
        Target(lambda_svc, "logger"),
    ),
    is_needed,
    apply,
)
