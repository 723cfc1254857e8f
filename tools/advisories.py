#!/usr/bin/env python3
"""Checks Cargo.lock against the RustSec advisories, if their database can be fetched.

    tools/advisories.py             says so when it skips the check
    tools/advisories.py --require   fails instead; the workflow audit.yml runs it

Needs `cargo deny`.
"""
import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FETCH_SECONDS = 60
# Git gives up when fewer than 1,000 bytes a second arrive for 20 s, and asks nobody for a password.
PATIENCE = {"GIT_HTTP_LOW_SPEED_LIMIT": "1000", "GIT_HTTP_LOW_SPEED_TIME": "20", "GIT_TERMINAL_PROMPT": "0"}


def fetch() -> str:
    """Fetches the database; returns the reason of a failure, or nothing."""
    try:
        fetched = subprocess.run(["cargo", "deny", "fetch", "db"], cwd=ROOT, env=os.environ | PATIENCE, text=True,
                                 capture_output=True, timeout=FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        return f"no answer within {FETCH_SECONDS} s"
    except FileNotFoundError:
        return "cargo is missing"
    lines = fetched.stderr.strip().splitlines() or ["no message"]
    return "" if fetched.returncode == 0 else lines[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--require", action="store_true", help="fail when the database cannot be fetched")
    arguments = parser.parse_args()
    reason = fetch()
    if reason:
        print(f"advisories: SKIPPED, the database cannot be fetched: {reason}", file=sys.stderr)
        return 1 if arguments.require else 0
    return subprocess.run(["cargo", "deny", "--locked", "--workspace", "check", "--disable-fetch", "advisories"],
                          cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
