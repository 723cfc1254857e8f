"""Two thousand jobs at once, a model with a quota for forty concurrent calls, and functions for a thousand.

The variants are Docket with admission, Docket without it, and the peer. The peer also runs
with a concurrency that matches the quota."""
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import peer_function
from lab import BenchError, Lab, print_status
from results import DOCKET, THREADS, Result
from stack import Deployment, Stack, deploy_stack, wait_until
from work import make_document, make_job_ids

NO_ADMISSION = "docket, no admission"
FORTY_CALLS = "powertools-threads, 40 calls"
# The results also have the busy time of the machine.
MACHINE = "machine"
JOBS, LATENCY_MS = 2_000, 4_000
CONCURRENCY, BATCH, SECONDS = 100, 10, 30
# The writes of every job: the claim and the result.
NEEDED_WRITES = 2
# The quota: forty concurrent calls of 4 s.
CALLS_PER_MINUTE = 600
PARAMETERS = f"MaximumConcurrency={CONCURRENCY} BatchSize={BATCH} MaximumBatchingWindowSeconds=1 FunctionTimeoutSeconds={SECONDS}"
# Before 40 % of the jobs the run ramps up. After 90 % fewer messages are left than calls
# that could run.
STEADY_FROM, STEADY_TO = 0.4, 0.9
# A variant that uses more does not keep to the quota. The stand-in's bucket, which starts
# with one minute's quota, may hide that.
MAX_USED = 1.02
LIMIT_SECONDS = 240
MINUTE_MS = 60_000
DOCUMENT = make_document("a lease")
MIN_USED, MAX_THROTTLED, MAX_EXTRA_WRITES = 0.97, 0.01, 0.2


def measure_counted_tokens(stack: Stack) -> int:
    """Makes one call, and returns the tokens that it counts against the quota after its end."""
    stack.reset_model()
    stack.send(make_job_ids(1, "quota"), DOCUMENT)
    wait_until(lambda: stack.request_model("GET", "/_calls")["total"] == 1, 60, 0.5, "no call was made")
    time.sleep(2)
    return stack.request_model("GET", "/_calls/log")[0]["counted_tokens"]


def measure_once(stack: Stack, deployment: Deployment, quota: dict[str, int]) -> dict[str, float]:
    """One run. A run with incomplete jobs has no total time."""
    job_ids = make_job_ids(JOBS, "quota")
    stack.reset_model(latency_ms=LATENCY_MS, output_token_factor=1, **quota)
    writes, billed = stack.count_writes(), stack.read_function_seconds(deployment.log_group)
    stack.send(job_ids, DOCUMENT, deployment.queue)
    started = time.monotonic()
    while stack.count_messages(deployment.queue) != (0, 0) and time.monotonic() - started < LIMIT_SECONDS:
        time.sleep(2)
    log = stack.request_model("GET", "/_calls/log")
    first = first_answered_calls(log)
    if not first:
        raise BenchError("the model answered no call")
    incomplete = len(stack.find_unfinished(job_ids, deployment))
    found = {
        "quota used": used_percent(list(first.values()), quota),
        "fullest minute": fullest_minute_percent(log, quota),
        "calls throttled": 100 * sum(call["outcome"] == "ThrottlingException" for call in log) / len(log),
        "extra writes a job": (stack.count_writes() - writes) / JOBS - NEEDED_WRITES,
        "incomplete jobs": incomplete,
        "extra calls": sum(call["counted_tokens"] is not None for call in log) - len(first),
        "dead letters": sum(stack.count_messages(deployment.dead_letters)),
        "function time": stack.read_function_seconds(deployment.log_group) - billed,
    }
    if incomplete == 0:
        ended = max(call["ended_ms"] for call in first.values())
        found["total time"] = (ended - min(call["began_ms"] for call in log)) / 1_000
    return found


def first_answered_calls(log: list[dict]) -> dict[str, dict]:
    """The first answered call of each job."""
    ordered = sorted((call for call in log if call["counted_tokens"] is not None), key=lambda call: -call["ended_ms"])
    return {call["job_id"]: call for call in ordered}


def used_percent(calls: list[dict], quota: dict[str, int]) -> float:
    """Percent of the quota of the steady part that the calls answered in it have counted."""
    ends = sorted(call["ended_ms"] for call in calls)
    if len(ends) >= STEADY_TO * JOBS:
        begin, end = (ends[round(JOBS * part) - 1] for part in (STEADY_FROM, STEADY_TO))
    else:
        begin, end = min(call["began_ms"] for call in calls) + MINUTE_MS, ends[-1]
    counted = sum(count_call(call, quota) for call in calls if begin < call["ended_ms"] <= end)
    return 100 * counted / (next(iter(quota.values())) * (end - begin) / MINUTE_MS)


def fullest_minute_percent(log: list[dict], quota: dict[str, int]) -> float:
    """Percent of the quota that the calls of one minute have counted, in the fullest minute. A call belongs to the minute of its start."""
    calls = sorted((call for call in log if call["counted_tokens"] is not None), key=lambda call: call["began_ms"])
    maximum = counted = first = 0
    for call in calls:
        counted += count_call(call, quota)
        while call["began_ms"] - calls[first]["began_ms"] >= MINUTE_MS:
            counted -= count_call(calls[first], quota)
            first += 1
        maximum = max(maximum, counted)
    return 100 * maximum / next(iter(quota.values()))


def count_call(call: dict, quota: dict[str, int]) -> int:
    """The amount that an answered call counts against the quota after its end."""
    return call["counted_tokens"] if "tokens_per_minute" in quota else 1


def measure_concurrently(lab: Lab, runs: tuple[tuple[str, str], ...], amounts: dict[str, int]):
    """The values of several concurrent runs, each on a separate local AWS, and the percentage
    of the time that the machine was busy."""
    with ExitStack() as stacks:
        tasks = []
        for number, (variant, kind) in enumerate(runs):
            parameters = PARAMETERS + (f" {PARAMETER[kind]}={amounts[kind]}" if variant == DOCKET else "")
            stack = stacks.enter_context(deploy_stack(lab, parameters, number))
            concurrency = PEER_CONCURRENCY.get(variant)
            if concurrency:
                deployment = peer_function.deploy_peer(stack, concurrency, BATCH, SECONDS)
            else:
                deployment = stack.docket()
            tasks.append((stack, deployment, {kind: amounts[kind]}))
        before = read_machine_ticks()
        with ThreadPoolExecutor(len(tasks)) as pool:
            found = list(pool.map(lambda task: measure_once(*task), tasks))
        return zip(runs, found), busy_percent_since(before)


# Every run takes minutes. Variants that keep to the quota leave the machine mostly idle, so
# they run at the same time. The others run alone.
RUNS = (
    ((DOCKET, "tokens_per_minute"), (FORTY_CALLS, "tokens_per_minute"), (DOCKET, "requests_per_minute")),
    ((NO_ADMISSION, "tokens_per_minute"),),
    ((THREADS, "tokens_per_minute"),),
)
KINDS = ("tokens_per_minute", "requests_per_minute")
# MaximumConcurrency of the peers.
PEER_CONCURRENCY = {THREADS: CONCURRENCY, FORTY_CALLS: 4}
PARAMETER = {"tokens_per_minute": "ModelTokensPerMinute", "requests_per_minute": "ModelRequestsPerMinute"}
UNITS = {"quota used": "%", "fullest minute": "%", "calls throttled": "%", "extra writes a job": "writes", "total time": "s", "function time": "s"}


def run(lab: Lab, repeats: int) -> Result:
    result = lab.begin_result("quota", f"{JOBS:,} jobs at once, with a quota for {CALLS_PER_MINUTE} calls per minute", "%")
    with deploy_stack(lab, PARAMETERS) as stack:
        tokens = measure_counted_tokens(stack)
    amounts = {"tokens_per_minute": CALLS_PER_MINUTE * tokens, "requests_per_minute": CALLS_PER_MINUTE}
    for repeat in range(repeats):
        for runs in RUNS:
            results, busy = measure_concurrently(lab, runs, amounts)
            result.add(MACHINE, name_runs(runs), "busy", busy, "%")
            for (variant, kind), found in results:
                at = kind.split("_")[0]
                for quantity, value in found.items():
                    result.add(variant, at, quantity, value, UNITS.get(quantity, ""))
                values = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
                print_status(f"quota {repeat + 1}/{repeats} {at}, {variant}: {values}")
    add_bars(result)
    add_notes(result, tokens)
    return result


def name_runs(runs: tuple[tuple[str, str], ...]) -> str:
    return " + ".join(f"{variant} ({kind.split('_')[0]})" for variant, kind in runs)


def read_machine_ticks() -> tuple[int, int]:
    """The idle ticks and all ticks of the processors so far."""
    ticks = [int(count) for count in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def busy_percent_since(before: tuple[int, int]) -> float:
    """Percent of the processors' time since `before` that was not idle."""
    idle, total = (now - earlier for now, earlier in zip(read_machine_ticks(), before))
    return 100 * (total - idle) / total


def add_bars(result: Result) -> None:
    for at in (kind.split("_")[0] for kind in KINDS):
        used = result.values(DOCKET, at, "quota used")
        text = f"{MIN_USED:.0%} to {MAX_USED:.0%} of the quota used, {at}"
        reached = 100 * MIN_USED <= median(used) and max(used) <= 100 * MAX_USED
        result.add_bar(text, result.median(DOCKET, at, "quota used"), reached, 100 * MIN_USED, "quota used", at)
        throttled, goal = result.median(DOCKET, at, "calls throttled"), 100 * MAX_THROTTLED
        text = f"≤ {MAX_THROTTLED:.0%} of the calls throttled, {at}"
        result.add_bar(text, throttled, throttled <= goal, goal, "calls throttled", at)
        extra = result.median(DOCKET, at, "extra writes a job")
        text = f"≤ {MAX_EXTRA_WRITES} extra writes per job, {at}"
        result.add_bar(text, extra, extra <= MAX_EXTRA_WRITES, MAX_EXTRA_WRITES, "extra writes a job", at)
        failures = ("incomplete jobs", "dead letters", "extra calls")
        worst = max(sum((result.values(DOCKET, at, quantity) for quantity in failures), []))
        result.add_bar(f"every job complete with one answered call, no dead letter, {at}", worst, worst == 0)
    for other in (NO_ADMISSION, THREADS, FORTY_CALLS):
        if any(max(result.values(variant, "tokens", "incomplete jobs")) > 0 for variant in (other, DOCKET)):
            continue
        for quantity in ("total time", "function time"):
            above, own = (result.values(variant, "tokens", quantity) for variant in (other, DOCKET))
            result.add_ratio(f"{quantity}: {other} ÷ {DOCKET}, tokens", above, own)


def add_notes(result: Result, tokens: int) -> None:
    result.add_note(f"The functions could make {CONCURRENCY * BATCH:,} concurrent calls of {LATENCY_MS / 1000:g} s. The quota is {CALLS_PER_MINUTE} × the {tokens} tokens that a call counts after its end, enough for 40 concurrent calls. A call reserves its input tokens and MaxTokens when it begins.")
    result.add_note("The stand-in's quota is a token bucket that starts with one minute's quota. Variants that do not keep to the rate use that amount during the run, and so exceed 100 %. Docket does not use it.")
    result.add_note(f"The steady part is the time between {STEADY_FROM:.0%} and {STEADY_TO:.0%} of the jobs answered. For a run that answered fewer jobs, it is the time after the first minute.")
    result.add_note("Quota used: the tokens that the calls answered in the steady part counted, ÷ the quota of that time. More than 100 % is no success, so the bar has an upper limit.")
    result.add_note("Fullest minute: the tokens counted by calls that began within any 60 s of the run. Docket's functions use earlier reservations, and the event source mapping delivers documents in groups.")
    result.add_note("Writes are those that DynamoDB counts for all tables. Each job needs two, the claim and the result; further ones are extra writes.")
    result.add_note(f"The peer is Powertools with one thread per record and boto3's adaptive retries, {peer_function.RETRY_VARIABLES['MODEL_ATTEMPTS']} attempts per call, in batches of {BATCH}. It is a function of the same local AWS, which runs it with its own worker instead of awslambdaric, and unpacks its zip for each new environment.")
    result.add_note(f"SQS redelivers the peer's failed messages after the visibility time-out, here {SECONDS} s. That is the minimum that Lambda allows; AWS recommends six times the function's time-out.")
    result.add_note("The variant with 40 calls has a concurrency that matches the quota exactly. A longer call, a shorter answer or a second stack needs another number.")
    calm, *storms = (max(result.values(MACHINE, name_runs(runs), "busy")) for runs in RUNS)
    result.add_note(f"Variants that keep to the quota run at the same time, each on a separate local AWS, with the machine busy for at most {calm:.0f} % of the time. The others run alone, with the machine busy for at most {max(storms):.0f} %.")
    result.add_note(f"A run ends when its queue is empty, or after {LIMIT_SECONDS // 60} min. A run with incomplete jobs has no total time and no ratio.")
