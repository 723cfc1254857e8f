"""Environment-seconds per job, which Lambda bills, compared with the model's time ÷ batch size."""
from lab import BenchError, Lab, print_status
from results import DOCKET, PLAIN, POWERTOOLS, THREADS, Result
from work import check_results, make_event, make_job_ids

MODEL_SECONDS = 8.0
BATCHES = (1, 10, 50, 100)
WITHIN = 0.03


def measure_once(lab: Lab, variant: str, size: int) -> float:
    """Seconds per job, from the delivery of the event to the response."""
    lab.reset()
    with lab.start(variant) as environment:
        environment.wait_until_ready()
        environment.invoke(make_event(make_job_ids(size)))
        environment.wait_until_ready()
        lab.reset_model(int(MODEL_SECONDS * 1000))
        job_ids = make_job_ids(size)
        answer = environment.invoke(make_event(job_ids))
        check_results(lab, job_ids, answer.failed)
        if variant in (DOCKET, THREADS) and lab.read_calls()["peak_in_flight"] != size:
            raise BenchError(f"{variant} did not have all {size} jobs in flight: use an idle machine")
    return answer.seconds / size


def run(lab: Lab, repeats: int) -> Result:
    result = lab.begin_result("environment", f"Environment-seconds per job of {MODEL_SECONDS:.0f} s", "environment-seconds a job")
    for repeat in range(repeats):
        for size in BATCHES:
            # Sequential variants need the same time per job for every batch size, so one size is enough.
            for variant in (DOCKET, THREADS, POWERTOOLS, PLAIN) if size == 1 else (DOCKET, THREADS):
                value = measure_once(lab, variant, size)
                result.add(variant, str(size), "time", value)
                print_status(f"environment {repeat + 1}/{repeats} {variant}, batches of {size}: {value:.3f} s per job")
    for size in BATCHES:
        own = result.values(DOCKET, str(size), "time")
        ratio = result.add_ratio(f"docket ÷ (model's time ÷ {size})", own, [MODEL_SECONDS / size] * len(own))
        goal = (1 + WITHIN) * MODEL_SECONDS / size
        text = f"within {WITHIN:.0%} of the model's time ÷ {size}"
        result.add_bar(text, ratio.value, ratio.value <= 1 + WITHIN, goal, "time", str(size))
        result.add_ratio(f"{THREADS} ÷ docket, batches of {size}", result.values(THREADS, str(size), "time"), own)
        for peer in (PLAIN, POWERTOOLS):
            result.add_ratio(f"{peer} ÷ docket, batches of {size}", result.values(peer, "1", "time"), own)
    result.add_note(
        "From the Runtime API's delivery of the event to the arrival of the response, divided by the batch size. The "
        "environments are warm, and requests use HTTP without TLS."
    )
    result.add_note(
        "plain and powertools process one record after the other, so the time per job does not depend on the batch size. "
        "They were measured with one job, and the ratios of larger batches use that value."
    )
    result.add_note("Powertools with threads is about as close to the bound as Docket: concurrent waiting decides, not the language.")
    return result
