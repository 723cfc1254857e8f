"""Ten thousand jobs of eight seconds, a thousand in flight, a hundred messages sent twice.

The measure uses the complete stack on the local AWS. The time starts when the event source
mapping is enabled, and ends when the last job is complete."""
import random
import time

import peer_function
from lab import Lab, print_status
from results import DOCKET, PLAIN, THREADS, Result
from stack import Deployment, Stack, deploy_stack, wait_until
from work import check_results, make_document, make_event, make_job_ids

JOBS, TWICE, MODEL_SECONDS = 10_000, 100, 8
CONCURRENCY, BATCH, SECONDS = 20, 50, 60
BOUND = JOBS * MODEL_SECONDS / (CONCURRENCY * BATCH)
MAX_RATIO = 1.15
PARAMETERS = f"MaximumConcurrency={CONCURRENCY} BatchSize={BATCH} MaximumBatchingWindowSeconds=1 FunctionTimeoutSeconds={SECONDS}"
# A longer run is stuck.
LIMIT_SECONDS = 5 * BOUND
# The number of jobs, those whose calls ended last, whose completion the benchmark polls.
LAST = 200
# A second delivery of a running job waits for the lease of the first one.
DUPLICATES_SECONDS = 200
SEED = 8
SEQUENTIAL_JOBS = 2


def choose_duplicates(job_ids: list[str]) -> list[str]:
    """The jobs that are sent twice. Half of them are among the last jobs, which still run when the copy arrives."""
    generator = random.Random(SEED)
    last = len(job_ids) - CONCURRENCY * BATCH
    return generator.sample(job_ids[:last], TWICE // 2) + generator.sample(job_ids[last:], TWICE - TWICE // 2)


def run_once(stack: Stack, deployment: Deployment) -> dict[str, float]:
    """One run. Lost jobs and repeated calls are counted when the queue is empty."""
    job_ids = make_job_ids(JOBS, "headline")
    stack.reset_model(latency_ms=MODEL_SECONDS * 1000)
    stack.set_polling(False, deployment)
    # Several threads send, so the copies must follow when all originals are in the queue.
    for batch in (job_ids, choose_duplicates(job_ids)):
        stack.send(batch, make_document("a lease"), deployment.queue)
    started = time.monotonic()
    stack.set_polling(True, deployment)
    # No requests while most jobs run, because the benchmark uses the same machine.
    time.sleep(BOUND * 0.95)
    wait_until(lambda: have_calls_ended(stack), LIMIT_SECONDS, 0.5, "some calls of the model have not ended")
    log = sorted(stack.request_model("GET", "/_calls/log"), key=lambda call: call["ended_ms"])
    last = list(dict.fromkeys(call["job_id"] for call in log[-LAST:]))
    wait_until(lambda: not stack.find_unfinished(last, deployment), LIMIT_SECONDS, 0.05, "the last jobs are not complete")
    seconds = time.monotonic() - started
    wait_until(lambda: stack.count_messages(deployment.queue) == (0, 0), DUPLICATES_SECONDS, 1, "the queue is not empty")
    calls = stack.request_model("GET", "/_calls")
    return {
        "wall time": seconds,
        "lost jobs": len(stack.find_unfinished(job_ids, deployment)),
        "extra calls": calls["total"] - len(calls["by_job"]),
        "peak in flight": calls["peak_in_flight"],
        "dead letters": sum(stack.count_messages(deployment.dead_letters)),
    }


def have_calls_ended(stack: Stack) -> bool:
    calls = stack.request_model("GET", "/_calls")
    return len(calls["by_job"]) >= JOBS and calls["in_flight"] == 0


def measure_sequential(lab: Lab) -> float:
    """Seconds per job of the plain consumer, which processes one job after the other."""
    lab.reset()
    with lab.start(PLAIN) as environment:
        environment.wait_until_ready()
        lab.reset_model(MODEL_SECONDS * 1000)
        job_ids = make_job_ids(SEQUENTIAL_JOBS)
        answer = environment.invoke(make_event(job_ids))
        environment.wait_until_ready()
        check_results(lab, job_ids, answer.failed)
    return answer.seconds / SEQUENTIAL_JOBS


def run(lab: Lab, repeats: int) -> Result:
    result = lab.begin_result("headline", f"{JOBS:,} jobs of {MODEL_SECONDS} s, {CONCURRENCY * BATCH:,} in flight", "s")
    with deploy_stack(lab, PARAMETERS) as stack:
        peer = peer_function.deploy_peer(stack, CONCURRENCY, BATCH, SECONDS, polled=False)
        for repeat in range(repeats):
            for variant, deployment in ((DOCKET, stack.docket()), (THREADS, peer)):
                found = run_once(stack, deployment)
                for quantity, value in found.items():
                    result.add(variant, "", quantity, value, "s" if quantity == "wall time" else "")
                values = ", ".join(f"{name} {value:g}" for name, value in found.items())
                print_status(f"headline {repeat + 1}/{repeats} {variant}: {values}")
            # The plain consumer in one environment: sequential work without Docket.
            result.add(PLAIN, "", "wall time", measure_sequential(lab) * JOBS)
    sequential = result.values(PLAIN, "", "wall time")
    own = result.values(DOCKET, "", "wall time")
    result.add_ratio(f"wall time: {PLAIN} ÷ {DOCKET}", sequential, own)
    result.add_ratio(f"wall time: {THREADS} ÷ {DOCKET}", result.values(THREADS, "", "wall time"), own)
    bound = result.add_ratio(f"{DOCKET} ÷ the bound of {BOUND:g} s", own, [BOUND] * len(own))
    result.add_bar(f"≤ {MAX_RATIO} × the bound of {BOUND:g} s", bound.value, bound.value <= MAX_RATIO, MAX_RATIO * BOUND, "wall time")
    for quantity, text in (("lost jobs", "no lost job"), ("extra calls", "exactly one call per job")):
        worst = max(result.values(DOCKET, "", quantity))
        result.add_bar(text, worst, worst == 0)
    result.add_note(f"The bound is jobs × the model's seconds ÷ calls in flight, with MaximumConcurrency {CONCURRENCY} × BatchSize {BATCH}. The functions start cold in the first run.")
    result.add_note("All messages are in the queue when the event source mapping is enabled, which starts the clock. The clock stops when the benchmark has read the last job as complete.")
    result.add_note(f"{TWICE} messages are sent a second time, after all others. Half of them are of jobs that still run when the copy arrives. The run ends when the queue is empty; then the calls are counted.")
    result.add_note("The local AWS is ministack with the functions as release binaries. Its event source mapping starts with 5 batches and adds 5 per second, as on AWS. The local AWS, the stand-in and the benchmark share this machine.")
    result.add_note(f"The plain consumer processes one record after the other in one environment. Its time is that of {SEQUENTIAL_JOBS} jobs × {JOBS // SEQUENTIAL_JOBS:,}; {MODEL_SECONDS} s × {JOBS:,} are {MODEL_SECONDS * JOBS / 3600:.1f} h. In {CONCURRENCY} environments it would take a twentieth.")
    result.add_note(f"Powertools with threads has the same concurrency, {CONCURRENCY} environments × {BATCH}, on the same local AWS. A separate worker runs it, and unpacks its zip with bytecode for each new environment. SQS redelivers its failed messages after {SECONDS} s.")
    result.add_note("A lost job is one that is not complete at the end.")
    return result
