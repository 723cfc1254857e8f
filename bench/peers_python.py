"""The peers' own Python: .venv/bench, with what bench/requirements.txt pins.

Made of the distribution's Python where there is one, which is built with the
optimisations that Lambda's has; one that was built from source often is not.
"""
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from lab import PYTHON, Stop, say
from results import BENCH

DISTRIBUTION = Path("/usr/bin/python3")
OLDEST = (3, 10)


def able(python: Path) -> bool:
    """Whether it is new enough and makes virtual environments."""
    check = f"import sys, venv, ensurepip; sys.exit(sys.version_info < {OLDEST})"
    return os.access(python, os.X_OK) and subprocess.run([python, "-c", check], capture_output=True).returncode == 0


def ready() -> None:
    """Installs what the requirements say, unless that has been done."""
    python = DISTRIBUTION if able(DISTRIBUTION) else Path(sys.executable)
    requirements, venv = BENCH / "requirements.txt", PYTHON.parent.parent
    version = subprocess.run([python, "--version"], capture_output=True).stdout
    wanted = hashlib.sha256(requirements.read_bytes() + version).hexdigest()
    done = venv / "ready"
    if done.exists() and done.read_text() == wanted:
        return
    say(f"installing bench/requirements.txt for {version.decode().strip()} (once)")
    made = subprocess.run([python, "-m", "venv", "--clear", venv], capture_output=True, text=True)
    if made.returncode != 0:
        raise Stop(f"no virtual environment can be made (Debian: apt-get install python3-venv): {made.stderr}")
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    if subprocess.run([*pip, "--requirement", requirements]).returncode != 0:
        raise Stop("pip could not install bench/requirements.txt: see above; is the package index reachable?")
    done.write_text(wanted)
