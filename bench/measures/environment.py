"""Environment-seconds for a job: what Lambda bills, held against the model's time divided by the batch."""
from lab import Lab, Stop, say
from results import DOCKET, PLAIN, POWERTOOLS, THREADS, Result
from work import batch, check_done, jobs

MODEL_SECONDS = 8.0
BATCHES = (1, 10, 50, 100)
WITHIN = 0.03


def once(lab: Lab, variant: str, size: int) -> float:
    """Seconds from the event's handing out to the answer, for a job."""
    lab.forget()
    with lab.start(variant) as environment:
        environment.ready()
        warm = jobs(size)
        environment.invoke(batch(warm))
        environment.ready()
        lab.behave(int(MODEL_SECONDS * 1000))
        job_ids = jobs(size)
        answer = environment.invoke(batch(job_ids))
        check_done(lab, job_ids, answer.failed)
        if variant in (DOCKET, THREADS) and lab.calls()["peak_in_flight"] != size:
            raise Stop(f"{variant} did not have all {size} jobs in flight")
    return answer.seconds / size


def run(lab: Lab, repeats: int) -> Result:
    result = lab.result("environment", f"Environment-seconds for a job of {MODEL_SECONDS:.0f} s", "environment-seconds a job")
    for repeat in range(repeats):
        for size in BATCHES:
            # Of those that take one record after the other a job costs the same, whatever the batch.
            for variant in (DOCKET, THREADS, POWERTOOLS, PLAIN) if size == 1 else (DOCKET, THREADS):
                value = once(lab, variant, size)
                result.add(variant, str(size), "time", value)
                say(f"environment {repeat + 1}/{repeats} {variant}, batches of {size}: {value:.3f} s a job")
    for size in BATCHES:
        own = result.values(DOCKET, str(size), "time")
        ratio = result.ratio(f"docket ÷ (model's time ÷ {size})", own, [MODEL_SECONDS / size] * len(own))
        goal = (1 + WITHIN) * MODEL_SECONDS / size
        text = f"within {WITHIN:.0%} of the model's time ÷ {size}"
        result.bar(text, ratio.value, ratio.value <= 1 + WITHIN, goal, "time", str(size))
        result.ratio(f"{THREADS} ÷ docket, batches of {size}", result.values(THREADS, str(size), "time"), own)
        for peer in (PLAIN, POWERTOOLS):
            result.ratio(f"{peer} ÷ docket, batches of {size}", result.values(peer, "1", "time"), own)
    result.note(
        "From the event's handing out by the Runtime API to the answer's arrival, divided by the batch; warm;"
        " plain HTTP."
    )
    result.note(
        "One record after the other (plain, powertools) was measured with one job: a job costs it the same in a batch "
        "of any size, and the ratios for larger batches are calculated so. With threads Powertools comes as near to the "
        "bound as Docket, or nearly: waiting together is what counts here, not the language."
    )
    return result
