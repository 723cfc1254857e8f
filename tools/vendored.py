#!/usr/bin/env python3
"""Checks that Cargo uses the vendored crates in place of the originals.

    tools/vendored.py               checks the workspace, by `cargo metadata --locked`
    tools/vendored.py --self-test   proves that each fault is found

Cargo only warns when it does not use a patch. The functions would then contain the
original crate. A vendored crate names the newest requirement with which it was compared:

    [package.metadata.vendored]
    requirement = "^1.9.0"

The check fails when this requirement differs from the newest one of the dependencies.
Needs Python and cargo alone.
"""
import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDORED = {"crc-fast": "vendor/crc-fast"}
UNUSED = re.compile(r"patch `(.+?)` was not used", re.IGNORECASE)


def highest_version(requirement: str) -> tuple[int, ...]:
    """The highest version that a requirement names, such as (1, 9, 0) for `^1.9`."""
    versions = re.findall(r"\d+(?:\.\d+)*", requirement)
    numbers = [[int(number) for number in version.split(".")] for version in versions]
    return max((tuple((version + [0, 0])[:3]) for version in numbers), default=(0, 0, 0))


def requirements(metadata: dict, name: str) -> dict[str, list[str]]:
    """The requirements on a crate, by the id of the package that Cargo selected for them."""
    packages = {package["id"]: package for package in metadata["packages"]}
    found: dict[str, list[str]] = {}
    for node in metadata["resolve"]["nodes"]:
        selected = {dependency["pkg"] for dependency in node["deps"] if packages[dependency["pkg"]]["name"] == name}
        dependent = packages[node["id"]]
        for package_id in selected:
            found.setdefault(package_id, []).extend(
                f"{dependent['name']} {dependent['version']} requires {dependency['req']}"
                for dependency in dependent["dependencies"] if dependency["name"] == name)
    return found


def unused_patches(messages: str) -> list[str]:
    """The patches that Cargo reports as unused, of vendored crates or others."""
    return [f"Cargo does not use the patch {patch}: update the crate, or remove its entry under [patch.crates-io] in Cargo.toml"
            for patch in UNUSED.findall(messages)]


def faults(metadata: dict, name: str, directory: str) -> list[str]:
    """The faults of one vendored crate, each with its remedy."""
    selected = requirements(metadata, name)
    packages = {package["id"]: package for package in metadata["packages"]}
    manifest = f"{metadata['workspace_root']}/{directory}/Cargo.toml"
    if not selected:
        return [f"no package depends on {name}: remove {directory} and its entry under [patch.crates-io] in Cargo.toml"]

    found = []
    for package_id, required in sorted(selected.items()):
        package = packages[package_id]
        if package["source"] is not None or package["manifest_path"] != manifest:
            found.append(f"Cargo uses {name} {package['version']} of {package['source'] or package['manifest_path']} "
                         f"({', '.join(sorted(required))}): update {directory} as its README.md describes")
    if found:
        return found

    package = packages[next(iter(selected))]
    newest = max((line.rpartition(" requires ")[2] for lines in selected.values() for line in lines), key=highest_version)
    compared = ((package["metadata"] or {}).get("vendored") or {}).get("requirement")
    if compared != newest:
        found.append(f"the newest requirement on {name} is {newest}, and {directory}/Cargo.toml was compared with {compared}: "
                     f"follow the steps under Updates in {directory}/README.md")
    return found


def read_metadata() -> tuple[dict, str]:
    process = subprocess.run(["cargo", "metadata", "--locked", "--format-version", "1"], cwd=ROOT, text=True, capture_output=True)
    if process.returncode:
        sys.exit(f"vendored: cargo metadata failed:\n{process.stderr.strip()}")
    return json.loads(process.stdout), process.stderr


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-test", action="store_true")
    if parser.parse_args().self_test:
        return self_test()
    metadata, messages = read_metadata()
    found = unused_patches(messages)
    for name, directory in VENDORED.items():
        found += faults(metadata, name, directory)
    for fault in found:
        print(f"vendored: {fault}", file=sys.stderr)
    print(f"vendored: {', '.join(VENDORED)}: {len(found)} faults")
    return 1 if found else 0


# ---------------------------------------------------------------- self-test

REGISTRY = "registry+https://registry.test/index"


def planted(*, requirement: str = "^1.9.0", compared: str | None = "^1.9.0", source: str | None = None,
            directory: str = "vendor/crc-fast", second_requirement: str | None = None) -> dict:
    """Metadata of a workspace in which `user` depends on crc-fast, and `other` if it has a requirement."""
    vendored = {"id": "crc-fast", "name": "crc-fast", "version": "1.10.0", "source": source,
                "manifest_path": f"/workspace/{directory}/Cargo.toml", "dependencies": [],
                "metadata": {"vendored": {"requirement": compared}} if compared else None}
    required = {"user": requirement} | ({"other": second_requirement} if second_requirement else {})
    users = [{"id": name, "name": name, "version": "1.0.0", "source": REGISTRY, "manifest_path": "", "metadata": None,
              "dependencies": [{"name": "crc-fast", "req": version}]} for name, version in required.items()]
    nodes = [{"id": name, "deps": [{"pkg": "crc-fast"}]} for name in required]
    return {"workspace_root": "/workspace", "packages": [vendored, *users],
            "resolve": {"nodes": [{"id": "crc-fast", "deps": []}, *nodes]}}


def self_test() -> int:
    failures = []

    def expect(case: str, metadata: dict, phrase: str) -> None:
        """`phrase` is in the only fault; without a phrase there is no fault."""
        found = faults(metadata, "crc-fast", "vendor/crc-fast")
        if not (len(found) == 1 and phrase in found[0] if phrase else not found):
            failures.append(f"{case}: {found}")

    expect("a used patch", planted(), "")
    expect("an older second requirement", planted(second_requirement="^1.2"), "")
    expect("the original", planted(source=REGISTRY), "user 1.0.0 requires ^1.9.0")
    expect("another directory", planted(directory="vendor/other"), "/workspace/vendor/other/Cargo.toml")
    expect("a newer requirement", planted(requirement="^1.10.0"), "requirement on crc-fast is ^1.10.0")
    expect("a newer second requirement", planted(second_requirement="^1.9.1"), "requirement on crc-fast is ^1.9.1")
    expect("no recorded requirement", planted(compared=None), "compared with None")
    unused = planted()
    unused["resolve"]["nodes"] = unused["resolve"]["nodes"][:1]
    expect("no dependent package", unused, "no package depends on crc-fast")
    both = planted()
    both["packages"].append({**both["packages"][0], "id": "original", "source": REGISTRY, "version": "2.0.0"})
    both["resolve"]["nodes"][1]["deps"].append({"pkg": "original"})
    expect("the patch and the original", both, "Cargo uses crc-fast 2.0.0")

    warning = "warning: patch `crc-fast v0.9.0 (/workspace/vendor/crc-fast)` was not used in the crate graph\nhelp: …\n"
    if [fault.count("crc-fast v0.9.0") for fault in unused_patches(warning)] != [1] or unused_patches("Locking 2 packages\n"):
        failures.append(f"Cargo's warning: {unused_patches(warning)}")
    for requirement, expected in {"^1.9": (1, 9, 0), ">=1.2, <2": (2, 0, 0), "=1.10.3": (1, 10, 3), "*": (0, 0, 0)}.items():
        if highest_version(requirement) != expected:
            failures.append(f"{requirement}: {highest_version(requirement)}, not {expected}")

    for failure in failures:
        print(f"vendored: self-test: {failure}", file=sys.stderr)
    print(f"vendored: self-test: {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
