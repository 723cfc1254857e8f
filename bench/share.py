"""Limits a process and its children to a share of one processor, by a control group."""
import os
from pathlib import Path

from lab import BenchError

# Lambda gives a function one processor at 1,769 MB, and a proportional share below.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MB_PER_PROCESSOR = 1_769
SMALLEST_MB = 128
PERIOD_US = 20_000


def quota_us(memory_mb: int) -> int:
    """The processor time of a function with `memory_mb` in each PERIOD_US."""
    return PERIOD_US * memory_mb // MB_PER_PROCESSOR


QUOTA_US = quota_us(SMALLEST_MB)

ROOT_V1, ROOT_V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


class CpuShare:
    """A control group whose processes together get the share of a function with `memory_mb`."""

    def __init__(self, memory_mb: int = SMALLEST_MB) -> None:
        quota = quota_us(memory_mb)
        name = f"docket-bench-{os.getpid()}"
        try:
            if (ROOT_V2 / "cgroup.controllers").exists():
                self.group = self._make_group(ROOT_V2 / name, {"cpu.max": f"{quota} {PERIOD_US}"})
            else:
                limits = {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(quota)}
                self.group = self._make_group(ROOT_V1 / name, limits)
        except OSError as error:
            raise BenchError(f"cannot create a control group ({error.strerror}): run the benchmark as root") from error

    def _make_group(self, group: Path, limits: dict[str, str]) -> Path:
        group.mkdir()
        try:
            for name, value in limits.items():
                (group / name).write_text(value)
        except OSError:
            group.rmdir()
            raise
        return group

    def command(self) -> list[str]:
        """A command prefix that joins the group and then executes the command after it."""
        return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.group / "cgroup.procs")]

    def __enter__(self) -> "CpuShare":
        return self

    def __exit__(self, *_) -> None:
        self.group.rmdir()
