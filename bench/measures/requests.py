"""Requests for a job, by what is found of it: a new one, a duplicate, one that fails."""
import threading
import time

from lab import Environment, Lab, Server, Stop, say
from results import DOCKET, PLAIN, POWERTOOLS, THREADS, Result
from work import batch, check_done, jobs

VARIANTS = (DOCKET, PLAIN, POWERTOOLS, THREADS)
NEW, DONE, IN_FLIGHT, FAILED = "new", "duplicate of a complete one", "duplicate of one in flight", "failed"
PLACES = (NEW, DONE, IN_FLIGHT, FAILED)
QUANTITIES = ("table writes", "table reads", "model calls", "queue requests", "all")
WRITES = ("dynamodb:UpdateItem", "dynamodb:PutItem", "dynamodb:DeleteItem")
JOBS = 5


class Counted:
    """What one batch asked for, by the services' own count."""

    def __init__(self, lab: Lab, environment: Environment):
        self.lab, self.environment = lab, environment

    def invoke(self, job_ids: list[str]) -> tuple[dict[str, float], list[str]]:
        before, called = len(self.requests()), self.lab.calls()["total"]
        answer = self.environment.invoke(batch(job_ids))
        self.environment.ready()
        made = [request["operation"] for request in self.requests()[before:]]
        counts = {
            "table writes": sum(name in WRITES for name in made),
            "table reads": sum(name == "dynamodb:GetItem" for name in made),
            "model calls": self.lab.calls()["total"] - called,
            "queue requests": sum(name.startswith("sqs:") for name in made),
        }
        counts["all"] = sum(counts.values())
        if counts["all"] - counts["model calls"] != len(made):
            raise Stop(f"requests of another kind were made: {sorted(set(made))}")
        return {name: count / len(job_ids) for name, count in counts.items()}, answer.failed

    def requests(self) -> list[dict]:
        return self.lab.services.ask("GET", "/_requests")


def once(lab: Lab, variant: str) -> dict[str, dict[str, float]]:
    lab.forget()
    found = {}
    with lab.start(variant) as environment:
        environment.ready()
        counted = Counted(lab, environment)
        job_ids = jobs(JOBS)
        found[NEW], failed = counted.invoke(job_ids)
        check_done(lab, job_ids, failed)
        found[DONE], failed = counted.invoke(job_ids)
        if failed:
            raise Stop(f"{variant} gave {len(failed)} duplicates of complete jobs back")
        found[IN_FLIGHT] = duplicate_in_flight(lab, counted)
        lab.behave(faults=[{"kind": "validation"}])
        found[FAILED], _ = counted.invoke(jobs(JOBS))
    return found


def duplicate_in_flight(lab: Lab, counted: Counted) -> dict[str, float]:
    """A second delivery finds the rows as they were while the model was being
    asked about the first: they are kept from then, and put back."""
    job_ids, seen = jobs(1), {}

    def keep() -> None:
        # Connections of its own: the bench waits for the answer on the others.
        model, services = Server(lab.model.port), Server(lab.services.port)
        while model.ask("GET", "/_calls")["in_flight"] < 1:
            time.sleep(0.01)
        seen.update(services.ask("GET", "/_items"))

    lab.behave(1_000)
    keeping = threading.Thread(target=keep, daemon=True)
    keeping.start()
    first, _ = counted.invoke(job_ids)
    keeping.join()
    if first["model calls"] != 1:
        raise Stop("the first delivery did not ask the model")
    lab.services.ask("PUT", "/_items", seen)
    lab.behave()
    counts, _ = counted.invoke(job_ids)
    return counts


def run(lab: Lab, repeats: int) -> Result:
    result = lab.result("requests", "Requests for a job", "requests a job")
    for repeat in range(repeats):
        for variant in VARIANTS:
            found = once(lab, variant)
            for at in PLACES:
                for quantity in QUANTITIES:
                    result.add(variant, at, quantity, found[at][quantity])
            say(f"requests {repeat + 1}/{repeats} {variant}: " + ", ".join(f"{at} {found[at]['all']:g}" for at in PLACES))
    for at in PLACES:
        for peer in VARIANTS[1:]:
            result.ratio(f"all, {at}: {peer} ÷ docket", result.values(peer, at, "all"), result.values(DOCKET, at, "all"))
    taken = result.taken()
    new = [result.values(DOCKET, NEW, quantity) for quantity in QUANTITIES]
    result.bar("a new job: 2 writes, 1 call of the model, nothing else", sum(map(max, new[:4])), new == [
        [2] * taken, [0] * taken, [1] * taken, [0] * taken, [3] * taken
    ])
    once_asked = result.values(DOCKET, DONE, "all")
    result.bar("a duplicate of a complete job: 1 request", max(once_asked), once_asked == [1] * taken)
    result.note("A conditional write that is refused counts as a write: it is billed as one.")
    result.note("Receiving and deleting messages is the poller's part, the same for all, and is not counted.")
    result.note(
        "A failed job is one that the model refuses (ValidationException), by one delivery: docket ends it "
        "with a dead letter; the peers give the message back, and it comes again until the queue's "
        "maxReceiveCount."
    )
    result.note("The plain peer keeps no claim: a duplicate is asked of the model again, and paid for again.")
    return result
