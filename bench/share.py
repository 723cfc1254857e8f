"""A share of one processor for a process and its children, by a control group."""
import os
from pathlib import Path

from lab import Stop

# Lambda gives a whole processor at 1,769 MB, and to less memory its part of it.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
MB_OF_A_PROCESSOR = 1_769
SMALLEST_MB = 128
PERIOD_US = 20_000
QUOTA_US = PERIOD_US * SMALLEST_MB // MB_OF_A_PROCESSOR

ROOT_V1, ROOT_V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")


class Share:
    """A group of which all processes together get QUOTA_US of every PERIOD_US."""

    def __init__(self) -> None:
        name = f"docket-bench-{os.getpid()}"
        try:
            if (ROOT_V2 / "cgroup.controllers").exists():
                self.group = self._made(ROOT_V2 / name, {"cpu.max": f"{QUOTA_US} {PERIOD_US}"})
            else:
                limits = {"cpu.cfs_period_us": str(PERIOD_US), "cpu.cfs_quota_us": str(QUOTA_US)}
                self.group = self._made(ROOT_V1 / name, limits)
        except OSError as error:
            raise Stop(f"no control group can be made here ({error.strerror}): it takes root") from error

    def _made(self, group: Path, limits: dict[str, str]) -> Path:
        group.mkdir()
        try:
            for name, value in limits.items():
                (group / name).write_text(value)
        except OSError:
            group.rmdir()
            raise
        return group

    def within(self) -> list[str]:
        """A command that joins the group, and becomes the command that follows."""
        return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.group / "cgroup.procs")]

    def __enter__(self) -> "Share":
        return self

    def __exit__(self, *_) -> None:
        self.group.rmdir()
