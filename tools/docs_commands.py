"""Runs the commands of README.md and of the guide against the local AWS.

A block with the info string `console,local` is run; the blocks of one page run in one
shell, in their order. The commands of `console,demo` blocks are run by `make demo` and
`make test` themselves, and those of `console,account` blocks need an AWS account.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

from processes import ROOT

# Each page ends within this time; the longest one waits for thirteen documents.
PAGE_SECONDS = 180
BLOCK = re.compile(r"^```console,local\n(.*?)^```", re.MULTILINE | re.DOTALL)


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]


def script(text: str, directory: Path) -> str:
    """The commands of a page. The files of `make up` are those of this local AWS."""
    blocks = "\n".join(BLOCK.findall(text))
    return blocks.replace(". .local/", f". {directory.relative_to(ROOT)}/")


def run_page(page: Path, commands: str, directory: Path) -> bool:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment["DOCKET_OUTPUTS"] = str(directory / "outputs.env")
    command = ["bash", "-euo", "pipefail", "-c", commands]
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PAGE_SECONDS
        )
        problem = f"exit code {done.returncode}" if done.returncode else None
        output = done.stdout + done.stderr
    except subprocess.TimeoutExpired as expired:
        problem = f"no end within {PAGE_SECONDS} s"
        output = "".join((part or b"").decode(errors="replace") for part in (expired.stdout, expired.stderr))
    name = page.relative_to(ROOT)
    if problem is None:
        print(f"docs: {name}: ok")
        return True
    print(f"docs: {name}: {problem}\n{output[-4000:]}", file=sys.stderr)
    return False


def run(directory: Path) -> int:
    """Runs every page; returns 1 if one fails. `directory` holds outputs.env and functions.env."""
    scripts = [(page, script(page.read_text(), directory)) for page in pages()]
    scripts = [(page, commands) for page, commands in scripts if commands]
    if not scripts:
        print("docs: no page has a console,local block", file=sys.stderr)
        return 1
    results = [run_page(page, commands, directory) for page, commands in scripts]
    print(f"docs: {sum(results)} of {len(results)} pages ran")
    return 0 if all(results) else 1
