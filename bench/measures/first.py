"""From the start of the process to its first stored result, over TLS, at a whole processor and at a small share of one."""
from contextlib import ExitStack

from lab import Lab, Stop, enqueue, say
from results import DOCKET, PLAIN, POWERTOOLS, THREADS, Result
from share import PERIOD_US, QUOTA_US, SMALLEST_MB, Share
from work import DONE, batch, check_done, jobs

VARIANTS = (DOCKET, PLAIN, POWERTOOLS, THREADS)
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
    result = lab.result("first", "First result: from exec to the first stored result, over TLS", "ms")
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
        ratios = {peer: result.ratio(f"{peer} ÷ docket, {at}", result.values(peer, at, "time"), own) for peer in VARIANTS[1:]}
        # Of Powertools' two ways the one that is faster counts.
        quick = min((POWERTOOLS, THREADS), key=lambda peer: result.median(peer, at, "time"))
        ratio = ratios[quick]
        # Where Docket's median reaches the bar just when the ratio of the repeats does.
        goal = result.median(DOCKET, at, "time") * ratio.value / FASTER
        result.bar(f"≥ {FASTER}× faster than Powertools, {at}", ratio.value, ratio.value >= FASTER, goal, "time", at)
    result.note(
        "The event waits already; the model answers at once; table and model are spoken to over TLS 1.3 and "
        "HTTP/1.1, with a certificate of its own that stands among all of botocore's authorities: no chain is built."
    )
    result.note(
        f"{SHARE} is {QUOTA_US} µs of every {PERIOD_US} µs for the whole process from its start on, as Lambda "
        f"gives {SMALLEST_MB} MB of memory. Lambda gives more during INIT, when Python reads its packages: there "
        f"the difference is smaller. {FULL.capitalize()} is the machine's, of which each uses one core."
    )
    return result
