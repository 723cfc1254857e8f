"""Requests per job: a new job, two kinds of duplicates, and a job that fails."""
import threading
import time

from lab import BenchError, Environment, Lab, Server, print_status
from results import DOCKET, PLAIN, POWERTOOLS, THREADS, Result
from work import check_results, make_event, make_job_ids

VARIANTS = (DOCKET, PLAIN, POWERTOOLS, THREADS)
NEW, DONE, IN_FLIGHT, FAILED = "new", "duplicate of a complete one", "duplicate of one in flight", "failed"
CONDITIONS = (NEW, DONE, IN_FLIGHT, FAILED)
QUANTITIES = ("table writes", "table reads", "model calls", "queue requests", "all")
WRITES = ("dynamodb:UpdateItem", "dynamodb:PutItem", "dynamodb:DeleteItem")
JOBS = 5


class RequestCounter:
    """Counts the requests of each batch, as the services record them."""

    def __init__(self, lab: Lab, environment: Environment):
        self.lab, self.environment = lab, environment

    def invoke(self, job_ids: list[str]) -> tuple[dict[str, float], list[str]]:
        before, calls = len(self.list_requests()), self.lab.read_calls()["total"]
        answer = self.environment.invoke(make_event(job_ids))
        self.environment.wait_until_ready()
        operations = [request["operation"] for request in self.list_requests()[before:]]
        counts = {
            "table writes": sum(name in WRITES for name in operations),
            "table reads": sum(name == "dynamodb:GetItem" for name in operations),
            "model calls": self.lab.read_calls()["total"] - calls,
            "queue requests": sum(name.startswith("sqs:") for name in operations),
        }
        counts["all"] = sum(counts.values())
        if counts["all"] - counts["model calls"] != len(operations):
            raise BenchError(f"the consumer made unexpected requests: {sorted(set(operations))}")
        return {name: count / len(job_ids) for name, count in counts.items()}, answer.failed

    def list_requests(self) -> list[dict]:
        return self.lab.services.request("GET", "/_requests")


def measure_once(lab: Lab, variant: str) -> dict[str, dict[str, float]]:
    lab.reset()
    found = {}
    with lab.start(variant) as environment:
        environment.wait_until_ready()
        counter = RequestCounter(lab, environment)
        job_ids = make_job_ids(JOBS)
        found[NEW], failed = counter.invoke(job_ids)
        check_results(lab, job_ids, failed)
        found[DONE], failed = counter.invoke(job_ids)
        if failed:
            raise BenchError(f"{variant} returned {len(failed)} duplicates of complete jobs as failed")
        found[IN_FLIGHT] = count_duplicate_in_flight(lab, counter)
        lab.reset_model(faults=[{"kind": "validation"}])
        found[FAILED], _ = counter.invoke(make_job_ids(JOBS))
    return found


def count_duplicate_in_flight(lab: Lab, counter: RequestCounter) -> dict[str, float]:
    """Counts the requests of a second delivery while the first one waits for the model.

    An environment processes one event at a time. The items are therefore saved during the
    first call, and restored before the second delivery."""
    job_ids, saved = make_job_ids(1), {}

    def save_items() -> None:
        # Separate connections, because the main thread waits for a response on the others.
        model, services = Server(lab.model.port), Server(lab.services.port)
        while model.request("GET", "/_calls")["in_flight"] < 1:
            time.sleep(0.01)
        saved.update(services.request("GET", "/_items"))

    lab.reset_model(1_000)
    saving = threading.Thread(target=save_items, daemon=True)
    saving.start()
    first, _ = counter.invoke(job_ids)
    saving.join()
    if first["model calls"] != 1:
        raise BenchError("the first delivery made no call of the model")
    lab.services.request("PUT", "/_items", saved)
    lab.reset_model()
    counts, _ = counter.invoke(job_ids)
    return counts


def run(lab: Lab, repeats: int) -> Result:
    result = lab.begin_result("requests", "Requests per job", "requests a job")
    for repeat in range(repeats):
        for variant in VARIANTS:
            found = measure_once(lab, variant)
            for at in CONDITIONS:
                for quantity in QUANTITIES:
                    result.add(variant, at, quantity, found[at][quantity])
            print_status(f"requests {repeat + 1}/{repeats} {variant}: " + ", ".join(f"{at} {found[at]['all']:g}" for at in CONDITIONS))
    for at in CONDITIONS:
        for peer in VARIANTS[1:]:
            result.add_ratio(f"all, {at}: {peer} ÷ docket", result.values(peer, at, "all"), result.values(DOCKET, at, "all"))
    repeats_taken = result.count_repeats()
    new = [result.values(DOCKET, NEW, quantity) for quantity in QUANTITIES]
    expected = [[count] * repeats_taken for count in (2, 0, 1, 0, 3)]
    result.add_bar("new job: 2 writes and 1 call of the model, no other request", sum(map(max, new[:4])), new == expected)
    duplicate = result.values(DOCKET, DONE, "all")
    result.add_bar("duplicate of a complete job: 1 request", max(duplicate), duplicate == [1] * repeats_taken)
    result.add_note("A refused conditional write counts as a write, because DynamoDB bills it as one.")
    result.add_note("Requests of the poller, which receives and deletes messages, are the same for all variants and not counted.")
    result.add_note(
        "failed: one delivery of a job that the model refuses (ValidationException). Docket ends the job with a dead letter. "
        "The peers return the message as failed, and SQS redelivers it up to the queue's maxReceiveCount."
    )
    result.add_note("The plain peer has no claim: every duplicate makes another call, which is paid for again.")
    return result
