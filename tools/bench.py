"""A thousand documents of one second each, side by side, on a local AWS of its own.

The figure is a ratio: to the bound, which is the model's time divided by the
calls in flight. One after the other, the same documents take 1,000 s.
"""
import argparse
import json
import sys
import time
import urllib.request

import local_aws
from local_aws import Local, Stop

DOCUMENTS = 1_000
MODEL_SECONDS = 1.0
CONCURRENCY = 20
BATCH = 10
REPEATS = 5


def control(url: str, method: str, body: dict | None = None) -> dict:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read() or b"{}") or {}


def waiting(sqs, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


def measure(local: Local, found: dict[str, str], repeat: int) -> float:
    sqs, model = local.client("sqs"), found["ModelEndpointUrl"]
    control(f"{model}/_reset", "POST")
    control(f"{model}/_behaviour", "PUT", {"latency_ms": int(MODEL_SECONDS * 1000)})
    begun = time.monotonic()
    for first in range(0, DOCUMENTS, 10):
        bodies = [{"job_id": f"bench-{repeat}-{n}", "document": "A short letter."} for n in range(first, first + 10)]
        entries = [{"Id": str(n), "MessageBody": json.dumps(body)} for n, body in enumerate(bodies)]
        sqs.send_message_batch(QueueUrl=found["JobsQueueUrl"], Entries=entries)
    while waiting(sqs, found["JobsQueueUrl"]):
        time.sleep(0.1)
    seconds = time.monotonic() - begun
    calls = control(f"{model}/_calls", "GET")
    if calls["total"] != DOCUMENTS or len(calls["by_job"]) != DOCUMENTS:
        raise Stop(f"{calls['total']} calls for {DOCUMENTS} documents")
    print(f"bench: {seconds:.1f} s, {calls['total']} calls, {calls['peak_in_flight']} in flight at the most", flush=True)
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=4666, help="the local AWS's port; the stand-in takes the next")
    parameters = f"MaximumConcurrency={CONCURRENCY} BatchSize={BATCH}"
    local = Local(parser.parse_args().port, parameters=parameters, announced=False)
    try:
        found = local_aws.up(local)
        times = sorted(measure(local, found, repeat) for repeat in range(REPEATS))
    except Stop as stop:
        print(f"bench: {stop}", file=sys.stderr)
        return 1
    finally:
        local_aws.down(local)
    bound = DOCUMENTS * MODEL_SECONDS / (CONCURRENCY * BATCH)
    median = times[len(times) // 2]
    print(f"bench: median {median:.1f} s ({times[0]:.1f} to {times[-1]:.1f}), {median / bound:.2f} x the bound of {bound:.1f} s,")
    print(f"       {DOCUMENTS * MODEL_SECONDS / median:.0f} times as fast as one after the other")
    return 0


if __name__ == "__main__":
    sys.exit(main())
