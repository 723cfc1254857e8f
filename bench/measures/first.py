"""From the start of the process to its first stored result, over TLS, at a whole processor and at a small share of one."""
from contextlib import ExitStack

from lab import Lab, Stop, enqueue, say
from results import DOCKET, PLAIN, POWERTOOLS, Result
from share import PERIOD_US, QUOTA_US, SMALLEST_MB, Share
from work import DONE, batch, check_done, jobs

VARIANTS = (DOCKET, PLAIN, POWERTOOLS)
FASTER = 15
FULL = "full cpu"
SHARE = f"{100 * QUOTA_US / PERIOD_US:.0f} % cpu"


def once(lab: Lab, variant: str, share: Share | None) -> float:
    """Milliseconds from exec to the write that made the job's row complete."""
    lab.forget()
    job_ids = jobs(1)
    event_id = enqueue(lab.services, batch(job_ids))
    within = share.within() if share else None
    with lab.start(variant, tls=True, memory_mb=SMALLEST_MB, within=within) as environment:
        environment.ready()
        answer = environment.wait(event_id)
        check_done(lab, job_ids, answer.failed)
        stored = [request["ns"] for request in lab.services.ask("GET", "/_requests") if request.get("status") in DONE]
        return (min(stored) - environment.started_ns) / 1e6


def run(lab: Lab, repeats: int) -> Result:
    result = Result("first", "First result: from exec to the first stored result, over TLS", "ms")
    with ExitStack() as stack:
        places = {FULL: None}
        try:
            places[SHARE] = stack.enter_context(Share())
        except Stop as stop:
            result.note(f"No figure at {SHARE}: {stop}.")
        for repeat in range(-1, repeats):
            for at, share in places.items():
                for variant in VARIANTS:
                    if repeat < 0 and share:
                        continue
                    value = once(lab, variant, share)
                    if repeat >= 0:
                        result.add(variant, at, "time", value)
                        say(f"first {repeat + 1}/{repeats} {variant}, {at}: {value:.0f} ms")
    for at in places:
        own = result.values(DOCKET, at, "time")
        for peer in VARIANTS[1:]:
            ratio = result.ratio(f"{peer} ÷ docket, {at}", result.values(peer, at, "time"), own)
        goal = result.median(peer, at, "time") / FASTER
        result.bar(f"≥ {FASTER}× faster than Powertools, {at}", ratio.value, ratio.value >= FASTER, goal, "time", at)
    result.note(
        "The event waits already; the model answers at once; table and model are spoken to over TLS 1.3, each"
        " by a certificate authority among all of botocore's."
    )
    result.note(
        f"{SHARE} is {QUOTA_US} µs of every {PERIOD_US} µs for the whole process from its start on, as Lambda "
        f"gives {SMALLEST_MB} MB of memory; Lambda may give more during INIT."
    )
    return result
