"""A thousand jobs by one seeded schedule of second deliveries, crashes and late answers,
the same for Docket and for the Powertools peer."""
import random
import signal
import time
from contextlib import ExitStack

from lab import Environment, Lab, Server, Stop, say
from results import DOCKET, THREADS, Result
from work import DONE, batch, is_done, jobs

SEED = 6
WRITES = ("dynamodb:PutItem", "dynamodb:UpdateItem")
BATCH = 50
# How often each fate meets a batch; together a thousand jobs.
AFTER, DURING, CRASH = "again after its end", "again while it runs", "a crash before the store"
LATE, HELD = "an answer after the lease", "a write held up past the lease"
FATES = {AFTER: 6, DURING: 6, CRASH: 3, LATE: 2, HELD: 3}
# Jobs of earlier batches that come again among the new ones.
AGAIN_MOST = 10
LATENCY_MS, MODEL_SECONDS, INVOCATION_MS = 2_000, 4, 10_000
# The invocation's time and what Docket's lease holds beyond it, and a second.
LEASE_SECONDS = INVOCATION_MS / 1_000 + 5 + 1


def schedule(seed: int) -> list[tuple[str, int]]:
    """Each batch's fate, and how many earlier jobs come again with it."""
    chosen = random.Random(seed)
    fates = [fate for fate, count in FATES.items() for _ in range(count)]
    chosen.shuffle(fates)
    return [(fate, chosen.randint(0, AGAIN_MOST)) for fate in fates]


class Run:
    """One variant under the schedule."""

    def __init__(self, lab: Lab, variant: str, seed: int):
        self.lab, self.variant, self.random = lab, variant, random.Random(seed)
        self.done: list[str] = []
        self.after_complete = self.while_running = self.overwritten = self.late = self.late_refused = self.missed = 0

    def started(self, within: ExitStack) -> Environment:
        """A process that asks for an event, beside whichever is at work."""
        nexts = self.lab.services.ask("GET", "/_ready?nexts=0")["nexts"]
        environment = within.enter_context(self.lab.start(self.variant, more={"MODEL_TIMEOUT_SECONDS": str(MODEL_SECONDS)}))
        environment.nexts = nexts
        environment.ready()
        return environment

    def hand(self, job_ids: list[str], receipt: int) -> str:
        """Gives an event to the process that asks."""
        event = batch(job_ids)
        for record in event["Records"]:
            record["attributes"]["ApproximateReceiveCount"] = str(receipt)
        return self.lab.services.ask("POST", f"/_events?timeout_ms={INVOCATION_MS}", event)["id"]

    def writes(self) -> list[dict]:
        return [one for one in self.lab.services.ask("GET", "/_requests") if one["operation"] in WRITES]

    def total(self) -> int:
        return self.lab.calls()["total"]

    def complete(self) -> dict[str, dict]:
        items = self.lab.services.ask("GET", "/_items")
        return {key: item for key, item in items.items() if is_done(item)}

    def until_in_flight(self, reached, of: Environment) -> None:
        """Waits until the calls in flight are as wanted."""
        deadline = time.monotonic() + INVOCATION_MS / 1_000
        while not reached(self.lab.calls()["in_flight"]):
            if time.monotonic() > deadline or of.process.poll() is not None:
                raise Stop(f"{self.variant} never had its calls in flight: is the machine busy?")
            time.sleep(0.02)

    def again(self, environment: Environment, job_ids: list[str], receipt: int) -> None:
        """A delivery of complete jobs: what is called or changed by it is counted."""
        calls, rows = self.total(), self.complete()
        environment.wait(self.hand(job_ids, receipt))
        self.after_complete += self.total() - calls
        self.changed(rows)

    def changed(self, rows: dict[str, dict]) -> None:
        now = self.complete()
        self.overwritten += sum(now.get(key) != row for key, row in rows.items())

    def step(self, fate: str, again: int) -> None:
        """One batch and its fate, with a process of its own; then each of its jobs once more."""
        new = jobs(BATCH)
        known = self.random.sample(self.done, min(again, len(self.done))) if fate != DURING else []
        with ExitStack() as within:
            first = self.started(within)
            begun, calls, rows = time.monotonic(), self.total(), self.complete()
            event = self.hand(new + known, 1)
            if fate in (CRASH, LATE, HELD):
                self.asleep(first, fate)
                self.after_complete += self.total() - calls - len(new)
                last = self.taken_over(within, first, event, new, begun, fate)
            else:
                if fate == DURING:
                    self.delivered_beside(within, first, new)
                first.wait(event)
                if fate == AFTER:
                    self.after_complete += self.total() - calls - len(new)
                last = first
            # What was complete before all this is as it was.
            self.changed(rows)
            self.again(last, new, 3)
        self.done += new

    def delivered_beside(self, within: ExitStack, first: Environment, new: list[str]) -> None:
        """The same messages to a second process, while the first is at work."""
        second = self.started(within)
        self.until_in_flight(lambda count: count >= len(new), first)
        before = self.total()
        second.wait(self.hand(new, 2))
        self.while_running += self.total() - before

    def asleep(self, first: Environment, fate: str) -> None:
        """Stops the process while it waits for the model, until the model has answered; or
        while its results are on their way to the table, and stay on it."""
        if fate == HELD:
            self.lab.services.ask("PUT", "/_hold", {"texts": list(DONE), "most": BATCH})
            self.asked_in_time(f"/_hold?count={BATCH}", "never had its results on their way")
            first.process.send_signal(signal.SIGSTOP)
            return
        self.until_in_flight(lambda count: count >= BATCH, first)
        first.process.send_signal(signal.SIGSTOP)
        self.until_in_flight(lambda count: count == 0, first)

    def taken_over(
        self, within: ExitStack, first: Environment, event: str, new: list[str], begun: float, fate: str
    ) -> Environment:
        """The first crashes, or sleeps past its lease; a second does its work; then the first wakes,
        or what it had sent arrives."""
        if fate == CRASH:
            first.process.kill()
            first.process.wait()
        time.sleep(max(0, begun + LEASE_SECONDS - time.monotonic()))
        # Of those that the first has stored all the same the second is not asked.
        self.missed += len(self.complete()) - len(self.done)
        second = self.started(within)
        second.wait(self.hand(new, 2))
        if fate in (LATE, HELD):
            # The rows' times are whole seconds: a second writing shall be seen by them.
            time.sleep(1.5)
            rows, before = self.complete(), len(self.writes())
            if fate == HELD:
                self.arrived(before)
            else:
                first.process.send_signal(signal.SIGCONT)
                self.asked_in_time(f"/_answers/{event}", "woke late, and never answered")
            self.changed(rows)
            late = self.writes()[before:]
            self.late += len(late)
            self.late_refused += sum(request.get("refused") is not None for request in late)
            # Only the second shall be asked from here on.
            first.process.kill()
            first.process.wait()
            time.sleep(0.2)
        return second

    def arrived(self, before: int) -> None:
        """Lets the writes go that were held up, and waits until they were carried out."""
        self.lab.services.ask("PUT", "/_hold", {"texts": [], "most": 0})
        deadline = time.monotonic() + INVOCATION_MS / 1_000
        while len(self.writes()) < before + BATCH:
            if time.monotonic() > deadline:
                raise Stop(f"{self.variant}'s writes that were held up never arrived")
            time.sleep(0.02)

    def asked_in_time(self, path: str, otherwise: str) -> None:
        """Asks the services for what has to happen first, within the lease's time."""
        server = Server(self.lab.services.port, timeout=LEASE_SECONDS)
        try:
            server.ask("GET", path)
        except TimeoutError as error:
            raise Stop(f"{self.variant} {otherwise}") from error
        finally:
            server.connection.close()


def once(lab: Lab, variant: str, seed: int) -> dict[str, float]:
    lab.forget()
    lab.behave(LATENCY_MS)
    run = Run(lab, variant, seed)
    for fate, again in schedule(seed):
        run.step(fate, again)
    return {
        "extra model calls": run.after_complete,
        "calls for a running job": run.while_running,
        "overwritten results": run.overwritten,
        "stored before the fault": run.missed,
        "late writes": run.late,
        "late writes refused": run.late_refused,
        "lost jobs": len(run.done) - len(run.complete()),
        "calls in all": run.total(),
    }


def run(lab: Lab, repeats: int) -> Result:
    result = lab.result("duplicates", f"{sum(FATES.values()) * BATCH:,} jobs, delivered again, crashed and late", "")
    before = result.taken()
    for repeat in range(repeats):
        seed = SEED + before + repeat
        for variant in (DOCKET, THREADS):
            found = once(lab, variant, seed)
            for quantity, value in found.items():
                result.add(variant, "", quantity, value)
            told = ", ".join(f"{name} {value:g}" for name, value in found.items())
            say(f"duplicates {repeat + 1}/{repeats}, seed {seed}, {variant}: {told}")
    for quantity, text in (
        ("extra model calls", "no call of the model for a complete job"),
        ("overwritten results", "no result overwritten"),
        ("lost jobs", "no job lost"),
        ("stored before the fault", "each fault came before its batch was stored"),
    ):
        worst = max(result.values(DOCKET, "", quantity))
        result.bar(text, worst, worst == 0)
    late, refused = (sum(result.values(DOCKET, "", quantity)) for quantity in ("late writes", "late writes refused"))
    result.bar("every late write refused", late - refused, late == refused)
    # The model is asked once a job, and once more where the first answer was lost to its asker.
    unavoidable = sum(FATES[fate] for fate in (CRASH, LATE, HELD)) * BATCH
    once_each = sum(FATES.values()) * BATCH
    worst = max(result.values(DOCKET, "", "calls in all"))
    text = f"≤ {once_each + unavoidable:,} calls: {once_each:,} jobs, and {unavoidable} whose first answer nobody could store"
    result.bar(text, worst, worst <= once_each + unavoidable)
    fates = ", ".join(f"{count * BATCH} {fate}" for fate, count in FATES.items())
    result.note(f"Seed {SEED}, one more each repeat. Jobs by fate: {fates}; every job is delivered once more when it is complete, and up to {AGAIN_MOST} complete ones come again with each new batch of {BATCH}.")
    result.note("A crash is a SIGKILL after the model has answered and before the process has read it. That job's second call cannot be helped: Converse knows no idempotency token. A late answer is that of a process that was stopped while the model answered, and woken when another had finished its jobs; Lambda ends a function at its time-out, so that there this is rare.")
    result.note("A write is held up between the process and the table, which it reaches when another has finished the job: Docket's names its attempt, and is refused. Late writes are these, and what a process writes after it woke late; Docket gives up what it works on when its deadline has passed, and so comes to few of the latter, or none.")
    result.note("Where the first process has stored jobs before the fault meets them, the second has none to take over: those are counted, and the variant has met so much less of the schedule.")
    result.note("An overwritten result is a complete row that is another afterwards, its times included.")
    return result
