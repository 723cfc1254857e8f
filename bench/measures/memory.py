"""Peak memory with 1, 10 and 100 documents of 100 KB in one batch."""
from lab import Lab, Stop, say
from results import DOCKET, PLAIN, POWERTOOLS, THREADS, Result
from work import batch, batch_in_bucket, check_done, jobs

SIZE = 100_000
BUCKET, MESSAGE = "documents in the bucket", "documents in the messages"
PLACES = ((1, BUCKET), (10, BUCKET), (100, BUCKET), (10, MESSAGE))
MEGABYTES = 25
# So long that all documents of a batch are held at once.
LATENCY_MS = {1: 100, 10: 700, 100: 4_000}


def once(lab: Lab, variant: str, count: int, where: str) -> float:
    """Megabytes (10^6 bytes) resident at the peak, of a fresh process."""
    lab.forget()
    at_once = variant in (DOCKET, THREADS)
    lab.behave(LATENCY_MS[count] if at_once else 0)
    job_ids = jobs(count)
    event = batch_in_bucket(lab, job_ids, SIZE) if where == BUCKET else batch(job_ids, SIZE)
    with lab.start(variant) as environment:
        environment.ready()
        answer = environment.invoke(event)
        environment.ready()
        check_done(lab, job_ids, answer.failed)
        if at_once and lab.calls()["peak_in_flight"] != count:
            raise Stop(f"{variant} had {lab.calls()['peak_in_flight']} calls in flight, and not {count}")
        return environment.memory()["VmHWM"]


def run(lab: Lab, repeats: int) -> Result:
    result = lab.result("memory", f"Peak memory with documents of {SIZE // 1000} KB", "MB")
    for repeat in range(repeats):
        for count, where in PLACES:
            for variant in (DOCKET, PLAIN, POWERTOOLS, THREADS):
                value = once(lab, variant, count, where)
                result.add(variant, str(count), where, value)
                say(f"memory {repeat + 1}/{repeats} {variant}, {count} {where}: {value:.1f} MB")
    for count, where in PLACES:
        own = result.values(DOCKET, str(count), where)
        for peer in (PLAIN, POWERTOOLS, THREADS):
            result.ratio(f"{peer} ÷ docket, {count} {where}", result.values(peer, str(count), where), own)
    peak = result.median(DOCKET, "100", BUCKET)
    result.bar(f"≤ {MEGABYTES} MB with 100 documents in one batch", peak, peak <= MEGABYTES, MEGABYTES, BUCKET, "100")
    result.note(
        "VmHWM of a fresh process after its first batch, in 10^6 bytes; plain HTTP. A Lambda event ends at 6 "
        "MB, so that 100 documents lie in the bucket."
    )
    result.note("Docket has MALLOC_MMAP_THRESHOLD_=65536 in its environment, as its template sets it; the peers have glibc's defaults.")
    result.note("One record after the other (plain, powertools) holds one document at a time.")
    return result
