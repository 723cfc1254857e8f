"""From the start of the process to its first stored result, over TLS, with a full processor and with a small share."""
from contextlib import ExitStack

from lab import BenchError, Lab, enqueue, print_status
from results import DOCKET, PLAIN, POWERTOOLS, THREADS, Result
from share import PERIOD_US, QUOTA_US, SMALLEST_MB, CpuShare
from work import DONE, check_results, make_event, make_job_ids

VARIANTS = (DOCKET, PLAIN, POWERTOOLS, THREADS)
MIN_RATIO = 15
FULL = "full cpu"
SHARE = f"{100 * QUOTA_US / PERIOD_US:.0f} % cpu"


def measure_once(lab: Lab, variant: str, share: CpuShare | None) -> float:
    """Milliseconds from exec to the write that completed the job."""
    lab.reset()
    job_ids = make_job_ids(1)
    event_id = enqueue(lab.services, make_event(job_ids))
    within = share.command() if share else None
    with lab.start(variant, tls=True, memory_mb=SMALLEST_MB, within=within) as environment:
        environment.wait_until_ready()
        answer = environment.wait_for_answer(event_id)
        check_results(lab, job_ids, answer.failed)
        stored = [request["ns"] for request in lab.services.request("GET", "/_requests") if request.get("status") in DONE]
        return (min(stored) - environment.started_ns) / 1e6


def run(lab: Lab, repeats: int) -> Result:
    result = lab.begin_result("first", "First result: from exec to the first stored result, over TLS", "ms")
    with ExitStack() as stack:
        conditions = {FULL: None}
        try:
            conditions[SHARE] = stack.enter_context(CpuShare())
        except BenchError as error:
            result.add_note(f"Not measured with {SHARE}: {error}.")
        for repeat in range(-1, repeats):
            for at, share in conditions.items():
                for variant in VARIANTS:
                    if repeat < 0 and share:
                        continue
                    value = measure_once(lab, variant, share)
                    if repeat >= 0:
                        result.add(variant, at, "time", value)
                        print_status(f"first {repeat + 1}/{repeats} {variant}, {at}: {value:.0f} ms")
    for at in conditions:
        own = result.values(DOCKET, at, "time")
        ratios = {peer: result.add_ratio(f"{peer} ÷ docket, {at}", result.values(peer, at, "time"), own) for peer in VARIANTS[1:]}
        # The bar compares with the faster one of Powertools' two variants.
        quick = min((POWERTOOLS, THREADS), key=lambda peer: result.median(peer, at, "time"))
        ratio = ratios[quick]
        # Docket's median reaches this goal exactly when the median of the ratios reaches the bar.
        goal = result.median(DOCKET, at, "time") * ratio.value / MIN_RATIO
        result.add_bar(f"≥ {MIN_RATIO}× faster than Powertools, {at}", ratio.value, ratio.value >= MIN_RATIO, goal, "time", at)
    result.add_note(
        "The event waits before the start, and the model answers at once. Requests to table and model use TLS 1.3 and "
        "HTTP/1.1. The self-signed certificate is in a file with all of botocore's authorities, so clients build no chain."
    )
    result.add_note(
        f"{SHARE}: the process gets {QUOTA_US} µs of every {PERIOD_US} µs from its start on, the share of a function with "
        f"{SMALLEST_MB} MB. Lambda gives more processor time during INIT, when Python reads its packages, so the "
        f"difference is smaller on AWS. {FULL.capitalize()}: no limit; every variant uses one core."
    )
    return result
