"""Writes the template and the list with which CloudFormation imports the kept resources of a deleted stack.

`sam delete` keeps the tables, the bucket and the queues that have data. This tool takes
their definitions from template.yaml, so that a new stack owns them again:

    .venv/sam/bin/python tools/import_template.py --out target/import \\
        --resource JobsTable=NAME --resource DocumentsBucket=NAME \\
        --resource DeadLetterQueue=URL --resource NotifierFailureQueue=URL
    .venv/sam/bin/python tools/import_template.py --self-test

docs/operations/upgrades.md has the commands that follow. A resource that the list does not
name stays outside the new stack, which then creates an empty one. Needs the Python of
.venv/sam; the tool makes no request.
"""
import argparse
import copy
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parent.parent

# The property by which CloudFormation identifies a resource of each type.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-manually.html
IDENTIFIERS = {
    "AWS::DynamoDB::Table": "TableName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::SQS::Queue": "QueueUrl",
}
KEPT = "RetainExceptOnCreate"
SUB_NAME = re.compile(r"\$\{([^!}.][^}.]*)(\.[^}]*)?\}")


class Fault(Exception):
    """The template or an argument is not as this tool needs it."""


def kept_resources(source: dict) -> dict[str, dict]:
    """The resources of the template that stay after `sam delete`, and can be imported."""
    kept = {name: item for name, item in source["Resources"].items() if item.get("DeletionPolicy") == KEPT}
    unknown = sorted(name for name, item in kept.items() if item["Type"] not in IDENTIFIERS)
    if unknown:
        raise Fault(f"no identifier is known for the types of {', '.join(unknown)}: add them to IDENTIFIERS")
    return kept


def names_in(value) -> Iterator[str]:
    """The names of all parameters, resources and conditions that a value uses."""
    if isinstance(value, list):
        for child in value:
            yield from names_in(child)
    if not isinstance(value, dict):
        return
    for key, child in value.items():
        if key in ("Ref", "Condition") and isinstance(child, str):
            yield child
        elif key == "Fn::GetAtt":
            yield child.split(".")[0] if isinstance(child, str) else child[0]
        elif key == "Fn::Sub":
            yield from (name for name, _ in SUB_NAME.findall(child if isinstance(child, str) else child[0]))
        elif key == "Fn::If":
            yield child[0]
        yield from names_in(child)


def import_template(source: dict, names: list[str]) -> dict:
    """The template of an import: the named resources, with the parameters and conditions that they use.

    A property that names another resource is left out. The deployment after the import
    sets it, because CloudFormation changes nothing at an import.
    """
    kept = kept_resources(source)
    if missing := [name for name in names if name not in kept]:
        raise Fault(f"{', '.join(missing)}: use one of {', '.join(kept)}")
    resources = {}
    for name in names:
        item = copy.deepcopy(kept[name])
        others = source["Resources"].keys() - {name}
        properties = {key: value for key, value in item["Properties"].items() if not others & set(names_in(value))}
        # A rolled back import must delete nothing.
        resources[name] = {
            "Type": item["Type"], "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain", "Properties": properties,
        }
    used, conditions = set(names_in(resources)), {}
    while new := (used & source.get("Conditions", {}).keys()) - conditions.keys():
        conditions.update({name: source["Conditions"][name] for name in new})
        used |= set(names_in(conditions))
    parameters = {name: value for name, value in source["Parameters"].items() if name in used}
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Imports the kept resources of a deleted stack of Docket. Deploy template.yaml afterwards.",
        "Parameters": parameters,
        "Conditions": {name: conditions[name] for name in sorted(conditions)},
        "Resources": resources,
    }
    return {key: value for key, value in template.items() if value}


def resources_to_import(source: dict, identifiers: dict[str, str]) -> list[dict]:
    """The list for `--resources-to-import`."""
    types = {name: item["Type"] for name, item in kept_resources(source).items()}
    return [
        {
            "ResourceType": types[name],
            "LogicalResourceId": name,
            "ResourceIdentifier": {IDENTIFIERS[types[name]]: identifier},
        }
        for name, identifier in identifiers.items()
    ]


def read_identifiers(pairs: list[str]) -> dict[str, str]:
    identifiers = {}
    for pair in pairs:
        name, _, identifier = pair.partition("=")
        if not identifier or name in identifiers:
            raise Fault(f"--resource {pair}: write each resource once, as LogicalId=identifier")
        identifiers[name] = identifier
    if not identifiers:
        raise Fault("name at least one --resource")
    return identifiers


def write(source: dict, identifiers: dict[str, str], out: Path) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    contents = {
        out / "template.json": import_template(source, list(identifiers)),
        out / "resources.json": resources_to_import(source, identifiers),
    }
    for path, content in contents.items():
        path.write_text(json.dumps(content, indent=2) + "\n")
    return list(contents)


def find_faults(source: dict) -> Iterator[str]:
    """Reasons why the import of all kept resources would fail."""
    from template_lint import run_cfn_lint

    kept = kept_resources(source)
    template = import_template(source, list(kept))
    for name in ("JobsTable", "DocumentsBucket", "DeadLetterQueue"):
        if name not in kept:
            yield f"{name} is not kept by the template"
    for name in set(names_in(template)) - {name for name in names_in(template) if name.startswith("AWS::")}:
        if not any(name in template.get(section, {}) for section in ("Parameters", "Conditions", "Resources")):
            yield f"the import names {name}, which it does not define"
    for name, item in template["Resources"].items():
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-manually.html
        if item.get("DeletionPolicy") != "Retain":
            yield f"{name} has no DeletionPolicy"
        if set(item) & {"Condition", "DependsOn"}:
            yield f"{name} depends on what is not imported"
        if "KeySchema" in kept[name]["Properties"] and "KeySchema" not in item["Properties"]:
            yield f"{name} lost its keys"
    if "Outputs" in template or "Transform" in template:
        yield "an import changes no output, and needs no transform"
    for path, message in run_cfn_lint(template, ("us-east-1",)):
        yield f"{path}: {message}"


def self_test() -> int:
    """Lints the import of template.yaml, and proves that a planted fault is found."""
    source = yaml_parse((ROOT / "template.yaml").read_text())
    errors = list(find_faults(source))
    broken = copy.deepcopy(source)
    broken["Resources"]["JobsTable"]["Properties"]["Colour"] = "red"
    if not any("Colour" in fault for fault in find_faults(broken)):
        errors.append("self-test: an unknown property was not found")
    unkept = copy.deepcopy(source)
    del unkept["Resources"]["DocumentsBucket"]["DeletionPolicy"]
    if "DocumentsBucket is not kept by the template" not in list(find_faults(unkept)):
        errors.append("self-test: a bucket that is deleted with the stack was not found")
    identifiers = {"JobsTable": "t", "DocumentsBucket": "b", "DeadLetterQueue": "https://queue.example/q"}
    with tempfile.TemporaryDirectory() as folder:
        template, resources = (json.loads(path.read_text()) for path in write(source, identifiers, Path(folder)))
    if set(template["Resources"]) != set(identifiers) or "NotificationConfiguration" in str(template):
        errors.append("self-test: the template has other resources than the list")
    found = {item["LogicalResourceId"]: list(item["ResourceIdentifier"].items())[0] for item in resources}
    if found != {
        "JobsTable": ("TableName", "t"),
        "DocumentsBucket": ("BucketName", "b"),
        "DeadLetterQueue": ("QueueUrl", "https://queue.example/q"),
    }:
        errors.append(f"self-test: the list is {found}")
    for pairs in ([], ["JobsTable"], ["JobsTable=a", "JobsTable=b"]):
        try:
            read_identifiers(pairs)
            errors.append(f"self-test: {pairs} was accepted")
        except Fault:
            pass
    for error in errors:
        print(f"import_template: {error}", file=sys.stderr)
    return 1 if errors else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resource", action="append", default=[], metavar="LOGICALID=IDENTIFIER")
    parser.add_argument("--out", type=Path, help="the folder for template.json and resources.json")
    parser.add_argument("--self-test", action="store_true", help="lint the import of template.yaml, and test this tool")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    if arguments.out is None:
        parser.error("--out is missing")
    source = yaml_parse((ROOT / "template.yaml").read_text())
    for path in write(source, read_identifiers(arguments.resource), arguments.out):
        print(path)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Fault as fault:
        print(f"import_template: {fault}", file=sys.stderr)
        sys.exit(1)
