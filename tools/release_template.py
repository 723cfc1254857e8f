#!/usr/bin/env python3
"""Writes the folder that deploys a released version without Rust.

    tools/release_template.py --architecture arm64 --lambda-dir target/lambda --out dist/arm64
    tools/release_template.py --self-test

The folder gets `template.yaml`, whose functions name zips of the same folder,
the zips that cargo-lambda built, a `samconfig.toml` and the licence. A user
runs `sam deploy --guided` there, or `aws cloudformation package`. Needs PyYAML.
"""
import argparse
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURES = ("x86_64", "arm64")
FUNCTION = "AWS::Serverless::Function"

SAMCONFIG = """version = 0.1

[default.deploy.parameters]
stack_name = "docket"
resolve_s3 = true
capabilities = "CAPABILITY_IAM"
confirm_changeset = true
fail_on_empty_changeset = false
"""


class Fault(Exception):
    """The template is not as this tool needs it."""


class Loader(yaml.SafeLoader):
    """Keeps CloudFormation's short forms as pairs of tag and value."""


def short_form(loader: Loader, tag: str, node: yaml.Node):
    if isinstance(node, yaml.ScalarNode):
        return tag, loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return tag, loader.construct_sequence(node, deep=True)
    return tag, loader.construct_mapping(node, deep=True)


Loader.add_multi_constructor("!", short_form)


def parse(text: str) -> dict:
    return yaml.load(text, Loader)  # a SafeLoader


def binaries(template: dict) -> dict[str, str]:
    """The binary of each function, by the function's logical id."""
    found = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] != FUNCTION:
            continue
        try:
            found[name] = resource["Metadata"]["BuildProperties"]["Binary"]
        except KeyError as key:
            raise Fault(f"{name} has no Metadata.BuildProperties.Binary ({key} is missing)") from None
        if "CodeUri" in resource["Properties"]:
            raise Fault(f"{name} has its own CodeUri; only Globals may have one")
    if not found:
        raise Fault(f"the template has no {FUNCTION}")
    return found


def block(lines: list[str], header: str, begin: int = 0, end: int | None = None) -> tuple[int, int]:
    """First line after `header`, and the first that is no longer inside it."""
    end = len(lines) if end is None else end
    indent = len(header) - len(header.lstrip())
    for place in range(begin, end):
        if lines[place].rstrip() == header:
            stop = place + 1
            while stop < end and (not lines[stop].strip() or len(lines[stop]) - len(lines[stop].lstrip()) > indent):
                stop += 1
            return place + 1, stop
    raise Fault(f"the template has no line `{header}` where one is expected")


def substitute(lines: list[str], begin: int, end: int, pattern: str, value: str) -> None:
    for place in range(begin, end):
        if re.match(pattern, lines[place]):
            lines[place] = re.sub(pattern, lambda match: match.group(1) + value, lines[place])
            return
    raise Fault(f"the template has no line that matches `{pattern}` where one is expected")


def rewrite(text: str, architecture: str, version: str) -> str:
    """The released template. The text is edited, so that its comments stay."""
    lines = text.splitlines()
    for name, binary in binaries(parse(text)).items():
        begin, end = block(lines, f"  {name}:")
        metadata, metadata_end = block(lines, "    Metadata:", begin, end)
        del lines[metadata - 1:metadata_end]
        begin, end = block(lines, f"  {name}:")
        properties, _ = block(lines, "    Properties:", begin, end)
        lines.insert(properties, f"      CodeUri: {binary}.zip")
    begin, end = block(lines, "  Function:", *block(lines, "Globals:"))
    lines[begin:end] = [line for line in lines[begin:end] if not line.lstrip().startswith("CodeUri:")]
    parameters = block(lines, "Parameters:")
    begin, end = block(lines, "  Architecture:", *parameters)
    substitute(lines, begin, end, r"(\s+Default: ).*", architecture)
    substitute(lines, begin, end, r"(\s+AllowedValues: ).*", f"[{architecture}]")
    header = f"# Docket {version} for {architecture}, from template.yaml. The zips are in this folder."
    return "\n".join([header, *lines]) + "\n"


def expected(template: dict, architecture: str) -> dict:
    """The released template as data, by another way than `rewrite`."""
    functions = binaries(template)
    template["Globals"]["Function"].pop("CodeUri", None)
    for name, binary in functions.items():
        resource = template["Resources"][name]
        del resource["Metadata"]
        resource["Properties"]["CodeUri"] = f"{binary}.zip"
    template["Parameters"]["Architecture"].update({"Default": architecture, "AllowedValues": [architecture]})
    return template


def released(text: str, architecture: str, version: str) -> str:
    result = rewrite(text, architecture, version)
    if parse(result) != expected(parse(text), architecture):
        raise Fault("the rewritten template differs from the source in more than its code and architecture")
    return result


def write(text: str, architecture: str, version: str, lambda_dir: Path | None, out: Path) -> None:
    result = released(text, architecture, version)
    out.mkdir(parents=True, exist_ok=True)
    (out / "template.yaml").write_text(result, encoding="utf-8")
    (out / "samconfig.toml").write_text(SAMCONFIG, encoding="utf-8")
    shutil.copy(ROOT / "LICENSE", out / "LICENSE")
    for binary in sorted(set(binaries(parse(text)).values())) if lambda_dir else ():
        package = lambda_dir / binary / "bootstrap.zip"
        if not package.is_file():
            raise Fault(f"{package} is missing: run `cargo lambda build --release --output-format zip` first")
        with zipfile.ZipFile(package) as archive:
            names = {entry.filename: entry for entry in archive.infolist()}
        if "bootstrap" not in names or not names["bootstrap"].external_attr >> 16 & 0o111:
            raise Fault(f"{package} has no executable `bootstrap`")
        shutil.copy(package, out / f"{binary}.zip")


def package_version() -> str:
    match = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)
    if not match:
        raise Fault("Cargo.toml has no version")
    return match.group(1)


# ---------------------------------------------------------------- self-test

def self_test(text: str) -> int:
    failures = []
    functions = binaries(parse(text))
    for architecture in ARCHITECTURES:
        with tempfile.TemporaryDirectory() as folder:
            packages, out = Path(folder) / "lambda", Path(folder) / "out"
            for binary in functions.values():
                (packages / binary).mkdir(parents=True, exist_ok=True)
                with zipfile.ZipFile(packages / binary / "bootstrap.zip", "w") as archive:
                    entry = zipfile.ZipInfo("bootstrap")
                    entry.external_attr = 0o755 << 16
                    archive.writestr(entry, b"")
            write(text, architecture, "0.0.0", packages, out)
            template = parse((out / "template.yaml").read_text(encoding="utf-8"))
            for name in functions:
                resource = template["Resources"][name]
                uri = resource["Properties"].get("CodeUri")
                if not isinstance(uri, str) or not (out / uri).is_file():
                    failures.append(f"{architecture}: {name}.CodeUri is {uri!r}, no zip of the folder")
                if "BuildMethod" in resource.get("Metadata", {}):
                    failures.append(f"{architecture}: {name} has a BuildMethod")
            if "BuildMethod" in (out / "template.yaml").read_text(encoding="utf-8"):
                failures.append(f"{architecture}: a BuildMethod is left")
            if template["Parameters"]["Architecture"]["AllowedValues"] != [architecture]:
                failures.append(f"{architecture}: the template allows another architecture")
    for case, fault in (
        ("no binary", text.replace("BuildProperties", "Other", 1)),
        ("its own CodeUri", text.replace("    Properties:\n      Description", "    Properties:\n      CodeUri: x\n      Description", 1)),
        ("no architecture", text.replace("\n  Architecture:\n", "\n  Processor:\n", 1)),
        ("no globals", text.replace("\nGlobals:\n", "\nOther:\n", 1)),
    ):
        try:
            released(fault, "arm64", "0.0.0")
            failures.append(f"{case}: no fault was found")
        except (Fault, KeyError):
            pass
    for failure in failures:
        print(f"release_template: self-test: {failure}", file=sys.stderr)
    print(f"release_template: self-test: {len(failures)} failures, {len(functions)} functions")
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", choices=ARCHITECTURES)
    parser.add_argument("--lambda-dir", type=Path, help="where cargo-lambda wrote the zips; without it, no zips are copied")
    parser.add_argument("--out", type=Path, help="the folder to write")
    parser.add_argument("--template", type=Path, default=ROOT / "template.yaml")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    try:
        text = arguments.template.read_text(encoding="utf-8")
        if arguments.self_test:
            return self_test(text)
        if not arguments.architecture or not arguments.out:
            parser.error("--architecture and --out are required")
        write(text, arguments.architecture, package_version(), arguments.lambda_dir, arguments.out)
    except (Fault, OSError) as fault:
        print(f"release_template: {fault}", file=sys.stderr)
        return 1
    print(f"release_template: wrote {arguments.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
