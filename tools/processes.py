"""Background processes: started once, found again by their id, and ended with their children."""
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
START_SECONDS = 60
END_SECONDS = 5
POLL_SECONDS = 0.1


class ToolError(Exception):
    """An error that the user can repair; its message says how."""


def is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


@dataclass(frozen=True)
class BackgroundProcess:
    """A process whose id and log are in files of one directory."""

    directory: Path
    # A part of the command line, too: it distinguishes the process from a later one with the same id.
    name: str
    port: int
    health_url: str

    @property
    def log(self) -> Path:
        return self.directory / f"{self.name}.log"

    @property
    def id_file(self) -> Path:
        return self.directory / f"{self.name}.pid"

    def find_id(self) -> int | None:
        """The id of the running process, or None.

        The id in the file may belong to another process by now, if this one has
        ended. The command line of that process decides.
        """
        try:
            process_id = int(self.id_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return process_id if self.name in read_command_line(process_id) else None

    def is_running(self) -> bool:
        return self.find_id() is not None and is_healthy(self.health_url)

    def start(self, command: list[str], environment: dict[str, str]) -> None:
        """Starts the process in the repository's root and waits until it is healthy; does nothing if it runs."""
        if self.is_running():
            return
        self.end()
        with socket.socket() as probe:
            if probe.connect_ex((HOST, self.port)) == 0:
                raise ToolError(
                    f"port {self.port} is in use: end the process that listens there, "
                    "or choose another port with PORT=… (PORT and PORT+1 are used)"
                )
        with self.log.open("w") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,
            )
        self.id_file.write_text(str(process.pid))
        deadline = time.monotonic() + START_SECONDS
        while not is_healthy(self.health_url):
            if process.poll() is not None or time.monotonic() > deadline:
                self.end()
                log = self.log.relative_to(ROOT)
                raise ToolError(f"{self.name} did not start: {self.read_last_log_line()} (see {log})")
            time.sleep(POLL_SECONDS)

    def read_last_log_line(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "its log is empty"

    def end(self) -> bool:
        """Ends the process and its children by their process group. False if it was not running."""
        process_id = self.find_id()
        self.id_file.unlink(missing_ok=True)
        if process_id is None:
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process_id, number)
            except ProcessLookupError:
                return True
            if wait_for_group_end(process_id):
                return True
        return True


def read_command_line(process_id: int) -> str:
    """The command line of a process; empty if there is none."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{process_id}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return ""
    command = ["ps", "-o", "command=", "-p", str(process_id)]
    return subprocess.run(command, capture_output=True, text=True).stdout


def wait_for_group_end(group_id: int) -> bool:
    """Whether all processes of the group have ended within END_SECONDS."""
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        try:
            os.killpg(group_id, 0)
        except ProcessLookupError:
            return True
        try:
            # A child of this process stays in the group until it is waited for.
            os.waitpid(group_id, os.WNOHANG)
        except ChildProcessError:
            pass
        time.sleep(POLL_SECONDS)
    return False
