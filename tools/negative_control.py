"""The tests' own test: with a safeguard taken out, some test must fail.

Each case changes one place of a copy of the sources and runs the tests that
should notice, on a local AWS of its own. Ends 1 if a change goes unnoticed.
"""
import argparse
import os
import shutil
import subprocess
import sys

import local_aws
from local_aws import ROOT, Local, Stop

COPY = ROOT / ".local" / "negative-control"

FENCE = 'format!("{status} = {processing} AND {attempt} = {fence}")'
CASES = [
    ("the fence of complete, fail and release", "src/aws/jobs/endings.rs", FENCE, 'format!("{status} = {processing} OR {attempt} <= {fence}")', "claim interleavings"),
    ("the attempt in the fence", "src/aws/jobs/endings.rs", FENCE, 'format!("{status} = {processing} AND {attempt} >= {fence}")', "claim interleavings"),
    ("the status in the fence", "src/aws/jobs/endings.rs", FENCE, 'format!("({status} = {processing} OR {status} <> {processing}) AND {attempt} = {fence}")', "claim interleavings"),
    ("the lease in fail_silent", "src/aws/jobs/endings.rs", " AND {lease} <= {now}", " AND ({lease} <= {now} OR {lease} > {now})", "claim"),
    ("the lease in the claim", "src/aws/jobs/claim.rs", "{lease} <= {now} AND {tries}", "{lease} > :zero AND ({lease} > {now} OR {lease} <= {now}) AND {tries}", "claim interleavings"),
    ("the tries in the claim", "src/aws/jobs/claim.rs", "{tries} < {max_tries}", "({tries} < {max_tries} OR {tries} >= {max_tries})", "claim interleavings"),
    ("the edge of the lease", "src/aws/jobs/claim.rs", "{lease} <= {now} AND", "{lease} < {now} AND", "claim"),
    ("the attempt of a redrive", "src/domain/claim.rs", "claimant.redrive_of == Some(row.attempt)", "claimant.redrive_of.is_some()", "claim"),
    ("the owner of an own write", "src/aws/jobs/endings.rs", "&& row.owner.as_ref() == Some(&claim.owner)", "", "claim"),
    ("the charge of a throttled attempt", "src/domain/ending.rs", "charged: false,\n            after: full_jitter(at.receive_count", "charged: true,\n            after: full_jitter(at.receive_count", "consumer"),
    ("the dead letter before the row", "src/consumer/job.rs", "if let Err(error) = consumer.dead_letters.send(letter).await {", "if let Err(error) = Ok::<(), Unavailable>(drop(letter)) {", "consumer"),
    ("the table's word about the index", "src/aws/jobs/finished.rs", "if self.all_ended(&first).await?.is_none() {", "if !first.is_empty() {", "notifier"),
    ("the bus's word about each entry", "src/aws/events.rs", "if entry.event_id.is_some()", "if entry.event_id.is_some() || entry.error_code.is_some()", "notifier"),
    ("the burst in a reservation", "src/aws/quota.rs", "latest_start + QUOTA_BURST", "latest_start + QUOTA_BURST + QUOTA_BURST", "quota"),
    ("the quota before the claim", "src/consumer/job.rs", "Err(outcome) => return Handled::without_usage(outcome),\n    };\n    let claimant", "Err(_) => None,\n    };\n    let claimant", "quota"),
    ("the charge of a document larger than the quota", "src/consumer/permit.rs", "self.fit == Fit::Hardly", "self.fit == Fit::Never", "quota"),
    ("the status before a change", "src/domain/news.rs", "if before.has_ended() {", "if before == Status::Pending && before.has_ended() {", "notifier"),
]


PARSER = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
PARSER.add_argument("--port", type=int, default=4666, help="the local AWS's port; the stand-in takes the next")
PARSER.add_argument("--only", default="", help="only the cases whose name holds this, such as quota")
ASKED = PARSER.parse_args()
LOCAL = Local(ASKED.port, announced=False)


def sources() -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    for name in ["src", "tests", "examples", "bench", "events", "vendor"]:
        # With times of their own: cargo would take what the last run changed for these.
        shutil.copytree(ROOT / name, COPY / name, copy_function=shutil.copy)
    for name in ["Cargo.toml", "Cargo.lock", "template.yaml", "README.md", "ARCHITECTURE.md"]:
        shutil.copy(ROOT / name, COPY / name)


def run(tests: str) -> int:
    environment = os.environ | {
        "CARGO_TARGET_DIR": str(ROOT / "target" / "negative-control"),
        "DOCKET_OUTPUTS": str(LOCAL.directory / "outputs.env"),
        "INTERLEAVINGS": "500",
    }
    chosen = [word for test in tests.split() for word in ("--test", test)]
    for command in (
        ["cargo", "build", "--quiet", "--example", "bedrock_stand_in"],
        ["cargo", "test", "--quiet", "--no-run", *chosen],
    ):
        built = subprocess.run(command, cwd=COPY, env=environment, capture_output=True, text=True)
        if built.returncode != 0:
            sys.exit(f"negative control: a case does not compile:\n{built.stderr}")
    command = ["cargo", "test", "--quiet", *chosen, "--", "--include-ignored"]
    done = subprocess.run(command, cwd=COPY, env=environment, capture_output=True, text=True)
    (COPY / "last.log").write_text(done.stdout + done.stderr)
    return done.returncode


def main() -> int:
    cases = [case for case in CASES if ASKED.only in case[0]]
    if not cases:
        sys.exit(f"negative control: no case's name holds {ASKED.only!r}")
    sources()
    print("negative control: building, and running the tests unchanged", flush=True)
    if run(" ".join(sorted({test for *_, tests in cases for test in tests.split()}))) != 0:
        print("negative control: the tests fail unchanged; see .local/negative-control/last.log", file=sys.stderr)
        return 1
    unnoticed = 0
    for name, path, old, new, tests in cases:
        text = (ROOT / path).read_text()
        if text.count(old) != 1:
            sys.exit(f"negative control: {path} has {text.count(old)} places for the case {name!r}")
        (COPY / path).write_text(text.replace(old, new))
        noticed = run(tests) != 0
        (COPY / path).write_text(text)
        unnoticed += not noticed
        print(f"without {name}: {'a test fails' if noticed else 'NO TEST FAILS'}", flush=True)
    return 1 if unnoticed else 0


if __name__ == "__main__":
    try:
        local_aws.up(LOCAL)
        sys.exit(main())
    except Stop as stop:
        sys.exit(f"negative control: {stop}")
    finally:
        local_aws.down(LOCAL)
