#!/usr/bin/env python3
"""Writes the hashes of all wheels and source archives into the requirements files.

    tools/hash_requirements.py           after a version changed
    tools/hash_requirements.py --check   fails if a requirement has no version or no hash

pip installs a file with hashes only if each download has one of them, so a package that was
replaced at the index is refused. The hashes are those of the index that pip uses. The
versions, their conditions and the comments at the start of a file stay.
`--check` needs no network; otherwise the tool installs uv into a temporary folder.
"""
import argparse
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV_VERSION = "0.13.9"
# The oldest Python that the tools support: see setup.py.
PYTHON_VERSION = "3.10"
REQUIREMENT = re.compile(r"^(?P<name>[A-Za-z0-9._-]+(\[[A-Za-z0-9._,-]+\])?)==(?P<version>[A-Za-z0-9.+!_-]+)")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


def files() -> list[Path]:
    found = [*sorted((ROOT / "tools").glob("requirements*.txt")), ROOT / "bench/requirements.txt"]
    return [path for path in found if path.exists()]


def header(text: str) -> str:
    """The comments at the start of a file."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def requirements(text: str) -> list[str]:
    """The requirements of a file, each as one line with its hashes."""
    joined = re.sub(r"\\\n\s*", " ", text)
    return [line.strip() for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def find_faults(text: str) -> list[str]:
    faults = []
    for line in requirements(text):
        name = line.split()[0].split("==")[0]
        if not REQUIREMENT.match(line):
            faults.append(f"{name} has no exact version")
        elif not HASH.search(line):
            faults.append(f"{name} has no hash")
    return faults


def check() -> int:
    planted = {"a==1.0\n": "a has no hash", f"b>=1 --hash=sha256:{'0' * 64}\n": "b>=1 has no exact version"}
    for text, fault in planted.items():
        if find_faults(text) != [fault]:
            print(f"hash_requirements: the check does not find {fault!r}", file=sys.stderr)
            return 1
    faults = [f"{path.relative_to(ROOT)}: {fault}" for path in files() for fault in find_faults(path.read_text())]
    for fault in faults:
        print(f"hash_requirements: {fault}; run tools/hash_requirements.py", file=sys.stderr)
    return 1 if faults else 0


def write() -> int:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        binaries = Path(folder) / "bin"
        pip = [binaries / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, f"uv=={UV_VERSION}"], check=True)
        for path in files():
            out = Path(folder) / path.name
            command = [
                binaries / "uv", "pip", "compile", "--quiet", "--universal", "--no-deps", "--generate-hashes",
                "--no-header", "--no-annotate", "--python-version", PYTHON_VERSION, "--output-file", out, path,
            ]
            subprocess.run(command, check=True, cwd=ROOT)
            path.write_text(header(path.read_text()) + out.read_text())
            print(path.relative_to(ROOT), flush=True)
    return check()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a requirement has no hash")
    return check() if parser.parse_args().check else write()


if __name__ == "__main__":
    sys.exit(main())
