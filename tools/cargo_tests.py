"""Cargo's test programs: built once, selected by name, and run one by one with their durations."""
import json
import os
import subprocess
import time
from dataclasses import dataclass
from enum import Enum, auto

from processes import ROOT, ToolError


class Output(Enum):
    """When the output of a program appears, and the program's priority."""

    LIVE = auto()
    AT_END = auto()
    AT_END_LOW_PRIORITY = auto()


@dataclass(frozen=True)
class TestProgram:
    """A program that cargo built from one target, such as tests/claim.rs."""

    # The name of the target: that of the file in tests/, of the library, or of the binary.
    name: str
    # Whether the target is in tests/, as opposed to the unit tests of a library or a binary.
    is_integration_test: bool
    # The path of the source, relative to the repository.
    source: str
    executable: str
    # Where cargo would run the program.
    directory: str

    def run(self, arguments: list[str], environment: dict[str, str], output: Output = Output.LIVE) -> int:
        """Runs the program as `cargo test` would; returns its exit code."""
        environment = environment | {"CARGO_MANIFEST_DIR": self.directory}
        command = [self.executable, *arguments]
        if output is Output.LIVE:
            print(f"\ntest: {self.source}", flush=True)
            return subprocess.run(command, cwd=self.directory, env=environment).returncode
        if output is Output.AT_END_LOW_PRIORITY:
            command = ["nice", "-n", "10", *command]
        done = subprocess.run(
            command, cwd=self.directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        print(f"\ntest: {self.source} (ran at the same time)\n{done.stdout}", flush=True)
        return done.returncode


def build_test_programs(names: list[str] | None = None) -> list[TestProgram]:
    """Builds the test targets with these names, or all tests of the workspace.

    Lists their programs in the order of their sources."""
    command = ["cargo", "test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]
    command += [f"--test={name}" for name in names or []]
    built = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if built.returncode != 0:
        raise ToolError("cargo test --no-run failed: see the compiler's messages above")
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    programs = [read_test_program(message) for message in messages if is_test_program(message)]
    return sorted(programs, key=lambda program: program.source)


def is_test_program(message: dict) -> bool:
    is_artifact = message["reason"] == "compiler-artifact"
    return is_artifact and message["profile"]["test"] and message.get("executable") is not None


def read_test_program(message: dict) -> TestProgram:
    target = message["target"]
    return TestProgram(
        name=target["name"],
        is_integration_test="test" in target["kind"],
        source=os.path.relpath(target["src_path"], ROOT),
        executable=message["executable"],
        directory=os.path.dirname(message["manifest_path"]),
    )


def select(programs: list[TestProgram], names: list[str]) -> list[TestProgram]:
    """The test targets with these names."""
    tests = {program.name: program for program in programs if program.is_integration_test}
    unknown = [name for name in names if name not in tests]
    if unknown:
        raise ToolError(f"no test target is named {', '.join(unknown)}; there are: {', '.join(sorted(tests))}")
    return [tests[name] for name in names]


class Phases:
    """The duration of each phase, printed as a table at the end."""

    def __init__(self) -> None:
        self.durations: list[tuple[str, float]] = []
        self.started = time.monotonic()

    def run(self, name: str, function, *arguments):
        started = time.monotonic()
        try:
            return function(*arguments)
        finally:
            self.durations.append((name, time.monotonic() - started))

    def print_table(self) -> None:
        rows = [*self.durations, ("from start to end", time.monotonic() - self.started)]
        width = max(len(name) for name, _ in rows)
        print(f"\n{'phase':{width}}  seconds\n{'-' * width}  -------")
        for name, seconds in rows:
            print(f"{name:{width}}  {seconds:7.1f}", flush=True)
