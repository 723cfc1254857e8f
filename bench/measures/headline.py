"""Ten thousand jobs of eight seconds, a thousand in flight, a hundred messages sent twice:
from the opening of the queue to the last row, on the local AWS with the whole stack."""
import random
import time

from lab import Lab, say
from results import DOCKET, PLAIN, Result
from stack import Stack, deployed, wait_until
from work import batch, check_done, document, jobs

REPEATS = 3
JOBS, TWICE, MODEL_SECONDS = 10_000, 100, 8
CONCURRENCY, BATCH = 20, 50
BOUND = JOBS * MODEL_SECONDS / (CONCURRENCY * BATCH)
WITHIN = 1.15
PARAMETERS = f"MaximumConcurrency={CONCURRENCY} BatchSize={BATCH} MaximumBatchingWindowSeconds=1 FunctionTimeoutSeconds=60"
# Then it is not slow, but stuck.
LIMIT_SECONDS = 5 * BOUND
# The jobs whose calls ended last are asked for until they are complete.
LAST = 200
# A second delivery of a running job waits for the first one's lease.
DUPLICATES_SECONDS = 200
SEED = 8
ONE_BY_ONE = 5


def messages(names: list[str]) -> list[str]:
    """The jobs, and then a hundred of them again: half of any, half of the last ones,
    which still run by then."""
    chosen = random.Random(SEED)
    late = len(names) - CONCURRENCY * BATCH
    return names + chosen.sample(names[:late], TWICE // 2) + chosen.sample(names[late:], TWICE - TWICE // 2)


def once(stack: Stack) -> dict[str, float]:
    """One run. What was lost, or asked twice, ends it."""
    names = jobs(JOBS, "headline")
    stack.behave(latency_ms=MODEL_SECONDS * 1000)
    stack.poll(False)
    stack.send(messages(names), document("a lease"))
    begun = time.monotonic()
    stack.poll(True)
    # The bench asks seldom while the work runs: it is on the same machine.
    time.sleep(BOUND * 0.95)
    wait_until(lambda: ended(stack), LIMIT_SECONDS, 0.5, "not all calls of the model had ended")
    log = sorted(stack.model("GET", "/_calls/log"), key=lambda call: call["ended_ms"])
    last = list(dict.fromkeys(call["job_id"] for call in log[-LAST:]))
    wait_until(lambda: not stack.unfinished(last), LIMIT_SECONDS, 0.05, "the last jobs were not complete")
    seconds = time.monotonic() - begun
    wait_until(lambda: stack.waiting() == (0, 0), DUPLICATES_SECONDS, 1, "messages were still in the queue")
    calls = stack.model("GET", "/_calls")
    return {
        "wall time": seconds,
        "lost jobs": len(stack.unfinished(names)),
        "extra calls": calls["total"] - len(set(calls["by_job"])),
        "peak in flight": calls["peak_in_flight"],
        "dead letters": sum(stack.waiting(stack.found["DeadLetterQueueUrl"])),
        "calls": len(calls["by_job"]),
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
    result = Result("headline", f"{JOBS:,} jobs of {MODEL_SECONDS} s, {CONCURRENCY * BATCH:,} in flight", "s")
    with deployed(lab, PARAMETERS) as stack:
        for repeat in range(repeats):
            found = once(stack)
            result.add(DOCKET, "", "wall time", found["wall time"])
            for quantity in ("lost jobs", "extra calls", "peak in flight", "dead letters"):
                result.add(DOCKET, "", quantity, found[quantity], "")
            say(f"headline {repeat + 1}/{repeats}: " + ", ".join(f"{name} {value:g}" for name, value in found.items()))
    each = [one_by_one(lab) * JOBS for _ in range(repeats)]
    for seconds in each:
        result.add(PLAIN, "", "wall time", seconds)
    own = result.values(DOCKET, "", "wall time")
    result.ratio(f"wall time: {PLAIN} ÷ {DOCKET}", each, own)
    bound = result.ratio(f"{DOCKET} ÷ the bound of {BOUND:g} s", own, [BOUND] * repeats)
    result.bar(f"≤ {WITHIN} × the bound of {BOUND:g} s", bound.value, bound.value <= WITHIN, WITHIN * BOUND, "wall time")
    for quantity, text in (("lost jobs", "no job lost"), ("extra calls", "each job asked of the model exactly once")):
        worst = max(result.values(DOCKET, "", quantity))
        result.bar(text, worst, worst == 0)
    result.note(f"The bound is jobs × the model's seconds ÷ calls in flight; MaximumConcurrency {CONCURRENCY} × BatchSize {BATCH}, and the functions start cold in the first run.")
    result.note("All messages lie in the queue when its mapping is enabled, and the clock starts; it stops when the bench has read the last row as complete.")
    result.note(f"{TWICE} messages are sent a second time, behind all others: half of them of jobs that still run when the copy comes. The run ends when the queue is empty, and counts the calls then.")
    result.note("Local AWS: ministack, with the functions as release binaries; its mapping begins with 5 batches and adds 5 a second, as AWS's does. All of it, the model's stand-in and the bench share this machine.")
    result.note(f"The plain consumer takes one record after the other: its time is that of {ONE_BY_ONE} jobs × {JOBS // ONE_BY_ONE:,}; {MODEL_SECONDS} s × {JOBS:,} are {MODEL_SECONDS * JOBS / 3600:.1f} h.")
    return result
