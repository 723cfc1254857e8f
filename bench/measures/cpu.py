"""Processor time per job of a warm consumer, by the number of jobs in flight."""
from contextlib import ExitStack
from itertools import combinations

from lab import BenchError, Environment, Lab, print_status
from results import DOCKET, PLAIN, POWERTOOLS, THREADS, Result
from work import check_results, make_event, make_job_ids

# More repeats than for most measures: the values vary by an eighth between repeats, with many jobs in
# flight by more. The ratios vary less.
REPEATS = 11
MIN_RATIO, MAX_INCREASE = 4, 1.25
# Jobs in flight: (batches, the model's latency in ms, long enough for all calls to be in flight).
CONDITIONS = {1: (25, 200), 10: (8, 400), 50: (4, 1_000), 100: (2, 2_000)}


def measure_variants(lab: Lab, variants: tuple[str, ...], in_flight: int) -> dict[str, float]:
    """Milliseconds of processor time per job, user and system, of each variant.

    The variants process batches in turn, so that changes of the machine's speed affect all of them."""
    rounds, latency_ms = CONDITIONS[in_flight]
    spent = dict.fromkeys(variants, 0.0)
    with ExitStack() as running:
        environments = []
        for variant in variants:
            own_lab = running.enter_context(lab.start_another())
            environment = running.enter_context(own_lab.start(variant))
            environment.wait_until_ready()
            process_batch(own_lab, environment, in_flight, latency_ms)
            environments.append((own_lab, environment))
        for _ in range(rounds):
            for own_lab, environment in environments:
                before = environment.read_cpu()
                process_batch(own_lab, environment, in_flight, latency_ms)
                spent[environment.variant] += environment.read_cpu().since(before)
    return {variant: seconds / (rounds * in_flight) * 1e3 for variant, seconds in spent.items()}


def process_batch(lab: Lab, environment: Environment, in_flight: int, latency_ms: int) -> None:
    """Processes one batch, and raises BenchError unless all its jobs were in flight at the same time."""
    lab.reset_model(latency_ms)
    job_ids = make_job_ids(in_flight)
    answer = environment.invoke(make_event(job_ids))
    environment.wait_until_ready()
    check_results(lab, job_ids, answer.failed)
    peak = lab.read_calls()["peak_in_flight"]
    if peak != in_flight:
        raise BenchError(f"{environment.variant} had {peak} calls in flight, not {in_flight}: use an idle machine")


def run(lab: Lab, repeats: int) -> Result:
    result = lab.begin_result("cpu", "Processor time per job, warm", "ms")
    for repeat in range(repeats):
        for in_flight in CONDITIONS:
            variants = (DOCKET, PLAIN, POWERTOOLS, THREADS) if in_flight == 1 else (DOCKET, THREADS)
            for variant, value in measure_variants(lab, variants, in_flight).items():
                result.add(variant, str(in_flight), "time", value)
                print_status(f"cpu {repeat + 1}/{repeats} {variant}, {in_flight} in flight: {value:.2f} ms per job")
    for in_flight in CONDITIONS:
        at = str(in_flight)
        own = result.values(DOCKET, at, "time")
        for peer in (PLAIN, POWERTOOLS) if in_flight == 1 else ():
            result.add_ratio(f"{peer} ÷ docket, {at} in flight", result.values(peer, at, "time"), own)
        ratio = result.add_ratio(f"{THREADS} ÷ docket, {at} in flight", result.values(THREADS, at, "time"), own)
        # Docket's median reaches this goal exactly when the median of the ratios reaches the bar.
        goal = result.median(DOCKET, at, "time") * ratio.value / MIN_RATIO
        text = f"≥ {MIN_RATIO}× less than Powertools with threads, {at} in flight"
        result.add_bar(text, ratio.value, ratio.value >= MIN_RATIO, goal, "time", at)
    medians = [result.median(DOCKET, str(in_flight), "time") for in_flight in CONDITIONS]
    worst = max(more / fewer for fewer, more in combinations(medians, 2))
    result.add_bar(f"≤ {MAX_INCREASE}× the time per job of any smaller number in flight", worst, worst <= MAX_INCREASE)
    result.add_note(
        "User and system time of the consumer's process, as the scheduler counts it, after a first batch of the "
        "same size. The variants process batches in turn. Requests use HTTP without TLS."
    )
    result.add_note("plain and powertools process one record after the other: batches of any size have one job in flight.")
    return result
