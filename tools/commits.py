#!/usr/bin/env python3
"""Checks commit messages: an imperative subject of at most 72 characters, and a body that says why.

    tools/commits.py                   the commits since origin/main
    tools/commits.py RANGE             such as `main..HEAD`
    tools/commits.py --self-test

Merge commits and those of Dependabot are not checked.
"""
import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUBJECT_CHARS = 72
BOTS = ("dependabot[bot]",)

# First words that begin a description, not an instruction.
NOT_VERBS = {
    "a", "all", "an", "and", "any", "both", "each", "every", "for", "from", "how", "if", "in", "it", "its", "more", "new", "no",
    "now", "of", "on", "one", "only", "so", "some", "ten", "that", "the", "these", "this", "those", "to", "two", "what", "when",
    "where", "which", "who", "why", "with",
}
VERBS = {"address", "alias", "bias", "bring", "discuss", "embed", "express", "feed", "focus", "need", "pass", "ping", "process",
         "proceed", "seed", "shed", "speed", "spring", "string", "suppress", "swing"}


def is_imperative(subject: str) -> bool:
    """A guess by the first word's form; it finds the third person, the past, and descriptions."""
    word = re.match(r"[A-Za-z-]*", subject).group().lower()
    if word in VERBS:
        return True
    return bool(word) and word not in NOT_VERBS and not re.search(r"(?:ed|ing|[^s]s)$", word)


def faults(message: str) -> list[str]:
    subject, _, body = message.strip().partition("\n")
    found = []
    if len(subject) > SUBJECT_CHARS:
        found.append(f"the subject has {len(subject)} characters; at most {SUBJECT_CHARS} are allowed")
    if not subject[:1].isupper():
        found.append("the subject begins with a capital letter")
    if subject.endswith("."):
        found.append("the subject ends without a full stop")
    if not is_imperative(subject):
        found.append("the subject is imperative: `Release the job when the lease is lost`")
    if not body.strip():
        found.append("the body is missing; it says why")
    elif not body.startswith("\n"):
        found.append("a blank line follows the subject")
    return found


def commits(revisions: str) -> list[tuple[str, str, str]]:
    """Id, author and message of each commit that is no merge."""
    log = subprocess.run(["git", "log", "--no-merges", "-z", "--format=%h%x00%an%x00%B", revisions, "--"],
                         cwd=ROOT, capture_output=True, text=True)
    if log.returncode != 0:
        sys.exit(f"commits: git log {revisions}: {log.stderr.strip()}")
    fields = log.stdout.split("\0")
    return list(zip(fields[0::3], fields[1::3], fields[2::3]))


def self_test() -> int:
    why = "\n\nBecause a worker that lost its lease must change nothing.\n"
    good = ["Release the job when the lease is lost", "Process records one by one", "Add `docket watch`", "Address a race"]
    bad = ["Releases the job", "Released the job", "Releasing the job", "The job is released", "What is left", "release the job",
           "Release the job.", "Release " + "x" * 65, "It works"]
    failures = [subject for subject in good if faults(subject + why)] + [subject for subject in bad if not faults(subject + why)]
    failures += [message for message in ("Release the job", "Release the job\nwhy") if not faults(message)]
    for failure in failures:
        print(f"commits: self-test: {failure!r}: {faults(failure)}", file=sys.stderr)
    print(f"commits: self-test: {len(failures)} failures")
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revisions", nargs="?", default="origin/main..HEAD")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    checked = [commit for commit in commits(arguments.revisions) if commit[1] not in BOTS]
    count = 0
    for name, _, message in checked:
        for fault in faults(message):
            count += 1
            print(f"{name}: {message.strip().splitlines()[0]!r}: {fault}")
    print(f"commits: {count} findings in {len(checked)} commits")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
