"""A thousand jobs with second deliveries, crashes and late answers, by one seeded schedule
for Docket and for the Powertools peer."""
import random
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack

from lab import BenchError, Environment, Lab, Server, print_status
from results import DOCKET, THREADS, Result
from work import DONE, is_complete, make_event, make_job_ids

SEED = 6
WRITES = ("dynamodb:PutItem", "dynamodb:UpdateItem")
BATCH = 50
# The number of batches with each fault; together a thousand jobs.
AFTER, DURING, CRASH = "second delivery after completion", "second delivery during the call", "crash before the result is stored"
LATE, HELD = "answer after the lease", "write delayed past the lease"
FAULTS = {AFTER: 6, DURING: 6, CRASH: 3, LATE: 2, HELD: 3}
# Maximum number of jobs of earlier batches that are delivered again with a new batch.
MAX_REDELIVERED = 10
LATENCY_MS, MODEL_SECONDS, INVOCATION_MS = 2_000, 4, 10_000
# The invocation's time-out, the 5 s by which Docket's lease is longer, and one second.
LEASE_SECONDS = INVOCATION_MS / 1_000 + 5 + 1


def make_schedule(seed: int) -> list[tuple[str, int]]:
    """The fault of each batch, and the number of earlier jobs that are delivered again with it."""
    generator = random.Random(seed)
    faults = [fault for fault, count in FAULTS.items() for _ in range(count)]
    generator.shuffle(faults)
    return [(fault, generator.randint(0, MAX_REDELIVERED)) for fault in faults]


class Run:
    """One variant with the schedule, and its counts."""

    def __init__(self, lab: Lab, variant: str, seed: int):
        self.lab, self.variant, self.random = lab, variant, random.Random(seed)
        self.done: list[str] = []
        self.calls_after_completion = self.calls_while_running = self.overwritten = 0
        self.late_writes = self.late_writes_refused = self.stored_before_fault = 0

    def start_environment(self, stack: ExitStack) -> Environment:
        """Starts another process and waits until it requests an event."""
        nexts = self.lab.services.request("GET", "/_ready?nexts=0")["nexts"]
        variables = {"MODEL_TIMEOUT_SECONDS": str(MODEL_SECONDS)}
        environment = stack.enter_context(self.lab.start(self.variant, more=variables))
        environment.nexts = nexts
        environment.wait_until_ready()
        return environment

    def deliver(self, job_ids: list[str], receive_count: int) -> str:
        """Delivers an event to the process that has requested one."""
        event = make_event(job_ids)
        for record in event["Records"]:
            record["attributes"]["ApproximateReceiveCount"] = str(receive_count)
        return self.lab.services.request("POST", f"/_events?timeout_ms={INVOCATION_MS}", event)["id"]

    def list_writes(self) -> list[dict]:
        return [one for one in self.lab.services.request("GET", "/_requests") if one["operation"] in WRITES]

    def count_calls(self) -> int:
        return self.lab.read_calls()["total"]

    def list_complete(self) -> dict[str, dict]:
        items = self.lab.services.request("GET", "/_items")
        return {key: item for key, item in items.items() if is_complete(item)}

    def wait_for_calls_in_flight(self, is_reached: Callable[[int], bool], environment: Environment) -> None:
        """Waits until the number of calls in flight satisfies the condition."""
        deadline = time.monotonic() + INVOCATION_MS / 1_000
        while not is_reached(self.lab.read_calls()["in_flight"]):
            if time.monotonic() > deadline or environment.process.poll() is not None:
                raise BenchError(f"{self.variant} did not have the expected calls in flight: use an idle machine")
            time.sleep(0.02)

    def redeliver(self, environment: Environment, job_ids: list[str], receive_count: int) -> None:
        """Delivers complete jobs again, and counts the calls and the changes that follow."""
        calls, items = self.count_calls(), self.list_complete()
        environment.wait_for_answer(self.deliver(job_ids, receive_count))
        self.calls_after_completion += self.count_calls() - calls
        self.count_overwritten(items)

    def count_overwritten(self, earlier: dict[str, dict]) -> None:
        items = self.list_complete()
        self.overwritten += sum(items.get(key) != item for key, item in earlier.items())

    def run_batch(self, fault: str, redelivered: int) -> None:
        """Runs one batch with its fault in a new process, then delivers each of its jobs once more."""
        new = make_job_ids(BATCH)
        known = self.random.sample(self.done, min(redelivered, len(self.done))) if fault != DURING else []
        with ExitStack() as stack:
            first = self.start_environment(stack)
            started, calls, items = time.monotonic(), self.count_calls(), self.list_complete()
            event = self.deliver(new + known, 1)
            if fault in (CRASH, LATE, HELD):
                self.stop_process(first, fault)
                self.calls_after_completion += self.count_calls() - calls - len(new)
                last = self.take_over(stack, first, event, new, started, fault)
            else:
                if fault == DURING:
                    self.deliver_to_second(stack, first, new)
                first.wait_for_answer(event)
                if fault == AFTER:
                    self.calls_after_completion += self.count_calls() - calls - len(new)
                last = first
            # Jobs that were complete before this batch must not have changed.
            self.count_overwritten(items)
            self.redeliver(last, new, 3)
        self.done += new

    def deliver_to_second(self, stack: ExitStack, first: Environment, new: list[str]) -> None:
        """Delivers the same messages to a second process while the first one processes them."""
        second = self.start_environment(stack)
        self.wait_for_calls_in_flight(lambda count: count >= len(new), first)
        before = self.count_calls()
        second.wait_for_answer(self.deliver(new, 2))
        self.calls_while_running += self.count_calls() - before

    def stop_process(self, first: Environment, fault: str) -> None:
        """Stops the process: while its writes of results are held, or while it waits for the model.

        In the second case, returns when the model has answered."""
        if fault == HELD:
            self.lab.services.request("PUT", "/_hold", {"texts": list(DONE), "most": BATCH})
            self.wait_for_service(f"/_hold?count={BATCH}", "did not send its results in time")
            first.process.send_signal(signal.SIGSTOP)
            return
        self.wait_for_calls_in_flight(lambda count: count >= BATCH, first)
        first.process.send_signal(signal.SIGSTOP)
        self.wait_for_calls_in_flight(lambda count: count == 0, first)

    def take_over(
        self, stack: ExitStack, first: Environment, event: str, new: list[str], started: float, fault: str
    ) -> Environment:
        """The first process crashes or sleeps past its lease, and a second one processes its jobs.
        Then the first one continues, or its held writes are released."""
        if fault == CRASH:
            first.process.kill()
            first.process.wait()
        time.sleep(max(0, started + LEASE_SECONDS - time.monotonic()))
        # The second process cannot take over jobs that the first one has stored before the fault.
        self.stored_before_fault += len(self.list_complete()) - len(self.done)
        second = self.start_environment(stack)
        second.wait_for_answer(self.deliver(new, 2))
        if fault in (LATE, HELD):
            # The times of items are whole seconds. The wait makes a late write visible by its time.
            time.sleep(1.5)
            items, before = self.list_complete(), len(self.list_writes())
            if fault == HELD:
                self.release_writes(before)
            else:
                first.process.send_signal(signal.SIGCONT)
                self.wait_for_service(f"/_answers/{event}", "did not answer after SIGCONT")
            self.count_overwritten(items)
            late = self.list_writes()[before:]
            self.late_writes += len(late)
            self.late_writes_refused += sum(request.get("refused") is not None for request in late)
            # Only the second process may get the next event.
            first.process.kill()
            first.process.wait()
            time.sleep(0.2)
        return second

    def release_writes(self, before: int) -> None:
        """Releases the held writes, and waits until they were executed."""
        self.lab.services.request("PUT", "/_hold", {"texts": [], "most": 0})
        deadline = time.monotonic() + INVOCATION_MS / 1_000
        while len(self.list_writes()) < before + BATCH:
            if time.monotonic() > deadline:
                raise BenchError(f"the held writes of {self.variant} did not arrive")
            time.sleep(0.02)

    def wait_for_service(self, path: str, problem: str) -> None:
        """Waits for the response of a control that blocks; raises BenchError with `problem` after the lease."""
        server = Server(self.lab.services.port, timeout=LEASE_SECONDS)
        try:
            server.request("GET", path)
        except TimeoutError as error:
            raise BenchError(f"{self.variant} {problem}") from error
        finally:
            server.connection.close()


def run_schedule(lab: Lab, variant: str, seed: int) -> dict[str, float]:
    lab.reset()
    lab.reset_model(LATENCY_MS)
    run = Run(lab, variant, seed)
    for fault, redelivered in make_schedule(seed):
        run.run_batch(fault, redelivered)
    return {
        "extra model calls": run.calls_after_completion,
        "calls for a running job": run.calls_while_running,
        "overwritten results": run.overwritten,
        "stored before the fault": run.stored_before_fault,
        "late writes": run.late_writes,
        "late writes refused": run.late_writes_refused,
        "lost jobs": len(run.done) - len(run.list_complete()),
        "calls in all": run.count_calls(),
    }


def run(lab: Lab, repeats: int) -> Result:
    title = f"{sum(FAULTS.values()) * BATCH:,} jobs with second deliveries, crashes and late answers"
    result = lab.begin_result("duplicates", title, "")
    before = result.count_repeats()
    for repeat in range(repeats):
        seed = SEED + before + repeat
        for variant in (DOCKET, THREADS):
            found = run_schedule(lab, variant, seed)
            for quantity, value in found.items():
                result.add(variant, "", quantity, value)
            values = ", ".join(f"{name} {value:g}" for name, value in found.items())
            print_status(f"duplicates {repeat + 1}/{repeats}, seed {seed}, {variant}: {values}")
    for quantity, text in (
        ("extra model calls", "no model call for a complete job"),
        ("overwritten results", "no overwritten result"),
        ("lost jobs", "no lost job"),
        ("stored before the fault", "no result stored before the fault of its batch"),
    ):
        worst = max(result.values(DOCKET, "", quantity))
        result.add_bar(text, worst, worst == 0)
    late, refused = (sum(result.values(DOCKET, "", quantity)) for quantity in ("late writes", "late writes refused"))
    result.add_bar("every late write refused", late - refused, late == refused)
    # One call per job, and one more for each job whose first answer was lost with its process.
    unavoidable = sum(FAULTS[fault] for fault in (CRASH, LATE, HELD)) * BATCH
    once_each = sum(FAULTS.values()) * BATCH
    worst = max(result.values(DOCKET, "", "calls in all"))
    text = f"≤ {once_each + unavoidable:,} calls: {once_each:,} jobs, and {unavoidable} whose first answer could not be stored"
    result.add_bar(text, worst, worst <= once_each + unavoidable)
    faults = ", ".join(f"{count * BATCH} × {fault}" for fault, count in FAULTS.items())
    result.add_note(f"The seed is {SEED}, and one more for each repeat. Jobs by fault: {faults}. Every complete job is delivered once more. Up to {MAX_REDELIVERED} complete jobs are delivered again with each new batch of {BATCH}.")
    result.add_note("Crash: SIGKILL after the model has answered and before the process has read the answer. The second call of that job is unavoidable, because Converse has no idempotency token.")
    result.add_note("Answer after the lease: the process is stopped while the model answers, and continues when another process has finished its jobs. Lambda ends a function at its time-out, so this is rare on AWS.")
    result.add_note("Delayed write: the write reaches the table after another process has finished the job. DynamoDB refuses Docket's write, because the write names its attempt. Late writes also include those of a process that continues late. Docket cancels its work at the deadline, so it makes few or none of these.")
    result.add_note("A second process cannot take over a job that the first one stored before the fault. Such jobs are counted, because the variant then had fewer faults.")
    result.add_note("Overwritten result: a complete item that differs afterwards, including its times.")
    return result
