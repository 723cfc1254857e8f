"""Sets up what the make targets need: pinned Python tools in .venv and .venv/sam, and .venv/api for the tests.

Written for old Pythons too, so that one can say that it is too old.
"""
import hashlib
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
SAM = os.path.join(VENV, "sam")
API = os.path.join(VENV, "api")


def stop(line):
    sys.stderr.write("setup: " + line + "\n")
    sys.exit(1)


def check_machine():
    if sys.version_info < (3, 10):
        stop("Python %d.%d is too old: install 3.10 or newer, or say `make PYTHON=python3.12 …`" % sys.version_info[:2])
    if shutil.which("cargo") is None:
        stop("cargo is missing: install Rust with rustup (https://rustup.rs)")
    if shutil.which("cc") is None:
        stop("cc is missing: install a C compiler (Debian: apt-get install build-essential)")


def requirements(venv, name):
    """Installs what a requirements file says, unless that has been done."""
    path = os.path.join(ROOT, "tools", name)
    with open(path, "rb") as file:
        wanted = hashlib.sha256(file.read() + sys.version.encode()).hexdigest()
    ready = os.path.join(venv, "ready")
    if os.path.exists(ready):
        with open(ready) as file:
            if file.read() == wanted:
                return
    print("setup: installing %s (about a minute, once)" % name, flush=True)
    made = subprocess.run([sys.executable, "-m", "venv", venv], capture_output=True, text=True)
    if made.returncode != 0:
        stop("no virtual environment can be made (Debian: apt-get install python3-venv): " + made.stdout + made.stderr)
    pip = [os.path.join(venv, "bin", "python"), "-m", "pip", "--disable-pip-version-check"]
    installed = subprocess.run(pip + ["install", "--quiet", "--requirement", path])
    if installed.returncode != 0:
        stop("pip could not install %s: see above; is the package index reachable?" % name)
    with open(ready, "w") as file:
        file.write(wanted)


def api():
    """For tools/api_cases.py alone, which asks for it: no demo waits for it."""
    requirements(API, "requirements-api.txt")


def main():
    check_machine()
    requirements(VENV, "requirements.txt")
    requirements(SAM, "requirements-sam.txt")
    link = os.path.join(VENV, "bin", "sam")
    if not os.path.lexists(link):
        os.symlink(os.path.join("..", "sam", "bin", "sam"), link)


if __name__ == "__main__":
    main()
