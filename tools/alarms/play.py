"""Plays each scenario, and compares the alarms that fire with those that must.

    python -m tools.alarms.play                  the recorded lines
    python -m tools.alarms.play --lines FOLDER   the lines of another run of tests/metric_lines
"""
import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .rules import ALARM, Change, Metrics, run
from .scenarios import BEGIN, RECORDED, SCENARIOS, Lines, Scenario, Stack
from .template import Alarm, Template, read_source

# CloudWatch reads more periods than an alarm needs, and AWS does not say how many.
FURTHER_PERIODS = (0, 2, 4)


@dataclass(frozen=True)
class Played:
    """A scenario with its metrics."""

    scenario: Scenario
    metrics: Metrics
    end: int

    def changes(self, alarm: Alarm, further_periods: int) -> list[Change]:
        return run(alarm, self.metrics, BEGIN, self.end, further_periods)


def play_all(lines: Lines) -> list[Played]:
    played = []
    for scenario in SCENARIOS:
        stack = Stack(lines)
        scenario.play(stack)
        played.append(Played(scenario, stack.metrics, BEGIN + stack.end))
    return played


def find_alarm_faults(alarm: Alarm, played: list[Played]) -> Iterator[str]:
    """The scenarios in which an alarm does not behave as it must."""
    for one in played:
        scenario, name = one.scenario, alarm.name
        must_fire = name in scenario.fires
        for further_periods in FURTHER_PERIODS:
            changes = one.changes(alarm, further_periods)
            has_fired = any(change.state == ALARM for change in changes)
            if has_fired != must_fire:
                yield f"{scenario.name}: {name} {'does not fire' if must_fire else 'fires'}"
            elif has_fired and name in scenario.recovers and changes[-1].state == ALARM:
                yield f"{scenario.name}: {name} does not end"
            elif sum(change.state == ALARM for change in changes) > 1:
                yield f"{scenario.name}: {name} fires more than once"
            elif has_fired and changes[-1].at < BEGIN + scenario.lasts_until:
                yield f"{scenario.name}: {name} ends before {scenario.lasts_until // 60} min"


def find_gaps(names: set[str]) -> Iterator[str]:
    """Alarms without a scenario that fires them, or without a near miss."""
    fired = set().union(*(scenario.fires for scenario in SCENARIOS))
    nearly = set().union(*(scenario.nearly for scenario in SCENARIOS))
    yield from (f"no scenario fires {name}" for name in sorted(names - fired))
    yield from (f"no scenario is a near miss of {name}" for name in sorted(names - nearly))
    yield from (f"scenarios name {name}, which is no alarm" for name in sorted((fired | nearly) - names))


def find_faults(template: Template, played: list[Played]) -> list[str]:
    alarms = template.alarms()
    faults = [fault for alarm in alarms.values() for fault in find_alarm_faults(alarm, played)]
    return sorted(set(faults)) + list(find_gaps(set(alarms)))


def describe(template: Template, played: list[Played]) -> Iterator[str]:
    """The changes of each alarm in the scenario that fires it."""
    for name, alarm in template.alarms().items():
        for one in played:
            if name in one.scenario.fires:
                changes = one.changes(alarm, 2)
                times = ", ".join(f"{change.state} after {(change.at - BEGIN) // 60} min" for change in changes)
                yield f"{name:<24} {one.scenario.name}: {times or 'no change'}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=Path, default=RECORDED, help="folder with the lines of each situation")
    arguments = parser.parse_args()
    template, played = Template(read_source()), play_all(Lines(arguments.lines))
    for line in describe(template, played):
        print(f"alarms: {line}")
    faults = find_faults(template, played)
    for fault in faults:
        print(f"alarms: {fault}", file=sys.stderr)
    print(f"alarms: {len(played)} scenarios, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
