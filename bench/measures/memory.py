"""Peak memory with 1, 10 and 100 documents of 100 KB in one batch."""
from lab import BenchError, Lab, print_status
from results import DOCKET, PLAIN, POWERTOOLS, THREADS, Result
from work import check_results, make_event, make_event_with_objects, make_job_ids

SIZE = 100_000
BUCKET, MESSAGE = "documents in the bucket", "documents in the messages"
CONDITIONS = ((1, BUCKET), (10, BUCKET), (100, BUCKET), (10, MESSAGE))
MAX_MEGABYTES = 25
# The model's latency by batch size, long enough for all documents to be in memory at the same time.
LATENCY_MS = {1: 100, 10: 700, 100: 4_000}


def measure_once(lab: Lab, variant: str, count: int, where: str) -> float:
    """Peak resident memory of a new process, in MB of 10^6 bytes."""
    lab.reset()
    is_concurrent = variant in (DOCKET, THREADS)
    lab.reset_model(LATENCY_MS[count] if is_concurrent else 0)
    job_ids = make_job_ids(count)
    event = make_event_with_objects(lab, job_ids, SIZE) if where == BUCKET else make_event(job_ids, SIZE)
    with lab.start(variant) as environment:
        environment.wait_until_ready()
        answer = environment.invoke(event)
        environment.wait_until_ready()
        check_results(lab, job_ids, answer.failed)
        peak = lab.read_calls()["peak_in_flight"]
        if is_concurrent and peak != count:
            raise BenchError(f"{variant} had {peak} calls in flight, not {count}: use an idle machine")
        return environment.read_memory()["VmHWM"]


def run(lab: Lab, repeats: int) -> Result:
    result = lab.begin_result("memory", f"Peak memory with documents of {SIZE // 1000} KB", "MB")
    for repeat in range(repeats):
        for count, where in CONDITIONS:
            for variant in (DOCKET, PLAIN, POWERTOOLS, THREADS):
                value = measure_once(lab, variant, count, where)
                result.add(variant, str(count), where, value)
                print_status(f"memory {repeat + 1}/{repeats} {variant}, {count} {where}: {value:.1f} MB")
    for count, where in CONDITIONS:
        own = result.values(DOCKET, str(count), where)
        for peer in (PLAIN, POWERTOOLS, THREADS):
            result.add_ratio(f"{peer} ÷ docket, {count} {where}", result.values(peer, str(count), where), own)
    peak = result.median(DOCKET, "100", BUCKET)
    result.add_bar(f"≤ {MAX_MEGABYTES} MB with 100 documents in one batch", peak, peak <= MAX_MEGABYTES, MAX_MEGABYTES, BUCKET, "100")
    result.add_note(
        "VmHWM of a new process after its first batch, in MB of 10^6 bytes. Requests use HTTP without TLS. A Lambda event "
        "has at most 6 MB, so 100 documents are in the bucket."
    )
    result.add_note("Docket runs with MALLOC_MMAP_THRESHOLD_=65536, as its template sets it. The peers run with glibc's defaults.")
    result.add_note("plain and powertools process one record after the other, and have one document in memory at a time.")
    return result
