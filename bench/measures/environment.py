"""Environment-seconds for a job: what Lambda bills, held against the model's time divided by the batch."""
from lab import Lab, Stop, say
from results import DOCKET, PLAIN, POWERTOOLS, THREADS, Result
from work import batch, check_done, jobs

MODEL_SECONDS = 8.0
BATCHES = (1, 10, 50, 100)
# One after the other, the time is the batch's times the model's, whatever the two are.
SHORT_SECONDS, SHORT_BATCH = 0.5, 4
WITHIN = 0.03


def once(lab: Lab, variant: str, size: int, model_seconds: float) -> float:
    """Seconds from the event's handing out to the answer, for a job."""
    lab.forget()
    with lab.start(variant) as environment:
        environment.ready()
        warm = jobs(size)
        environment.invoke(batch(warm))
        environment.ready()
        lab.behave(int(model_seconds * 1000))
        job_ids = jobs(size)
        answer = environment.invoke(batch(job_ids))
        check_done(lab, job_ids, answer.failed)
        if variant in (DOCKET, THREADS) and lab.calls()["peak_in_flight"] != size:
            raise Stop(f"{variant} did not have all {size} jobs in flight")
    return answer.seconds / size


def run(lab: Lab, repeats: int) -> Result:
    result = Result("environment", f"Environment-seconds for a job of {MODEL_SECONDS:.0f} s", "environment-seconds a job")
    for repeat in range(repeats):
        for size in BATCHES:
            for variant in at_once(size):
                value = once(lab, variant, size, MODEL_SECONDS)
                record(result, variant, str(size), value, MODEL_SECONDS)
                say(f"environment {repeat + 1}/{repeats} {variant}, batches of {size}: {value:.3f} s a job")
        for variant in (PLAIN, POWERTOOLS):
            value = once(lab, variant, SHORT_BATCH, SHORT_SECONDS)
            record(result, variant, "any", value, SHORT_SECONDS)
            say(f"environment {repeat + 1}/{repeats} {variant}: {value / SHORT_SECONDS:.3f} of the model's time")
    for size in BATCHES:
        own = result.values(DOCKET, str(size), "time")
        ratio = result.ratio(f"docket ÷ (model's time ÷ {size})", own, [MODEL_SECONDS / size] * repeats)
        goal = (1 + WITHIN) * MODEL_SECONDS / size
        text = f"within {WITHIN:.0%} of the model's time ÷ {size}"
        result.bar(text, ratio.value, ratio.value <= 1 + WITHIN, goal, "time", str(size))
        for peer in at_once(size)[1:]:
            result.ratio(f"{peer} ÷ docket, batches of {size}", result.values(peer, str(size), "time"), own)
        # In units of the model's time, so that the sequential peers' shorter calls compare.
        units = result.values(DOCKET, str(size), "of the model's time")
        for peer in (PLAIN, POWERTOOLS):
            above = result.values(peer, "any", "of the model's time")
            result.ratio(f"{peer} ÷ docket, batches of {size}", above, units)
    result.note(
        "From the event's handing out by the Runtime API to the answer's arrival, divided by the batch; warm;"
        " plain HTTP."
    )
    result.note(
        f"One record after the other (plain, powertools) was measured with {SHORT_BATCH} jobs of {SHORT_SECONDS} s: "
        "their figure is in units of the model's time, and does not depend on the batch. Shorter calls make the "
        "fixed part, some milliseconds, weigh more: a hundredth or two."
    )
    return result


def at_once(size: int) -> tuple[str, ...]:
    """Those that have a batch's jobs in flight at once. One job alone tells them from nobody."""
    return (DOCKET, THREADS) if size > 1 else (DOCKET,)


def record(result: Result, variant: str, at: str, value: float, model_seconds: float) -> None:
    if model_seconds == MODEL_SECONDS:
        result.add(variant, at, "time", value)
    result.add(variant, at, "of the model's time", value / model_seconds, "model's times a job")
