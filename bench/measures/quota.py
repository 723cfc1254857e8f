"""Two thousand jobs handed in at once to a model with a quota of tokens, and room for a
thousand calls where the quota feeds forty: with Docket's admission, without it, and the peer,
which is also given no more room than the quota feeds."""
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import peer_function
from lab import Lab, Stop, say
from results import DOCKET, THREADS, Result
from stack import Place, Stack, deployed, wait_until
from work import document, jobs

WITHOUT = "docket, no admission"
FORTY = "powertools-threads, room for 40"
# Whose time is told beside theirs.
MACHINE = "machine"
JOBS, LATENCY_MS = 2_000, 4_000
CONCURRENCY, BATCH, SECONDS = 100, 10, 30
OWN_WRITES = 2
# What the quota feeds: with calls of 4 s, forty at the same time.
CALLS_A_MINUTE = 600
PARAMETERS = f"MaximumConcurrency={CONCURRENCY} BatchSize={BATCH} MaximumBatchingWindowSeconds=1 FunctionTimeoutSeconds={SECONDS}"
# By 40 % of the jobs the beginning is over; from 90 % on fewer messages are left than
# calls fit.
STEADY_FROM, STEADY_TO = 0.4, 0.9
# More than the quota gives is no keeping to it, even where the stand-in's bucket, which
# holds a minute's worth when it begins, hides that.
MOST = 1.02
LIMIT_SECONDS = 240
MINUTE_MS = 60_000
DOCUMENT = document("a lease")
USED, THROTTLED, EXTRA = 0.97, 0.01, 0.2


def counted_tokens(stack: Stack) -> int:
    """What a call of this document takes from the quota in the end, by one call."""
    stack.behave()
    stack.send(jobs(1, "quota"), DOCUMENT)
    wait_until(lambda: stack.model("GET", "/_calls")["total"] == 1, 60, 0.5, "the first call was not made")
    time.sleep(2)
    return stack.model("GET", "/_calls/log")[0]["counted_tokens"]


def once(stack: Stack, place: Place, quota: dict[str, int]) -> dict[str, float]:
    """One run; unless it ends within the limit, what it has done by then, and no total time."""
    names = jobs(JOBS, "quota")
    stack.behave(latency_ms=LATENCY_MS, output_token_factor=1, **quota)
    writes, billed = stack.writes(), stack.function_seconds(place.log_group)
    stack.send(names, DOCUMENT, place.queue)
    begun = time.monotonic()
    while stack.waiting(place.queue) != (0, 0) and time.monotonic() - begun < LIMIT_SECONDS:
        time.sleep(2)
    log = stack.model("GET", "/_calls/log")
    first = answered(log)
    if not first:
        raise Stop("no call of the model was answered")
    incomplete = len(stack.unfinished(names, place))
    found = {
        "quota used": used(list(first.values()), quota),
        "fullest minute": fullest_minute(log, quota),
        "calls throttled": 100 * sum(call["outcome"] == "ThrottlingException" for call in log) / len(log),
        "extra writes a job": (stack.writes() - writes) / JOBS - OWN_WRITES,
        "incomplete jobs": incomplete,
        "extra calls": sum(call["counted_tokens"] is not None for call in log) - len(first),
        "dead letters": sum(stack.waiting(place.dead_letters)),
        "function time": stack.function_seconds(place.log_group) - billed,
    }
    if incomplete == 0:
        ended = max(call["ended_ms"] for call in first.values())
        found["total time"] = (ended - min(call["began_ms"] for call in log)) / 1_000
    return found


def answered(log: list[dict]) -> dict[str, dict]:
    """The first answered call of each job."""
    ordered = sorted((call for call in log if call["counted_tokens"] is not None), key=lambda call: -call["ended_ms"])
    return {call["job_id"]: call for call in ordered}


def used(calls: list[dict], quota: dict[str, int]) -> float:
    """Percent of what the quota gave in the steady part that the calls answered in it took."""
    ends = sorted(call["ended_ms"] for call in calls)
    if len(ends) >= STEADY_TO * JOBS:
        begin, end = (ends[round(JOBS * part) - 1] for part in (STEADY_FROM, STEADY_TO))
    else:
        begin, end = min(call["began_ms"] for call in calls) + MINUTE_MS, ends[-1]
    took = sum(counts(call, quota) for call in calls if begin < call["ended_ms"] <= end)
    return 100 * took / (next(iter(quota.values())) * (end - begin) / MINUTE_MS)


def fullest_minute(log: list[dict], quota: dict[str, int]) -> float:
    """Percent of the quota that the calls counted that began in one minute, the fullest."""
    calls = sorted((call for call in log if call["counted_tokens"] is not None), key=lambda call: call["began_ms"])
    most = taken = first = 0
    for call in calls:
        taken += counts(call, quota)
        while call["began_ms"] - calls[first]["began_ms"] >= MINUTE_MS:
            taken -= counts(calls[first], quota)
            first += 1
        most = max(most, taken)
    return 100 * most / next(iter(quota.values()))


def counts(call: dict, quota: dict[str, int]) -> int:
    """What an answered call takes of the quota in the end."""
    return call["counted_tokens"] if "tokens_per_minute" in quota else 1


def side_by_side(lab: Lab, runs: tuple[tuple[str, str], ...], amounts: dict[str, int]):
    """The figures of several runs at the same time, each on a local AWS of its own, and how
    busy the machine was meanwhile."""
    with ExitStack() as several:
        tasks = []
        for number, (variant, kind) in enumerate(runs):
            parameters = PARAMETERS + (f" {PARAMETER[kind]}={amounts[kind]}" if variant == DOCKET else "")
            stack = several.enter_context(deployed(lab, parameters, beside=number))
            of_peer = ROOM.get(variant)
            place = peer_function.deployed(stack, of_peer, BATCH, SECONDS) if of_peer else stack.place()
            tasks.append((stack, place, {kind: amounts[kind]}))
        begun = machine_ticks()
        with ThreadPoolExecutor(len(tasks)) as pool:
            found = list(pool.map(lambda task: once(*task), tasks))
        return zip(runs, found), busy_since(begun)


# Each run takes minutes. Those that keep to the quota leave the machine idle most of the
# time, and share it; those that storm have it to themselves.
RUNS = (
    ((DOCKET, "tokens_per_minute"), (FORTY, "tokens_per_minute"), (DOCKET, "requests_per_minute")),
    ((WITHOUT, "tokens_per_minute"),),
    ((THREADS, "tokens_per_minute"),),
)
KINDS = ("tokens_per_minute", "requests_per_minute")
# The peers' functions at the same time.
ROOM = {THREADS: CONCURRENCY, FORTY: 4}
PARAMETER = {"tokens_per_minute": "ModelTokensPerMinute", "requests_per_minute": "ModelRequestsPerMinute"}
UNITS = {"quota used": "%", "fullest minute": "%", "calls throttled": "%", "extra writes a job": "writes", "total time": "s", "function time": "s"}


def run(lab: Lab, repeats: int) -> Result:
    result = lab.result("quota", f"{JOBS:,} jobs at once, and a quota for {CALLS_A_MINUTE} calls a minute", "%")
    with deployed(lab, PARAMETERS) as stack:
        tokens = counted_tokens(stack)
    amounts = {"tokens_per_minute": CALLS_A_MINUTE * tokens, "requests_per_minute": CALLS_A_MINUTE}
    for repeat in range(repeats):
        for runs in RUNS:
            ended, busy = side_by_side(lab, runs, amounts)
            result.add(MACHINE, together(runs), "busy", busy, "%")
            for (variant, kind), found in ended:
                at = kind.split("_")[0]
                for quantity, value in found.items():
                    result.add(variant, at, quantity, value, UNITS.get(quantity, ""))
                told = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
                say(f"quota {repeat + 1}/{repeats} {at}, {variant}: {told}")
    bars(result)
    notes(result, tokens)
    return result


def together(runs: tuple[tuple[str, str], ...]) -> str:
    return " + ".join(f"{variant} ({kind.split('_')[0]})" for variant, kind in runs)


def machine_ticks() -> tuple[int, int]:
    """The processors' ticks so far: idle ones, and all."""
    ticks = [int(count) for count in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def busy_since(begun: tuple[int, int]) -> float:
    """Percent of the processors' time that was not idle."""
    idle, total = (now - before for now, before in zip(machine_ticks(), begun))
    return 100 * (total - idle) / total


def bars(result: Result) -> None:
    for at in (kind.split("_")[0] for kind in KINDS):
        taken = result.values(DOCKET, at, "quota used")
        text = f"{USED:.0%} to {MOST:.0%} of the quota used, {at}"
        reached = 100 * USED <= median(taken) and max(taken) <= 100 * MOST
        result.bar(text, result.median(DOCKET, at, "quota used"), reached, 100 * USED, "quota used", at)
        refused = result.median(DOCKET, at, "calls throttled")
        result.bar(f"≤ {THROTTLED:.0%} of the calls throttled, {at}", refused, refused <= 100 * THROTTLED, 100 * THROTTLED, "calls throttled", at)
        extra = result.median(DOCKET, at, "extra writes a job")
        result.bar(f"≤ {EXTRA} writes a job beside the two, {at}", extra, extra <= EXTRA, EXTRA, "extra writes a job", at)
        ends = ("incomplete jobs", "dead letters", "extra calls")
        lost = max(sum((result.values(DOCKET, at, quantity) for quantity in ends), []))
        result.bar(f"every job complete by one answer, no dead letter, {at}", lost, lost == 0)
    for other in (WITHOUT, THREADS, FORTY):
        if any(max(result.values(variant, "tokens", "incomplete jobs")) > 0 for variant in (other, DOCKET)):
            continue
        for quantity in ("total time", "function time"):
            above, own = (result.values(variant, "tokens", quantity) for variant in (other, DOCKET))
            result.ratio(f"{quantity}: {other} ÷ {DOCKET}, tokens", above, own)


def notes(result: Result, tokens: int) -> None:
    result.note(f"Room for {CONCURRENCY * BATCH:,} calls at the same time, {LATENCY_MS / 1000:g} s each; the quota is {CALLS_A_MINUTE} × the {tokens} tokens that a call counts in the end, so that it feeds 40. A call reserves its input and MaxTokens when it begins.")
    result.note(f"The stand-in's quota is a bucket that holds a minute's worth when it begins: those that do not keep to the rate use that up in the course of the run, and so come to more than 100 %; Docket leaves it as it is. The steady part is from {STEADY_FROM:.0%} of the jobs answered to {STEADY_TO:.0%}; of a run that did not come so far, what follows the first minute.")
    result.note("Quota used: what the calls answered in the steady part counted in the end, of what the quota gave in that time; more than all of it would be no keeping to it, and has a bar, too. The fullest minute is what the calls counted that began within 60 s, wherever in the run; Docket's functions use what they had reserved earlier, and the mapping brings documents in bunches. Writes are DynamoDB's own count, whichever the table; the first two a job are the claim and the result.")
    result.note(f"The peer is Powertools with a thread a record, as a function of the same local AWS (which runs it by its own worker, and not by awslambdaric, and unpacks its zip for each new environment) in batches of {BATCH}, with boto3's adaptive retries, {peer_function.ATTEMPTS['MODEL_ATTEMPTS']} attempts a call. What fails comes again after the visibility time-out, here {SECONDS} s, the least that Lambda allows; AWS recommends six times the function's time-out. With room for 40 calls somebody has worked out what the quota feeds: a longer call, a shorter answer or a second stack and it is another number.")
    calm, *storms = (max(result.values(MACHINE, together(runs), "busy")) for runs in RUNS)
    result.note(f"Those that keep to the quota run at the same time, each on a local AWS of its own, with the machine busy for {calm:.0f} % of the time at the most; those that do not run alone, with {max(storms):.0f} % at the most.")
    result.note(f"A run ends when its queue is empty, or after {LIMIT_SECONDS // 60} min; what was not complete by then has no total time and no ratio.")
