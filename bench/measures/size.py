"""What is uploaded: the release binaries, their zips, what they are made of; beside them the peer's zip."""
import io
import shutil
import subprocess
import tempfile
import time
import zipfile
from pathlib import Path

from lab import PEERS, PYTHON, Lab, Stop, say
from results import DOCKET, POWERTOOLS, ROOT, Result

REPEATS = 1
FUNCTIONS = ("consumer", "producer", "notifier")
MEGABYTES = 4
HANDLER, WITH_BOTO3 = "handler and Powertools", "handler, Powertools and boto3"
# What `pip install` brings for each, and the runtime's own interface left out.
OF_POWERTOOLS = ("aws_lambda_powertools", "jmespath", "typing_extensions")
OF_BOTO3 = ("boto3", "botocore", "s3transfer", "urllib3", "dateutil", "python_dateutil", "six")


def zipped(files: dict[str, Path]) -> int:
    """Bytes of a zip of the files, deflated as zip and SAM do."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(files.items()):
            archive.write(path, name)
    return len(buffer.getvalue())


def packages(names: tuple[str, ...]) -> dict[str, Path]:
    """The files of these packages, without compiled bytecode."""
    site = next((PYTHON.parent.parent / "lib").glob("python*")) / "site-packages"
    wanted = [
        path for path in site.iterdir() if path.name.removesuffix(".py").split("-")[0] in names
    ]
    missing = [name for name in names if not any(path.name.startswith(name) for path in wanted)]
    if missing:
        raise Stop(f".venv/bench has no {missing[0]}")
    files = [file for path in wanted for file in ([path] if path.is_file() else path.rglob("*"))]
    return {str(file.relative_to(site)): file for file in files if file.is_file() and "__pycache__" not in file.parts}


def crates() -> int:
    """Crates that the functions are made of, Docket left out."""
    command = ["cargo", "tree", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--target", "x86_64-unknown-linux-gnu"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        raise Stop(f"cargo tree: {listed.stderr}")
    names = {" ".join(line.split()[:2]) for line in listed.stdout.splitlines() if line.strip()}
    return len(names) - 1


def clean_build() -> float:
    """Seconds of a release build of the functions from nothing; the sources of the crates are there."""
    with tempfile.TemporaryDirectory(prefix="docket-build-") as target:
        subprocess.run(["cargo", "fetch", "--quiet"], cwd=ROOT, check=True)
        begun = time.monotonic()
        command = ["cargo", "build", "--release", "--bins", "--target-dir", target]
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            raise Stop("cargo could not build: see above")
        return time.monotonic() - begun


def binary(directory: Path, name: str, into: Path) -> Path:
    """A function as it is deployed: without its symbols."""
    path = into / name
    shutil.copy(directory / name, path)
    if shutil.which("strip"):
        subprocess.run(["strip", str(path)], check=True)
    return path


def run(lab: Lab, _repeats: int) -> Result:
    result = lab.result("size", "What is uploaded", "MB")
    with tempfile.TemporaryDirectory() as scratch:
        for name in FUNCTIONS:
            path = binary(lab.consumer.parent, name, Path(scratch))
            result.add(DOCKET, name, "zip", zipped({"bootstrap": path}) / 1e6)
            result.add(DOCKET, name, "unpacked", path.stat().st_size / 1e6)
    result.add(DOCKET, "all functions", "packages", crates(), "packages")
    handler = {path.name: path for path in PEERS.iterdir() if path.is_file()}
    for at, names in ((HANDLER, OF_POWERTOOLS), (WITH_BOTO3, OF_POWERTOOLS + OF_BOTO3)):
        files = handler | packages(names)
        result.add(POWERTOOLS, at, "zip", zipped(files) / 1e6)
        result.add(POWERTOOLS, at, "unpacked", sum(path.stat().st_size for path in files.values()) / 1e6)
        result.add(POWERTOOLS, at, "packages", len(set(names) - {"python_dateutil"}), "packages")
        above, own = result.values(POWERTOOLS, at, "zip"), result.values(DOCKET, "consumer", "zip")
        result.ratio(f"zip: {POWERTOOLS} ÷ {DOCKET}, {at}", above, own)
    consumer = result.median(DOCKET, "consumer", "zip")
    result.bar(f"the consumer's zip ≤ {MEGABYTES} MB", consumer, consumer <= MEGABYTES, MEGABYTES, "zip", "consumer")
    if lab.clean_build:
        result.add(DOCKET, "all functions", "clean build", clean_build(), "s")
    for series in result.series:
        say(f"size {series.variant}, {series.at}, {series.quantity}: {series.values[0]:g} {series.unit}")
    result.note("Zips are made with deflate at its usual level, as zip and SAM make them; MB are 10^6 bytes.")
    result.note("The zip of the functions holds the binary alone, without symbols, as `cargo build --release` makes it for this machine; `make build` makes it with the same profile by cargo-lambda. Lambda's Python brings boto3 along; who pins a version of it packs it too, so both are given.")
    result.note("Packages are the crates that all three functions together are made of; a crate is smaller than a Python package usually is.")
    return result
