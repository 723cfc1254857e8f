"""The Python environment of the peers: .venv/bench, with the packages of bench/requirements.txt.

It uses the distribution's Python if there is one. That Python is built with the same
optimisations as Lambda's; a Python built from source often is not.
"""
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from lab import PYTHON, BenchError, print_status
from results import BENCH

DISTRIBUTION = Path("/usr/bin/python3")
MIN_VERSION = (3, 10)


def is_usable(python: Path) -> bool:
    """Whether the interpreter is new enough and can make virtual environments."""
    check = f"import sys, venv, ensurepip; sys.exit(sys.version_info < {MIN_VERSION})"
    return os.access(python, os.X_OK) and subprocess.run([python, "-c", check], capture_output=True).returncode == 0


def install_peers() -> None:
    """Installs the requirements, unless the same ones are installed."""
    python = DISTRIBUTION if is_usable(DISTRIBUTION) else Path(sys.executable)
    requirements, venv = BENCH / "requirements.txt", PYTHON.parent.parent
    version = subprocess.run([python, "--version"], capture_output=True).stdout
    digest = hashlib.sha256(requirements.read_bytes() + version).hexdigest()
    done = venv / "ready"
    if done.exists() and done.read_text() == digest:
        return
    print_status(f"installing bench/requirements.txt for {version.decode().strip()} (once)")
    result = subprocess.run([python, "-m", "venv", "--clear", venv], capture_output=True, text=True)
    if result.returncode != 0:
        raise BenchError(f"cannot make a virtual environment (Debian: apt-get install python3-venv): {result.stderr}")
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    if subprocess.run([*pip, "--require-hashes", "--requirement", requirements]).returncode != 0:
        raise BenchError("pip could not install bench/requirements.txt: see its messages above; check that the package index is reachable")
    done.write_text(digest)
