"""Nights and days of a stack, as CloudWatch sees them.

Each invocation of a scenario writes a line that a function wrote on the local AWS
(`tests/metric_lines`), at the scenario's time: six hours take no time. The metrics of AWS's
own services are written as their documentation says.
"""
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .rules import Metrics, read_lines
from .template import ROOT, STACK

RECORDED = ROOT / "tests" / "metric_lines" / "recorded"
MINUTE, HOUR, DAY = 60, 3_600, 86_400
# Midnight, so that the periods begin where the scenarios do.
BEGIN = 1_800_057_600 - 1_800_057_600 % DAY
SWEEP = 15 * MINUTE


class Lines:
    """The recorded lines of each situation."""

    def __init__(self, folder: Path = RECORDED):
        self.by_name = {path.stem: read_lines(path.read_text()) for path in sorted(folder.glob("*.jsonl"))}
        if not self.by_name:
            raise SystemExit(f"alarms: no recorded lines in {folder}")

    def __getitem__(self, name: str) -> list[dict]:
        return self.by_name[name]


class Stack:
    """A stack at work. Times are seconds since the scenario's begin."""

    def __init__(self, lines: Lines):
        self.lines, self.metrics, self.end = lines, Metrics(), 0

    def invoke(self, situation: str, begin: int, end: int, every: int, function: str = "ConsumerFunction") -> None:
        """Repeats a recorded invocation."""
        for at in range(begin, end, every):
            for line in self.lines[situation]:
                self.metrics.add_line(line, BEGIN + at, {line["FunctionName"]: function})
        self.end = max(self.end, end)

    def sweeps(self, begin: int, end: int, situation: str = "idle_sweep") -> None:
        self.invoke(situation, begin, end, SWEEP)

    def budget(self, begin: int, end: int, every: int, share: Callable[[int], float]) -> None:
        """The share of a budget, in the form of the other lines."""
        for at in range(begin, end, every):
            self.metrics.add("Docket", "BudgetSpentShare", {"FunctionName": "ConsumerFunction"}, BEGIN + at, share(at))
        self.end = max(self.end, end)

    def queue(self, name: str, begin: int, end: int, visible: Callable[[int], float], received: float) -> None:
        """SQS writes its metrics each minute, also as 0."""
        dimensions = {"QueueName": name}
        for at in range(begin, end, MINUTE):
            self.metrics.add("AWS/SQS", "ApproximateNumberOfMessagesVisible", dimensions, BEGIN + at, visible(at))
            self.metrics.add("AWS/SQS", "NumberOfMessagesReceived", dimensions, BEGIN + at, received)
        self.end = max(self.end, end)

    def queues(self, begin: int, end: int, visible: float = 0, received: float = 0) -> None:
        """Both queues of jobs; the high-priority one receives the sweeps."""
        self.queue("JobsQueue", begin, end, lambda at: visible, received)
        self.queue("HighPriorityQueue", begin, end, lambda at: 0, 1)

    def function(self, name: str, begin: int, end: int, **values: float) -> None:
        """Lambda writes its metrics each minute in which the function runs."""
        for at in range(begin, end, MINUTE):
            for metric, value in values.items():
                self.metrics.add("AWS/Lambda", metric, {"FunctionName": name}, BEGIN + at, value)
        self.end = max(self.end, end)

    def api_errors(self, begin: int, end: int, every: int, count: float) -> None:
        dimensions = {"ApiName": STACK, "Stage": "v1"}
        for at in range(begin, end, MINUTE):
            failed = count if at % every == 0 else 0
            self.metrics.add("AWS/ApiGateway", "5XXError", dimensions, BEGIN + at, *([1.0] * int(failed) or [0.0]))
        self.end = max(self.end, end)


@dataclass(frozen=True)
class Scenario:
    """A history of a stack, and the alarms that must fire. No other alarm may fire."""

    name: str
    play: Callable[[Stack], None]
    fires: frozenset[str] = frozenset()
    # The alarms that must end before the scenario does.
    recovers: frozenset[str] = frozenset()
    # The alarms for which the scenario is a near miss.
    nearly: frozenset[str] = frozenset()
    # A time at which the alarms that fire must not have ended; 0 for none.
    lasts_until: int = 0


def alarms(*names: str) -> frozenset[str]:
    return frozenset(f"{name}Alarm" for name in names)


# ---------------------------------------------------------------- quiet nights


def idle_night(stack: Stack) -> None:
    stack.sweeps(0, 10 * HOUR)
    stack.queues(0, 10 * HOUR)
    stack.function("ConsumerFunction", 0, 10 * HOUR, Errors=0, Throttles=0)


def draining_queue(stack: Stack) -> None:
    """A hundred thousand messages are worked off; most of them are visible all the time."""
    stack.sweeps(0, 6 * HOUR)
    stack.queue("JobsQueue", 0, 6 * HOUR, lambda at: max(0, 100_000 - 5 * at), 280)
    stack.queue("HighPriorityQueue", 0, 6 * HOUR, lambda at: 0, 1)
    stack.invoke("completed", 0, 6 * HOUR, 10)
    stack.invoke("throttled", 0, 6 * HOUR, 7 * MINUTE)
    stack.function("ConsumerFunction", 0, 6 * HOUR, Errors=0, Throttles=0)


def six_hours_over_quota(stack: Stack) -> None:
    """Most messages return, and few jobs complete, by the quota."""
    stack.sweeps(0, 6 * HOUR)
    stack.queues(0, 6 * HOUR, visible=3_000, received=600)
    stack.invoke("over_quota", 0, 6 * HOUR, 20)
    stack.invoke("completed_within_quota", 0, 6 * HOUR, 4 * MINUTE)


def paused_batch(stack: Stack) -> None:
    """Each message returns after its delay, finds the pause, and waits again."""
    stack.sweeps(0, 12 * HOUR)
    stack.queues(0, 12 * HOUR)
    stack.queue("JobsQueue", 0, 12 * HOUR, lambda at: 40 if at % HOUR == 0 else 0, 10)
    stack.invoke("waits_for_pause", 0, 12 * HOUR, 6 * MINUTE)


def encrypted_file(stack: Stack) -> None:
    """One of ten documents fails, and a later one of a small batch."""
    stack.sweeps(0, 2 * HOUR)
    stack.invoke("one_of_ten_failed", 10 * MINUTE, 11 * MINUTE, MINUTE)
    stack.invoke("one_of_ten_failed", HOUR, HOUR + MINUTE, MINUTE)
    stack.metrics.add("AWS/SQS", "ApproximateNumberOfMessagesVisible", {"QueueName": "DeadLetterQueue"}, BEGIN, 2)


def few_failures_of_many(stack: Stack) -> None:
    """Twelve jobs of 250 fail: more than the number, and less than the share."""
    stack.invoke("one_of_ten_failed", 0, 12 * MINUTE, MINUTE)
    stack.invoke("completed", 0, 13 * MINUTE, MINUTE)
    stack.sweeps(0, HOUR)


def unfit_answers(stack: Stack) -> None:
    """A few documents are retried while others complete."""
    stack.invoke("unfit_answers", 0, 2 * HOUR, 3 * MINUTE)
    stack.invoke("completed", 0, 2 * HOUR, 5 * MINUTE)


def old_copies(stack: Stack) -> None:
    """After a hold of eight days the old messages return, and find their jobs ended."""
    stack.sweeps(0, 4 * HOUR)
    stack.invoke("old_copy_of_ended_job", 0, 4 * HOUR, 10 * MINUTE)


def short_throttling(stack: Stack) -> None:
    """Bedrock throttles every call for 20 minutes, then jobs complete."""
    stack.sweeps(0, 2 * HOUR)
    stack.invoke("throttled", 5 * MINUTE, 25 * MINUTE, 30)
    stack.invoke("completed", 25 * MINUTE, 2 * HOUR, MINUTE)


def single_crash(stack: Stack) -> None:
    stack.sweeps(0, 2 * HOUR)
    stack.invoke("completed", 0, HOUR, MINUTE)
    stack.function("ConsumerFunction", 0, 2 * HOUR, Errors=0, Throttles=0)
    stack.metrics.add("AWS/Lambda", "Errors", {"FunctionName": "ConsumerFunction"}, BEGIN + 30 * MINUTE, 1, 1)


def slow_notifier(stack: Stack) -> None:
    """The bus refuses events for eight minutes."""
    stack.invoke("events_not_published", 0, 8 * MINUTE, MINUTE, "NotifierFunction")
    stack.invoke("events_published", 8 * MINUTE, HOUR, MINUTE, "NotifierFunction")
    for at in range(0, HOUR, MINUTE):
        age = at * 1_000 if at < 8 * MINUTE else 500
        stack.metrics.add("AWS/Lambda", "IteratorAge", {"FunctionName": "NotifierFunction"}, BEGIN + at, age)


def burst_at_the_start(stack: Stack) -> None:
    """Lambda throttles while the concurrency grows."""
    stack.sweeps(0, HOUR)
    stack.function("ConsumerFunction", 0, 5 * MINUTE, Throttles=30)
    stack.function("ConsumerFunction", 5 * MINUTE, HOUR, Throttles=0)
    stack.invoke("completed", 0, HOUR, MINUTE)


def few_api_errors(stack: Stack) -> None:
    stack.api_errors(0, 2 * HOUR, 10 * MINUTE, 2)
    stack.function("ProducerFunction", 0, 2 * HOUR, Throttles=1)
    stack.invoke("jobs_accepted", 0, 2 * HOUR, MINUTE, "ProducerFunction")


def half_spent_budget(stack: Stack) -> None:
    stack.budget(0, 6 * HOUR, MINUTE, lambda at: 0.79 * at / (6 * HOUR))
    stack.invoke("completed", 0, 6 * HOUR, MINUTE)


def empty_queues_of_failures(stack: Stack) -> None:
    for name in ("NotifierFailureQueue", "WebhookDeadLetterQueue"):
        stack.queue(name, 0, 2 * HOUR, lambda at: 0, 0)


QUIET = [
    Scenario("idle night", idle_night, nearly=alarms("QueueNotRead", "NothingEnds", "ConsumerErrors", "Hold")),
    Scenario("draining queue", draining_queue, nearly=alarms("QueueNotRead", "NothingEnds")),
    Scenario("six hours over quota", six_hours_over_quota, nearly=alarms("NothingEnds", "QueueNotRead")),
    Scenario("paused batch", paused_batch, nearly=alarms("NothingEnds", "QueueNotRead", "Hold")),
    Scenario("encrypted file", encrypted_file, nearly=alarms("FailedJobs")),
    Scenario("few failures of many", few_failures_of_many, nearly=alarms("FailedJobs")),
    Scenario("unfit answers", unfit_answers, nearly=alarms("NothingEnds", "ConsumerPanics")),
    Scenario("old copies of ended jobs", old_copies, nearly=alarms("OldMessages")),
    Scenario("20 minutes of throttling", short_throttling, nearly=alarms("NothingEnds")),
    Scenario("single crash", single_crash, nearly=alarms("ConsumerErrors")),
    Scenario("notifier is slow for 8 minutes", slow_notifier, nearly=alarms("NotifierLate")),
    Scenario("burst at the start", burst_at_the_start, nearly=alarms("ConsumerThrottled")),
    Scenario("few errors of the API", few_api_errors, nearly=alarms("ApiErrors", "ProducerThrottled")),
    Scenario("79 % of a budget", half_spent_budget, nearly=alarms("Budget")),
    Scenario("empty queues of failures", empty_queues_of_failures, nearly=alarms("EventsLost", "WebhookDeadLetters")),
]

# ---------------------------------------------------------------- loud nights


def disabled_mapping(stack: Stack) -> None:
    """The normal queue is read no more; the sweeps of the other one are."""
    stack.sweeps(0, 2 * HOUR)
    stack.queue("JobsQueue", 0, 30 * MINUTE, lambda at: 200, 100)
    stack.queue("JobsQueue", 30 * MINUTE, HOUR, lambda at: 200, 0)
    stack.queue("JobsQueue", HOUR, 2 * HOUR, lambda at: 0, 10)
    stack.queue("HighPriorityQueue", 0, 2 * HOUR, lambda at: 0, 1)
    stack.invoke("completed", 0, 30 * MINUTE, MINUTE)
    stack.invoke("completed", HOUR, 2 * HOUR, MINUTE)


def endless_throttling(stack: Stack) -> None:
    """Bedrock throttles every call for two hours."""
    stack.sweeps(0, 4 * HOUR)
    stack.queues(0, 4 * HOUR, received=50)
    stack.invoke("throttled", 0, 2 * HOUR, 30)
    stack.invoke("completed", 2 * HOUR, 4 * HOUR, MINUTE)


def wrong_prompt(stack: Stack) -> None:
    """All documents of a batch fail."""
    stack.sweeps(0, 2 * HOUR)
    stack.invoke("all_failed", 10 * MINUTE, 30 * MINUTE, MINUTE)
    stack.invoke("completed", 30 * MINUTE, 2 * HOUR, MINUTE)


def access_denied(stack: Stack) -> None:
    """Access to the model is denied for three hours. Probes are 15 minutes apart."""
    stack.queues(0, 5 * HOUR, received=5)
    stack.sweeps(0, 30 * MINUTE)
    stack.invoke("hold_opened", 30 * MINUTE, 31 * MINUTE, MINUTE)
    stack.invoke("waits_for_hold", 31 * MINUTE, 40 * MINUTE, MINUTE)
    stack.invoke("waits_for_hold", 40 * MINUTE, 3 * HOUR, 20 * MINUTE)
    stack.sweeps(45 * MINUTE, 3 * HOUR, "sweep_during_hold")
    stack.invoke("probe_failed", 32 * MINUTE, 3 * HOUR, 15 * MINUTE)
    stack.invoke("hold_ended", 3 * HOUR + 5 * MINUTE, 3 * HOUR + 6 * MINUTE, MINUTE)
    stack.sweeps(3 * HOUR + 15 * MINUTE, 5 * HOUR, "sweep_after_hold")
    stack.invoke("completed", 3 * HOUR + 6 * MINUTE, 5 * HOUR, MINUTE)


def hold_of_ten_days(stack: Stack) -> None:
    """The messages of a long hold return every hour, on their eighth day."""
    stack.sweeps(0, 6 * HOUR, "sweep_during_hold")
    stack.invoke("waits_for_hold_8_days", 0, 6 * HOUR, HOUR)
    stack.invoke("hold_ended", 6 * HOUR + 5 * MINUTE, 6 * HOUR + 6 * MINUTE, MINUTE)
    stack.sweeps(6 * HOUR + 15 * MINUTE, 12 * HOUR, "sweep_after_hold")
    stack.invoke("completed", 6 * HOUR + 6 * MINUTE, 12 * HOUR, 5 * MINUTE)


def spent_budget(stack: Stack) -> None:
    """A budget is spent after two hours, raised after four, and its calls go on."""
    stack.budget(0, 2 * HOUR, MINUTE, lambda at: at / (2 * HOUR))
    stack.invoke("completed", 0, 2 * HOUR, MINUTE)
    stack.sweeps(2 * HOUR, 4 * HOUR)
    stack.budget(4 * HOUR, 6 * HOUR, MINUTE, lambda at: 0.5)
    stack.invoke("completed", 4 * HOUR, 6 * HOUR, MINUTE)


def crashing_consumer(stack: Stack) -> None:
    stack.function("ConsumerFunction", 0, HOUR, Errors=0)
    stack.function("ConsumerFunction", HOUR, HOUR + 10 * MINUTE, Errors=1)
    stack.function("ConsumerFunction", HOUR + 10 * MINUTE, 2 * HOUR, Errors=0)
    stack.sweeps(0, 2 * HOUR)


def panic(stack: Stack) -> None:
    stack.sweeps(0, 2 * HOUR)
    stack.invoke("completed", 0, 2 * HOUR, MINUTE)
    stack.invoke("panicked", HOUR, HOUR + MINUTE, MINUTE)


def late_notifier(stack: Stack) -> None:
    """The bus refuses events for two hours."""
    stack.invoke("events_not_published", 0, 2 * HOUR, MINUTE, "NotifierFunction")
    stack.invoke("events_published", 2 * HOUR, 3 * HOUR, MINUTE, "NotifierFunction")
    for at in range(0, 3 * HOUR, MINUTE):
        age = at * 1_000 if at < 2 * HOUR else 500
        stack.metrics.add("AWS/Lambda", "IteratorAge", {"FunctionName": "NotifierFunction"}, BEGIN + at, age)


def lost_events(stack: Stack) -> None:
    stack.queue("NotifierFailureQueue", 0, HOUR, lambda at: 0, 0)
    stack.queue("NotifierFailureQueue", HOUR, 2 * HOUR, lambda at: 3, 0)
    stack.queue("NotifierFailureQueue", 2 * HOUR, 3 * HOUR, lambda at: 0, 0)


def refusing_webhook(stack: Stack) -> None:
    stack.queue("WebhookDeadLetterQueue", 0, HOUR, lambda at: 0, 0)
    stack.queue("WebhookDeadLetterQueue", HOUR, 2 * HOUR, lambda at: 1, 0)
    stack.queue("WebhookDeadLetterQueue", 2 * HOUR, 3 * HOUR, lambda at: 0, 0)


def failing_api(stack: Stack) -> None:
    stack.api_errors(0, HOUR, MINUTE, 0)
    stack.api_errors(HOUR, HOUR + 10 * MINUTE, MINUTE, 2)
    stack.api_errors(HOUR + 10 * MINUTE, 2 * HOUR, MINUTE, 0)


def small_reserved_concurrency(stack: Stack) -> None:
    stack.sweeps(0, 2 * HOUR)
    stack.function("ConsumerFunction", 0, HOUR, Throttles=8)
    stack.function("ConsumerFunction", HOUR, 2 * HOUR, Throttles=0)
    stack.invoke("completed", 0, 2 * HOUR, MINUTE)


def throttled_producer(stack: Stack) -> None:
    stack.function("ProducerFunction", 0, 5 * MINUTE, Throttles=3)
    stack.function("ProducerFunction", 5 * MINUTE, HOUR, Throttles=0)


def fires(name: str, play: Callable[[Stack], None], *names: str, lasts_until: int = 0) -> Scenario:
    return Scenario(name, play, fires=alarms(*names), recovers=alarms(*names), lasts_until=lasts_until)


LOUD = [
    fires("event source mapping is disabled", disabled_mapping, "QueueNotRead"),
    fires("two hours of throttling", endless_throttling, "NothingEnds"),
    fires("wrong prompt", wrong_prompt, "FailedJobs"),
    fires("access to the model is denied", access_denied, "Hold", lasts_until=3 * HOUR),
    fires("hold of more than a week", hold_of_ten_days, "OldMessages", "Hold", lasts_until=6 * HOUR),
    fires("budget is spent, then raised", spent_budget, "Budget", lasts_until=4 * HOUR),
    fires("consumer crashes", crashing_consumer, "ConsumerErrors"),
    fires("panic", panic, "ConsumerPanics"),
    fires("bus refuses events for two hours", late_notifier, "NotifierLate"),
    fires("events are lost", lost_events, "EventsLost"),
    fires("webhook refuses events", refusing_webhook, "WebhookDeadLetters"),
    fires("API fails", failing_api, "ApiErrors"),
    fires("reserved concurrency is too small", small_reserved_concurrency, "ConsumerThrottled"),
    fires("producer is throttled", throttled_producer, "ProducerThrottled"),
]
SCENARIOS = QUIET + LOUD
