"""A test of the benchmark: it must detect work that was not done, or done twice, for every variant."""
from collections.abc import Callable

from lab import BenchError, Lab, print_status
from results import DOCKET, PLAIN, POWERTOOLS, THREADS
from work import check_results, make_event, make_job_ids


def change_items(lab: Lab, change: Callable[[dict], object]) -> None:
    """Changes the stored items without the consumer's knowledge."""
    items = lab.services.request("GET", "/_items")
    change(items)
    lab.services.request("PUT", "/_items", items)


def swap_result(items: dict) -> None:
    """Gives one job the result of another."""
    first, second, *_ = items
    items[first] = items[second]


def mark_unfinished(items: dict) -> None:
    next(iter(items.values()))["status"] = {"S": "processing"}


CHANGES = {"a lost item": dict.popitem, "another job's result": swap_result, "an unfinished job": mark_unfinished}


def run(lab: Lab) -> None:
    for variant in (DOCKET, PLAIN, POWERTOOLS, THREADS):
        for defect, change in CHANGES.items():
            check_detection(lab, variant, defect, lambda invoke, change=change: (invoke(), change_items(lab, change)))
        throttle = [{"kind": "throttling", "times": 1}]
        check_detection(lab, variant, "a failed call", lambda invoke: (lab.reset_model(faults=throttle), invoke()))
        check_detection(lab, variant, "a repeated call", lambda invoke: (invoke(), change_items(lab, dict.clear), invoke()))


def check_detection(lab: Lab, variant: str, defect: str, cause: Callable) -> None:
    """Causes a defect, and raises BenchError if `check_results` does not detect it."""
    lab.reset()
    job_ids, failed = make_job_ids(3), []
    with lab.start(variant) as environment:
        environment.wait_until_ready()

        def invoke() -> None:
            failed.extend(environment.invoke(make_event(job_ids)).failed)
            environment.wait_until_ready()

        cause(invoke)
    try:
        check_results(lab, job_ids, failed)
    except BenchError as error:
        print_status(f"{variant}, {defect}: detected, {error}")
        return
    raise BenchError(f"{variant}, {defect}: NOT detected")
