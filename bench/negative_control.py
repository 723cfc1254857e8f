"""The bench's own test: work that was not done, or was done twice, must be noticed for every variant."""
from collections.abc import Callable

from lab import Lab, Stop, say
from results import DOCKET, PLAIN, POWERTOOLS, THREADS
from work import batch, check_done, jobs


def put(lab: Lab, change: Callable[[dict], object]) -> None:
    """Changes the rows behind the consumer's back."""
    items = lab.services.ask("GET", "/_items")
    change(items)
    lab.services.ask("PUT", "/_items", items)


def swapped(items: dict) -> None:
    """One row has another's result."""
    first, second, *_ = items
    items[first] = items[second]


def unfinished(items: dict) -> None:
    next(iter(items.values()))["status"] = {"S": "processing"}


CHANGES = {"a lost row": dict.popitem, "another's result": swapped, "an unfinished row": unfinished}


def run(lab: Lab) -> None:
    for variant in (DOCKET, PLAIN, POWERTOOLS, THREADS):
        for wrong, change in CHANGES.items():
            unnoticed(lab, variant, wrong, lambda invoke, change=change: (invoke(), put(lab, change)))
        unnoticed(lab, variant, "a failed call", lambda invoke: (lab.behave(faults=[{"kind": "throttling", "times": 1}]), invoke()))
        unnoticed(lab, variant, "a call made twice", lambda invoke: (invoke(), put(lab, dict.clear), invoke()))


def unnoticed(lab: Lab, variant: str, wrong: str, happen: Callable) -> None:
    lab.forget()
    job_ids, failed = jobs(3), []
    with lab.start(variant) as environment:
        environment.ready()

        def invoke() -> None:
            failed.extend(environment.invoke(batch(job_ids)).failed)
            environment.ready()

        happen(invoke)
    try:
        check_done(lab, job_ids, failed)
    except Stop as noticed:
        say(f"{variant}, {wrong}: noticed, {noticed}")
        return
    raise Stop(f"{variant}, {wrong}: NOT noticed")
