"""The deployment packages: the release binaries, their zips and crates, and the zip of the peer."""
import io
import shutil
import subprocess
import tempfile
import time
import zipfile
from pathlib import Path

from lab import PEERS, PYTHON, BenchError, Lab, print_status
from results import DOCKET, POWERTOOLS, ROOT, Result

REPEATS = 1
FUNCTIONS = ("consumer", "producer", "notifier")
MAX_MEGABYTES = 8
HANDLER, WITH_BOTO3 = "handler and Powertools", "handler, Powertools and boto3"
# The packages that `pip install` installs for each, without the runtime interface client.
POWERTOOLS_PACKAGES = ("aws_lambda_powertools", "jmespath", "typing_extensions")
BOTO3_PACKAGES = ("boto3", "botocore", "s3transfer", "urllib3", "dateutil", "python_dateutil", "six")


def zip_size(files: dict[str, Path]) -> int:
    """Bytes of a zip of the files, compressed as zip and SAM do it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(files.items()):
            archive.write(path, name)
    return len(buffer.getvalue())


def list_package_files(names: tuple[str, ...]) -> dict[str, Path]:
    """The files of these packages without bytecode, by their path in site-packages."""
    site = next((PYTHON.parent.parent / "lib").glob("python*")) / "site-packages"
    paths = [path for path in site.iterdir() if path.name.removesuffix(".py").split("-")[0] in names]
    missing = [name for name in names if not any(path.name.startswith(name) for path in paths)]
    if missing:
        raise BenchError(f".venv/bench has no package {missing[0]}: remove .venv/bench/ready and run again")
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
    return {str(file.relative_to(site)): file for file in files if file.is_file() and "__pycache__" not in file.parts}


def count_crates() -> int:
    """The number of crates that the functions depend on."""
    command = ["cargo", "tree", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--target", "x86_64-unknown-linux-gnu"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        raise BenchError(f"cargo tree failed: {listed.stderr}")
    names = {" ".join(line.split()[:2]) for line in listed.stdout.splitlines() if line.strip()}
    return len(names) - 1


def measure_clean_build() -> float:
    """Seconds of a release build of the functions without cached artifacts, after `cargo fetch`."""
    with tempfile.TemporaryDirectory(prefix="docket-build-") as target:
        subprocess.run(["cargo", "fetch", "--quiet"], cwd=ROOT, check=True)
        started = time.monotonic()
        command = ["cargo", "build", "--release", "--bins", "--target-dir", target]
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            raise BenchError("cargo build failed: see the compiler's messages above")
        return time.monotonic() - started


def copy_stripped(source: Path, target: Path) -> Path:
    """Copies the binary of a function without symbols, as it is deployed."""
    path = target / source.name
    shutil.copy(source, path)
    if shutil.which("strip"):
        subprocess.run(["strip", str(path)], check=True)
    return path


def run(lab: Lab, _repeats: int) -> Result:
    result = lab.begin_result("size", "Deployment packages", "MB")
    with tempfile.TemporaryDirectory() as scratch:
        for name in FUNCTIONS:
            path = copy_stripped(lab.consumer.parent / name, Path(scratch))
            result.add(DOCKET, name, "zip", zip_size({"bootstrap": path}) / 1e6)
            result.add(DOCKET, name, "unpacked", path.stat().st_size / 1e6)
    result.add(DOCKET, "all functions", "packages", count_crates(), "packages")
    handler = {path.name: path for path in PEERS.iterdir() if path.is_file()}
    for at, names in ((HANDLER, POWERTOOLS_PACKAGES), (WITH_BOTO3, POWERTOOLS_PACKAGES + BOTO3_PACKAGES)):
        files = handler | list_package_files(names)
        result.add(POWERTOOLS, at, "zip", zip_size(files) / 1e6)
        result.add(POWERTOOLS, at, "unpacked", sum(path.stat().st_size for path in files.values()) / 1e6)
        result.add(POWERTOOLS, at, "packages", len(set(names) - {"python_dateutil"}), "packages")
        above, own = result.values(POWERTOOLS, at, "zip"), result.values(DOCKET, "consumer", "zip")
        result.add_ratio(f"zip: {POWERTOOLS} ÷ {DOCKET}, {at}", above, own)
    consumer = result.median(DOCKET, "consumer", "zip")
    result.add_bar(f"zip of the consumer ≤ {MAX_MEGABYTES} MB", consumer, consumer <= MAX_MEGABYTES, MAX_MEGABYTES, "zip", "consumer")
    if lab.clean_build:
        result.add(DOCKET, "all functions", "clean build", measure_clean_build(), "s")
    for series in result.series:
        print_status(f"size {series.variant}, {series.at}, {series.quantity}: {series.values[0]:g} {series.unit}")
    result.add_note("Zips use deflate with its default level, as zip and SAM do. MB are 10^6 bytes.")
    result.add_note("The zip of a function contains its binary only, without symbols, as `cargo build --release` builds it for this machine. `make build` uses the same profile with cargo-lambda.")
    result.add_note("Lambda's Python runtime includes boto3. A function that pins a version of boto3 must package it, so both zips are shown.")
    result.add_note("Packages are the crates of all three functions together. A crate is usually smaller than a Python package.")
    return result
