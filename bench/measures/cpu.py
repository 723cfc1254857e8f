"""Processor time of the consumer for a job, warm, by the number of jobs in flight."""
from contextlib import ExitStack
from itertools import combinations

from lab import Environment, Lab, Stop, say
from results import DOCKET, PLAIN, POWERTOOLS, THREADS, Result
from work import batch, check_done, jobs

# More than of most: the machine's pace changes from one repeat to the next by an eighth, and with many
# in flight by more; the ratios by less.
REPEATS = 11
LESS, FLAT = 4, 1.25
# Jobs of a batch, its repetitions, and the model's latency in which all of them are begun.
PLACES = {1: (25, 200), 10: (8, 400), 50: (4, 1_000), 100: (2, 2_000)}


def together(lab: Lab, variants: tuple[str, ...], in_flight: int) -> dict[str, float]:
    """Milliseconds of processor time for a job, user and system, of each variant.

    They take their batches in turn, so that all of them meet the machine as it is."""
    rounds, latency_ms = PLACES[in_flight]
    spent = dict.fromkeys(variants, 0.0)
    with ExitStack() as running:
        environments = []
        for variant in variants:
            own = running.enter_context(lab.beside())
            environment = running.enter_context(own.start(variant))
            environment.ready()
            handle(own, environment, in_flight, latency_ms)
            environments.append((own, environment))
        for _ in range(rounds):
            for own, environment in environments:
                before = environment.cpu()
                handle(own, environment, in_flight, latency_ms)
                spent[environment.variant] += environment.cpu().since(before)
    return {variant: seconds / (rounds * in_flight) * 1e3 for variant, seconds in spent.items()}


def handle(lab: Lab, environment: Environment, in_flight: int, latency_ms: int) -> None:
    """One batch, of which all jobs were in flight at once."""
    lab.behave(latency_ms)
    job_ids = jobs(in_flight)
    answer = environment.invoke(batch(job_ids))
    environment.ready()
    check_done(lab, job_ids, answer.failed)
    peak = lab.calls()["peak_in_flight"]
    if peak != in_flight:
        raise Stop(f"{environment.variant} had {peak} calls in flight, and not {in_flight}: is the machine busy?")


def run(lab: Lab, repeats: int) -> Result:
    result = lab.result("cpu", "Processor time for a job, warm", "ms")
    for repeat in range(repeats):
        for in_flight in PLACES:
            variants = (DOCKET, PLAIN, POWERTOOLS, THREADS) if in_flight == 1 else (DOCKET, THREADS)
            for variant, value in together(lab, variants, in_flight).items():
                result.add(variant, str(in_flight), "time", value)
                say(f"cpu {repeat + 1}/{repeats} {variant}, {in_flight} in flight: {value:.2f} ms a job")
    for in_flight in PLACES:
        at = str(in_flight)
        own = result.values(DOCKET, at, "time")
        for peer in (PLAIN, POWERTOOLS) if in_flight == 1 else ():
            result.ratio(f"{peer} ÷ docket, {at} in flight", result.values(peer, at, "time"), own)
        ratio = result.ratio(f"{THREADS} ÷ docket, {at} in flight", result.values(THREADS, at, "time"), own)
        # Where Docket's median reaches the bar just when the ratio of the repeats does.
        goal = result.median(DOCKET, at, "time") * ratio.value / LESS
        text = f"≥ {LESS}× less than Powertools with threads, {at} in flight"
        result.bar(text, ratio.value, ratio.value >= LESS, goal, "time", at)
    medians = [result.median(DOCKET, str(in_flight), "time") for in_flight in PLACES]
    worst = max(more / fewer for fewer, more in combinations(medians, 2))
    result.bar(f"with more in flight a job takes at most {FLAT}× as much as with fewer", worst, worst <= FLAT)
    result.note(
        "User and system time of the consumer's process by the scheduler's own count, after a first batch of "
        "the same size, the variants taking batches in turn; plain HTTP."
    )
    result.note("One record after the other (plain, powertools) has one in flight, whatever the batch.")
    return result
