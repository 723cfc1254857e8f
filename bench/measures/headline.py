"""Ten thousand jobs of eight seconds, a thousand in flight, from the queue to the last row."""
import argparse
import random
import time

from stack import Stack, Stop, deployed, wait_until

JOBS, MODEL_SECONDS = 10_000, 8.0
DUPLICATES = 100
CONCURRENCY, BATCH = 100, 10
DOCUMENT = "A short letter."
# The last calls' jobs are looked at one by one.
LAST = 100


def once(stack: Stack, run: str, jobs: int, concurrency: int, batch: int) -> dict:
    names = [f"{run}-{number}" for number in range(jobs)]
    twice = random.Random(1).sample(names, jobs * DUPLICATES // JOBS)
    messages = names + twice
    random.Random(2).shuffle(messages)
    stack.behave(latency_ms=int(MODEL_SECONDS * 1000))
    stack.poll(False)
    time.sleep(1)
    stack.send(messages, DOCUMENT)
    begun = time.monotonic()
    stack.poll(True)
    bound = jobs * MODEL_SECONDS / (concurrency * batch)
    while True:
        if time.monotonic() - begun > 3 * bound + 60:
            raise Stop("it does not end")
        calls = stack.model("GET", "/_calls")
        print(f"{time.monotonic()-begun:.1f} {calls['total']} {calls['in_flight']}", flush=True)
        if calls["total"] >= jobs and not calls["in_flight"]:
            break
        time.sleep(0.5 if calls["total"] >= jobs else 4)
    log = sorted(stack.model("GET", "/_calls/log"), key=lambda call: call["ended_ms"])
    last = list({call["job_id"] for call in log[-LAST:]})
    while stack.unfinished(last):
        time.sleep(0.05)
    seconds = time.monotonic() - begun
    lost = stack.unfinished(names)
    first = log[0]["began_ms"] if log else 0
    began = sorted(c["began_ms"] for c in log)
    print(f"bench: {seconds:.1f} s = {seconds/bound:.3f} x; calls {len(log)} peak {calls['peak_in_flight']} lost {len(lost)}; calls from first began to last ended {(log[-1]['ended_ms']-began[0])/1000:.1f}; mean call {sum(c['ended_ms']-c['began_ms'] for c in log)/len(log):.0f} ms", flush=True)
    return {}

if __name__ == "__main__":
    p = argparse.ArgumentParser(); p.add_argument("--port", type=int, default=5200)
    p.add_argument("--jobs", type=int, default=JOBS); p.add_argument("--c", type=int, default=100); p.add_argument("--b", type=int, default=10)
    a = p.parse_args()
    with deployed(a.port, f"MaximumConcurrency={a.c} BatchSize={a.b} MaximumBatchingWindowSeconds=1 FunctionTimeoutSeconds=60") as s:
        once(s, "t0", a.jobs, a.c, a.b)
