"""The slowest requests of ten cold records over TLS, with the processor share of a small function.

They show which time-outs the clients of table and bucket need.
"""
from lab import BenchError, Lab, enqueue, print_status
from results import DOCKET, Result
from share import PERIOD_US, CpuShare, quota_us
from work import check_results, make_event_with_objects, make_job_ids

RECORDS = 10
DOCUMENT_BYTES = 20_000
MEMORY_MB = 512
# A time-out should be some times the usual duration, because AWS's endpoints add their own latency.
MARGIN = 3
# STORE_ATTEMPT_TIMEOUT of src/aws/mod.rs and ATTEMPT_TIMEOUT of src/aws/s3.rs.
TABLE_TIMEOUT_MS, BUCKET_TIMEOUT_MS = 1_500, 8_000


def measure_once(lab: Lab, share: CpuShare) -> dict[str, float]:
    """Milliseconds: an upper bound of the slowest request of each kind.

    All connections are new. The event waits, so the process reads it at once."""
    lab.reset()
    job_ids = make_job_ids(RECORDS)
    event_id = enqueue(lab.services, make_event_with_objects(lab, job_ids, DOCUMENT_BYTES))
    with lab.start(DOCKET, tls=True, memory_mb=MEMORY_MB, within=share.command()) as environment:
        environment.wait_until_ready()
        answer = environment.wait_for_answer(event_id)
        check_results(lab, job_ids, answer.failed)
        requests = lab.services.request("GET", "/_requests")
        handed_ns = lab.services.request("GET", f"/_answers/{event_id}")["handed_ns"]
    claims = {request["key"]: request["ns"] for request in requests if request.get("status") == "processing"}
    reads = [request["ns"] for request in requests if request["operation"] == "s3:GetObject"]
    if len(claims) != RECORDS or len(reads) != RECORDS:
        raise BenchError(f"{len(claims)} claims and {len(reads)} reads of objects for {RECORDS} records")
    # A claim's request begins after the delivery. A read begins after the first claim.
    return {
        "table": (max(claims.values()) - handed_ns) / 1e6,
        "bucket": (max(reads) - min(claims.values())) / 1e6,
    }


def run(lab: Lab, repeats: int) -> Result:
    title = f"Cold requests: the slowest of {RECORDS} records over TLS, at {MEMORY_MB} MB"
    result = lab.begin_result("cold", title, "ms")
    at = f"{100 * quota_us(MEMORY_MB) / PERIOD_US:.0f} % cpu"
    with CpuShare(MEMORY_MB) as share:
        for repeat in range(-1, repeats):
            found = measure_once(lab, share)
            if repeat < 0:
                continue  # The first run only fills the page cache.
            for quantity, value in found.items():
                result.add(DOCKET, at, quantity, value)
            print_status(f"cold {repeat + 1}/{repeats}: table {found['table']:.0f} ms, bucket {found['bucket']:.0f} ms")
    for quantity, limit in (("table", TABLE_TIMEOUT_MS), ("bucket", BUCKET_TIMEOUT_MS)):
        ratio = limit / result.median(DOCKET, at, quantity)
        text = f"time-out of the {quantity} ≥ {MARGIN}× the slowest request"
        result.add_bar(text, ratio, ratio >= MARGIN, limit / MARGIN, quantity, at)
    result.add_note(
        f"{RECORDS} messages name objects of {DOCUMENT_BYTES // 1_000} kB. They wait before the process starts. Every record opens "
        "its own connections with TLS 1.3. Both values are upper bounds of one request: `table` is the time from the "
        "delivery to the last claim, `bucket` from the first claim to the last read of an object."
    )
    result.add_note(f"The process gets {at} of one processor, as Lambda gives it to a function with {MEMORY_MB} MB.")
    return result
