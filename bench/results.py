"""The result of a measure, and its file bench/results/<measure>.json.

A file has the machine, the versions, every repeat in order, median and range, and
the ratios to the peers. It has no path and no host name.
"""
import hashlib
import json
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from statistics import median

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
RESULTS = BENCH / "results"

DOCKET = "docket"
PLAIN = "plain"
POWERTOOLS = "powertools"
THREADS = "powertools-threads"


@dataclass
class Series:
    """The values of one variant under one condition (`at`), in the order of the repeats."""

    variant: str
    at: str
    quantity: str
    unit: str
    values: list[float]


@dataclass
class Ratio:
    """One series divided by another, per repeat. `value` is the median."""

    name: str
    value: float
    min: float
    max: float


@dataclass
class Bar:
    """A target, the measured `value`, and whether the value reached the target.

    `goal` is the position of the target in the figure: on the axis of `quantity`, for
    the condition `at`. Without it, the figure does not show the target.
    """

    text: str
    value: float
    reached: bool
    goal: float | None = None
    quantity: str = ""
    at: str = ""


@dataclass
class Result:
    """The result of a measure. `write` stores it."""

    measure: str
    title: str
    unit: str
    command: str = ""
    series: list[Series] = field(default_factory=list)
    ratios: list[Ratio] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    recorded_at: str = ""

    def add(self, variant: str, at: str, quantity: str, value: float, unit: str | None = None) -> None:
        """Adds the value of one repeat."""
        self.recorded_at = ""
        for series in self.series:
            if (series.variant, series.at, series.quantity) == (variant, at, quantity):
                series.values.append(round_value(value))
                return
        self.series.append(Series(variant, at, quantity, self.unit if unit is None else unit, [round_value(value)]))

    def values(self, variant: str, at: str = "", quantity: str = "") -> list[float]:
        for series in self.series:
            if (series.variant, series.at, series.quantity) == (variant, at, quantity):
                return series.values
        raise KeyError(f"{self.measure} has no values of {variant} for {quantity!r} at {at!r}")

    def count_repeats(self) -> int:
        """The number of repeats so far."""
        return max((len(series.values) for series in self.series), default=0)

    def median(self, variant: str, at: str = "", quantity: str = "") -> float:
        return median(self.values(variant, at, quantity))

    def add_ratio(self, name: str, above: list[float], below: list[float]) -> Ratio:
        """Adds the ratio of `above` to `below`, calculated per repeat."""
        each = [a / b for a, b in zip(above, below, strict=True)]
        self.ratios.append(Ratio(name, round_value(median(each)), round_value(min(each)), round_value(max(each))))
        return self.ratios[-1]

    def add_bar(
        self, text: str, value: float, reached: bool, goal: float | None = None, quantity: str = "", at: str = ""
    ) -> None:
        rounded_goal = None if goal is None else round_value(goal)
        self.bars.append(Bar(text, round_value(value), bool(reached), rounded_goal, quantity, at))

    def add_note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def to_dict(self, consumer: Path) -> dict:
        return {
            "measure": self.measure,
            "title": self.title,
            "unit": self.unit,
            "command": self.command or f"make bench MEASURES={self.measure}",
            "recorded_at": self.recorded_at or datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "machine": describe_machine(),
            "versions": read_versions(consumer),
            "series": [
                asdict(one) | {"median": round_value(median(one.values)), "min": min(one.values), "max": max(one.values)}
                for one in self.series
            ],
            "ratios": [asdict(one) for one in self.ratios],
            "bars": [asdict(one) for one in self.bars],
            "notes": self.notes,
        }

    def write(self, consumer: Path, directory: Path = RESULTS) -> Path:
        """Writes the file. `consumer` is the measured binary; the file has its hash."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.measure}.json"
        text = json.dumps(self.to_dict(consumer), indent=2, ensure_ascii=False)
        # Lists of numbers on one line make the difference between two runs readable.
        text = re.sub(r"\[\s+([-0-9.e+,\s]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)
        path.write_text(text + "\n")
        return path


def read_recorded(empty: Result, directory: Path, consumer: Path) -> Result:
    """The result with the values that its file has, so that more repeats can be added.

    Raises ValueError if the file has another machine, other versions or another binary.
    """
    path = directory / f"{empty.measure}.json"
    if not path.exists():
        return empty
    found = json.loads(path.read_text())
    for name, present in (("machine", describe_machine()), ("versions", read_versions(consumer))):
        if found[name] != present:
            raise ValueError(f"{path.name} has other {name}: {found[name]}, not {present}")
    fields = ("variant", "at", "quantity", "unit", "values")
    series = [Series(**{key: one[key] for key in fields}) for one in found["series"]]
    return replace(empty, series=series, recorded_at=found["recorded_at"])


def round_value(value: float) -> float:
    """Rounds to four significant digits, or to a whole number from 1,000 on."""
    whole = round(value)
    return whole if abs(value) >= 1_000 or whole == value else float(f"{value:.4g}")


def describe_machine() -> dict:
    """The properties of the machine that the values depend on."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.+)", info)
    memory = re.search(r"MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    return {
        "cpu": model[1].strip() if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory[1]) / 2**20) if memory else None,
        "kernel": platform.release(),
        "rustc": subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip(),
        "python": read_python_version(),
    }


def read_python_version() -> str:
    """The version of the peers' Python; of this one if the peers are not installed."""
    python = ROOT / ".venv" / "bench" / "bin" / "python"
    if not python.exists():
        return platform.python_version()
    return subprocess.run([python, "--version"], capture_output=True, text=True).stdout.split()[-1]


def read_versions(consumer: Path) -> dict:
    """The version and hash of Docket's binary, and the versions that bench/requirements.txt pins."""
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    found = {"docket": f"{version} (sha256 {hashlib.sha256(consumer.read_bytes()).hexdigest()[:12]})"}
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", (BENCH / "requirements.txt").read_text(), re.MULTILINE))
    found["powertools"] = pins["aws-lambda-powertools"]
    return found | {name: pins[name] for name in ("boto3", "botocore", "awslambdaric")}
