"""What a measure found, and how it is written down: bench/results/<measure>.json.

A file names the machine, the versions, every repeat in order, median and range,
and the ratios to the peers. It holds no path and no name of a host.
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
    """One variant's values at one place of the measure, in the order they were taken."""

    variant: str
    at: str
    quantity: str
    unit: str
    values: list[float]


@dataclass
class Ratio:
    """One series divided by another, repeat by repeat: `value` is the median."""

    name: str
    value: float
    min: float
    max: float


@dataclass
class Bar:
    """What was to be reached, and whether it was. `value` is what it was held against.

    `goal`, where there is one, is the bar's place in the figure: on the axis of
    `quantity`, over the values at `at`.
    """

    text: str
    value: float
    reached: bool
    goal: float | None = None
    quantity: str = ""
    at: str = ""


@dataclass
class Result:
    """A measure in the making. `write` puts it down."""

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
        """One repeat's value."""
        self.recorded_at = ""
        for series in self.series:
            if (series.variant, series.at, series.quantity) == (variant, at, quantity):
                series.values.append(rounded(value))
                return
        self.series.append(Series(variant, at, quantity, self.unit if unit is None else unit, [rounded(value)]))

    def values(self, variant: str, at: str = "", quantity: str = "") -> list[float]:
        for series in self.series:
            if (series.variant, series.at, series.quantity) == (variant, at, quantity):
                return series.values
        raise KeyError(f"{self.measure} has no values of {variant} at {at!r} for {quantity!r}")

    def taken(self) -> int:
        """How often it was taken so far."""
        return max((len(series.values) for series in self.series), default=0)

    def median(self, variant: str, at: str = "", quantity: str = "") -> float:
        return median(self.values(variant, at, quantity))

    def ratio(self, name: str, above: list[float], below: list[float]) -> Ratio:
        """`above` divided by `below`, each repeat by its own."""
        each = [a / b for a, b in zip(above, below, strict=True)]
        self.ratios.append(Ratio(name, rounded(median(each)), rounded(min(each)), rounded(max(each))))
        return self.ratios[-1]

    def bar(
        self, text: str, value: float, reached: bool, goal: float | None = None, quantity: str = "", at: str = ""
    ) -> None:
        placed = None if goal is None else rounded(goal)
        self.bars.append(Bar(text, rounded(value), bool(reached), placed, quantity, at))

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def written(self, consumer: Path) -> dict:
        return {
            "measure": self.measure,
            "title": self.title,
            "unit": self.unit,
            "command": self.command or f"make bench MEASURES={self.measure}",
            "recorded_at": self.recorded_at or datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "machine": machine(),
            "versions": versions(consumer),
            "series": [
                asdict(one) | {"median": rounded(median(one.values)), "min": min(one.values), "max": max(one.values)}
                for one in self.series
            ],
            "ratios": [asdict(one) for one in self.ratios],
            "bars": [asdict(one) for one in self.bars],
            "notes": self.notes,
        }

    def write(self, consumer: Path, directory: Path = RESULTS) -> Path:
        """`consumer` is the binary that was measured, which the file names by its hash."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{self.measure}.json"
        text = json.dumps(self.written(consumer), indent=2, ensure_ascii=False)
        # A list of numbers on one line: a run that changed nothing else is read as such.
        text = re.sub(r"\[\s+([-0-9.e+,\s]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)
        path.write_text(text + "\n")
        return path


def earlier(begun: Result, directory: Path, consumer: Path) -> Result:
    """The same, with what a result that lies there has found so far, for more repeats.

    Raises ValueError if that is of another binary, of other versions or of another machine.
    """
    path = directory / f"{begun.measure}.json"
    if not path.exists():
        return begun
    found = json.loads(path.read_text())
    for name, now in (("machine", machine()), ("versions", versions(consumer))):
        if found[name] != now:
            raise ValueError(f"{path.name} is of other {name}: {found[name]} and not {now}")
    kept = ("variant", "at", "quantity", "unit", "values")
    series = [Series(**{key: one[key] for key in kept}) for one in found["series"]]
    return replace(begun, series=series, recorded_at=found["recorded_at"])


def rounded(value: float) -> float:
    """Four significant digits, or all that stand before the point: a measure has no more."""
    whole = round(value)
    return whole if abs(value) >= 1_000 or whole == value else float(f"{value:.4g}")


def machine() -> dict:
    """The machine, as far as a figure depends on it."""
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.+)", info)
    memory = re.search(r"MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    return {
        "cpu": model[1].strip() if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(memory[1]) / 2**20) if memory else None,
        "kernel": platform.release(),
        "rustc": subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip(),
        "python": python_version(),
    }


def python_version() -> str:
    """The peers' Python, where it is installed."""
    python = ROOT / ".venv" / "bench" / "bin" / "python"
    if not python.exists():
        return platform.python_version()
    return subprocess.run([python, "--version"], capture_output=True, text=True).stdout.split()[-1]


def versions(consumer: Path) -> dict:
    """Docket's version and binary, and the versions that bench/requirements.txt pins."""
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    found = {"docket": f"{version} (sha256 {hashlib.sha256(consumer.read_bytes()).hexdigest()[:12]})"}
    pins = dict(re.findall(r"^([\w-]+)==(\S+)", (BENCH / "requirements.txt").read_text(), re.MULTILINE))
    found["powertools"] = pins["aws-lambda-powertools"]
    return found | {name: pins[name] for name in ("boto3", "botocore", "awslambdaric")}
