"""Ten thousand jobs of eight seconds, a thousand in flight, a hundred messages sent twice:
from the opening of the queue to the last row, on the local AWS with the whole stack."""
import random
import time

import peer_function
from lab import Lab, say
from results import DOCKET, PLAIN, THREADS, Result
from stack import Place, Stack, deployed, wait_until
from work import batch, check_done, document, jobs

JOBS, TWICE, MODEL_SECONDS = 10_000, 100, 8
CONCURRENCY, BATCH, SECONDS = 20, 50, 60
BOUND = JOBS * MODEL_SECONDS / (CONCURRENCY * BATCH)
WITHIN = 1.15
PARAMETERS = f"MaximumConcurrency={CONCURRENCY} BatchSize={BATCH} MaximumBatchingWindowSeconds=1 FunctionTimeoutSeconds={SECONDS}"
# Then it is not slow, but stuck.
LIMIT_SECONDS = 5 * BOUND
# The jobs whose calls ended last are asked for until they are complete.
LAST = 200
# A second delivery of a running job waits for the first one's lease.
DUPLICATES_SECONDS = 200
SEED = 8
ONE_BY_ONE = 2


def again(names: list[str]) -> list[str]:
    """The jobs that are sent a second time: half are any, half of the last ones, which
    still run when the copy comes."""
    chosen = random.Random(SEED)
    late = len(names) - CONCURRENCY * BATCH
    return chosen.sample(names[:late], TWICE // 2) + chosen.sample(names[late:], TWICE - TWICE // 2)


def once(stack: Stack, place: Place) -> dict[str, float]:
    """One run. What was lost, and what was asked twice, is counted when the queue is empty."""
    names = jobs(JOBS, "headline")
    stack.behave(latency_ms=MODEL_SECONDS * 1000)
    stack.poll(False, place)
    # Several senders fill the queue: a copy sent along would come before the last jobs.
    for some in (names, again(names)):
        stack.send(some, document("a lease"), place.queue)
    begun = time.monotonic()
    stack.poll(True, place)
    # The bench asks seldom while the work runs: it is on the same machine.
    time.sleep(BOUND * 0.95)
    wait_until(lambda: ended(stack), LIMIT_SECONDS, 0.5, "not all calls of the model had ended")
    log = sorted(stack.model("GET", "/_calls/log"), key=lambda call: call["ended_ms"])
    last = list(dict.fromkeys(call["job_id"] for call in log[-LAST:]))
    wait_until(lambda: not stack.unfinished(last, place), LIMIT_SECONDS, 0.05, "the last jobs were not complete")
    seconds = time.monotonic() - begun
    wait_until(lambda: stack.waiting(place.queue) == (0, 0), DUPLICATES_SECONDS, 1, "messages were still in the queue")
    calls = stack.model("GET", "/_calls")
    return {
        "wall time": seconds,
        "lost jobs": len(stack.unfinished(names, place)),
        "extra calls": calls["total"] - len(calls["by_job"]),
        "peak in flight": calls["peak_in_flight"],
        "dead letters": sum(stack.waiting(place.dead_letters)),
    }


def ended(stack: Stack) -> bool:
    calls = stack.model("GET", "/_calls")
    return len(calls["by_job"]) >= JOBS and calls["in_flight"] == 0


def one_by_one(lab: Lab) -> float:
    """Seconds a job of the plain consumer, which takes one after the other."""
    lab.forget()
    with lab.start(PLAIN) as environment:
        environment.ready()
        lab.behave(MODEL_SECONDS * 1000)
        names = jobs(ONE_BY_ONE)
        answer = environment.invoke(batch(names))
        environment.ready()
        check_done(lab, names, answer.failed)
    return answer.seconds / ONE_BY_ONE


def run(lab: Lab, repeats: int) -> Result:
    result = lab.result("headline", f"{JOBS:,} jobs of {MODEL_SECONDS} s, {CONCURRENCY * BATCH:,} in flight", "s")
    with deployed(lab, PARAMETERS) as stack:
        peer = peer_function.deployed(stack, CONCURRENCY, BATCH, SECONDS, polled=False)
        for repeat in range(repeats):
            for variant, place in ((DOCKET, stack.place()), (THREADS, peer)):
                found = once(stack, place)
                for quantity, value in found.items():
                    result.add(variant, "", quantity, value, "s" if quantity == "wall time" else "")
                told = ", ".join(f"{name} {value:g}" for name, value in found.items())
                say(f"headline {repeat + 1}/{repeats} {variant}: {told}")
            # The plain consumer's, one environment as the work is without Docket.
            result.add(PLAIN, "", "wall time", one_by_one(lab) * JOBS)
    each = result.values(PLAIN, "", "wall time")
    own = result.values(DOCKET, "", "wall time")
    result.ratio(f"wall time: {PLAIN} ÷ {DOCKET}", each, own)
    result.ratio(f"wall time: {THREADS} ÷ {DOCKET}", result.values(THREADS, "", "wall time"), own)
    bound = result.ratio(f"{DOCKET} ÷ the bound of {BOUND:g} s", own, [BOUND] * len(own))
    result.bar(f"≤ {WITHIN} × the bound of {BOUND:g} s", bound.value, bound.value <= WITHIN, WITHIN * BOUND, "wall time")
    for quantity, text in (("lost jobs", "no job lost"), ("extra calls", "each job asked of the model exactly once")):
        worst = max(result.values(DOCKET, "", quantity))
        result.bar(text, worst, worst == 0)
    result.note(f"The bound is jobs × the model's seconds ÷ calls in flight; MaximumConcurrency {CONCURRENCY} × BatchSize {BATCH}, and the functions start cold in the first run.")
    result.note("All messages lie in the queue when its mapping is enabled, and the clock starts; it stops when the bench has read the last row as complete.")
    result.note(f"{TWICE} messages are sent a second time, behind all others: half of them of jobs that still run when the copy comes. The run ends when the queue is empty, and counts the calls then.")
    result.note("Local AWS: ministack, with the functions as release binaries; its mapping begins with 5 batches and adds 5 a second, as AWS's does. All of it, the model's stand-in and the bench share this machine.")
    result.note(f"The plain consumer is the sequence that the headline speaks of, one environment that takes one record after the other: its time is that of {ONE_BY_ONE} jobs × {JOBS // ONE_BY_ONE:,}; {MODEL_SECONDS} s × {JOBS:,} are {MODEL_SECONDS * JOBS / 3600:.1f} h. In {CONCURRENCY} environments it would take a twentieth.")
    result.note(f"Powertools with threads has the same room, {CONCURRENCY} environments × {BATCH}, on the same local AWS, which runs it by a worker of its own, and unpacks its zip for each new environment, bytecode and all; what fails comes again after {SECONDS} s. A job counts as lost when its row is not complete in the end.")
    return result
