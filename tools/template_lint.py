"""Checks the CloudFormation template that SAM generates from template.yaml.

`sam validate --lint` reads the source only. This tool translates the source as
CloudFormation does. It then resolves the result for combinations of the conditions:
it drops the resources of a false condition and decides each Fn::If.

- No DependsOn, Ref, GetAtt or Sub names a dropped or unknown resource or parameter.
- Each queue's visibility timeout fits the timeout and batching window of its function.
- cfn-lint accepts the resolved template, in each region.
- With --checkov: checkov finds nothing that template.yaml does not suppress with a
  reason (`Metadata: {checkov: {skip: [{id: …, comment: …}]}}` of the resource).

    python tools/template_lint.py               cfn-lint for us-east-1
    python tools/template_lint.py --quick       without cfn-lint
    python tools/template_lint.py --regions us-east-1,us-gov-west-1 --checkov
    python tools/template_lint.py --self-test   proves that each check finds a planted fault

Needs the Python of .venv/sam; --checkov also needs .venv/template, which
`tools/setup.py --template-tools` installs. No network.
"""
import argparse
import concurrent.futures
import functools
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cfnlint.config import ConfigMixIn
from cfnlint.decode.decode import decode_str
from cfnlint.runner import Runner
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from samtranslator.yaml_helper import yaml_parse

from template_cases import (
    UNAVAILABLE, Case, Evaluator, Fault, decide, exists, find_constant_conditions, functions_in, holds, list_cases,
    list_choices, parameters_in, partition_of, resolve, select_pairs, translate,
)

ROOT = Path(__file__).resolve().parent.parent
CHECKOV = ROOT / ".venv/template/bin/checkov"

# A resolved template leaves parameters and mappings unused.
IGNORED_RULES = ("W2001", "W7001")
# cfn-lint lists each allowed name in some messages.
MESSAGE_MAX_CHARS = 240

# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
VISIBILITY_FACTOR = 6

PSEUDO_PARAMETERS = {
    "AWS::AccountId", "AWS::NotificationARNs", "AWS::NoValue", "AWS::Partition", "AWS::Region",
    "AWS::StackId", "AWS::StackName", "AWS::URLSuffix",
}
SUB_NAME = re.compile(r"\$\{([^!}][^}]*)\}")


@dataclass(frozen=True, order=True)
class Finding:
    path: str
    message: str
    place: str = field(compare=False, default="")
    """The regions and parameter values of the first combination with this finding."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}{f' ({self.place})' if self.place else ''}"


def join(path: Iterable) -> str:
    return ".".join(str(step) for step in path)


# ----------------------------------------------------------------- our checks


def find_broken_references(template: dict, cases: list[Case]) -> Iterator[tuple[Case, str, str]]:
    """Each reference to a name that does not exist in a case, with that case, the path and a message."""
    for section in ("Resources", "Outputs"):
        for name, item in template.get(section, {}).items():
            conditions, checked = relevant_conditions(template, item), set()
            for case in cases:
                values = tuple(holds(case.conditions, condition) for condition in conditions)
                if values not in checked and exists(item, case):
                    checked.add(values)
                    for path, owner, needs_resource in references(decide(item, case.conditions), (section, name)):
                        message = broken_reference(template, case, owner, needs_resource)
                        if message:
                            yield case, join(path), message


def relevant_conditions(template: dict, item: dict) -> list[str]:
    """The conditions that decide which references the item has, and which of these names exist."""
    owners = [template["Resources"].get(name, {}) for _, name, _ in references(item, ("", ""))]
    found = {entry["Condition"] for entry in [item, *owners] if "Condition" in entry}
    return sorted(found | {arguments[0] for function, arguments in functions_in(item) if function == "Fn::If"})


def broken_reference(template: dict, case: Case, name: str, needs_resource: bool) -> str | None:
    is_parameter = name in template.get("Parameters", {}) or name in PSEUDO_PARAMETERS
    if is_parameter and not needs_resource:
        return None
    resource = template["Resources"].get(name)
    if resource is None:
        return f"names {name}, which is no resource" + ("" if is_parameter else " and no parameter")
    if exists(resource, case):
        return None
    return f"names {name}, which does not exist: its condition {resource['Condition']} is false"


def references(value, path: tuple) -> Iterator[tuple[tuple, str, bool]]:
    """The path and the name of each reference, and whether the name must be a resource."""
    if isinstance(value, list):
        for index, child in enumerate(value):
            yield from references(child, (*path, index))
    if not isinstance(value, dict):
        return
    for key, child in value.items():
        inner = (*path, key)
        if key == "DependsOn" and len(path) == 2:
            for name in [child] if isinstance(child, str) else child:
                yield inner, name, True
        elif key == "Ref" and isinstance(child, str):
            yield inner, child, False
        elif key == "Fn::GetAtt":
            yield inner, child.split(".")[0] if isinstance(child, str) else child[0], True
        elif key == "Fn::Sub":
            text, variables = (child, {}) if isinstance(child, str) else child
            for name in SUB_NAME.findall(text):
                if name not in variables:
                    yield inner, name.split(".")[0], "." in name
            yield from references(variables, inner)
        else:
            yield from references(child, inner)


def find_short_visibility(resolved: dict) -> Iterator[tuple[str, str]]:
    """Queues whose visibility timeout is too short for a function, with any allowed parameter values."""
    resources = resolved["Resources"]
    for name, mapping in resources.items():
        if mapping["Type"] != "AWS::Lambda::EventSourceMapping":
            continue
        queue = resources.get(attribute_owner(mapping["Properties"].get("EventSourceArn")), {})
        function_name = mapping["Properties"]["FunctionName"]
        function = resources.get(function_name.get("Ref") if isinstance(function_name, dict) else None)
        if queue.get("Type") != "AWS::SQS::Queue" or function is None:
            continue
        expressions = [
            queue["Properties"].get("VisibilityTimeout", 30),
            function["Properties"].get("Timeout", 3),
            mapping["Properties"].get("MaximumBatchingWindowInSeconds", 0),
        ]
        names = sorted(parameters_in(resolved, expressions))
        if any(key == "Ref" and name not in names for key, name in functions_in(expressions)):
            continue  # find_broken_references reports the unknown name.
        shortages = []
        for values in itertools.product(*(extremes(resolved["Parameters"][parameter]) for parameter in names)):
            evaluator = Evaluator(resolved, dict(zip(names, values)))
            visibility, timeout, window = (int(evaluator.evaluate(item)) for item in expressions)
            needed = VISIBILITY_FACTOR * timeout + window
            if visibility < needed:
                shortages.append((needed - visibility, visibility, needed, evaluator.values))
        if shortages:
            _, visibility, needed, case = max(shortages, key=lambda shortage: shortage[0])
            with_values = " and ".join(f"{parameter}={value}" for parameter, value in case.items())
            yield (f"Resources.{attribute_owner(mapping['Properties']['EventSourceArn'])}.Properties.VisibilityTimeout",
                   f"is {visibility} s and must be at least {needed} s: {VISIBILITY_FACTOR} times the timeout of the "
                   f"function plus the batching window of {name}" + (f", with {with_values}" if with_values else ""))


def attribute_owner(value) -> str | None:
    owner = value.get("Fn::GetAtt") if isinstance(value, dict) else None
    return owner[0] if isinstance(owner, list) else owner.split(".")[0] if owner else None


def extremes(parameter: dict) -> list[str]:
    """All allowed values, or the least, the default and the greatest."""
    if "AllowedValues" in parameter:
        return [str(value) for value in parameter["AllowedValues"]]
    values = [parameter.get(key) for key in ("MinValue", "Default", "MaxValue")]
    return list(dict.fromkeys(str(value) for value in values if value is not None))


# ------------------------------------------------------------------- cfn-lint


@functools.cache
def cfn_lint_runner(regions: tuple[str, ...]) -> Runner:
    return Runner(ConfigMixIn(regions=list(regions), ignore_checks=list(IGNORED_RULES)))


def run_cfn_lint(resolved: dict, regions: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    template, errors = decode_str(json.dumps(resolved, indent=1))
    for match in errors or cfn_lint_runner(regions).validate_template(template):
        message = match.message if len(match.message) <= MESSAGE_MAX_CHARS else match.message[:MESSAGE_MAX_CHARS] + "…"
        yield join(getattr(match, "path", None) or ["template"]), f"{message} [cfn-lint {match.rule.id}]"


def lint_case(source: dict, case: Case, regions: tuple[str, ...]) -> list[tuple[str, str]]:
    return list(run_cfn_lint(resolve(translate(source, regions[0], case.values), case), regions))


def find_stale_exceptions(region: str) -> Iterator[tuple[str, str]]:
    types = PROVIDER_SCHEMA_MANAGER.get_resource_types(region)
    for name, resource_type in UNAVAILABLE.get(partition_of(region), {}).items():
        if resource_type in types:
            yield f"UNAVAILABLE.{name}", f"{resource_type} exists in {region} now: remove the entry"


# -------------------------------------------------------------------- checkov


def cover_resources(template: dict, cases: list[Case]) -> list[dict]:
    """The template with default parameters, and with further cases until each resource was in one."""
    resources = template["Resources"]
    missing, chosen, best = set(resources), [], cases[0]
    while best:
        chosen.append(resolve(template, best))
        missing -= set(chosen[-1]["Resources"])
        gains = {number: sum(exists(resources[name], case) for name in missing) for number, case in enumerate(cases)}
        number = max(gains, key=gains.get)
        best = cases[number] if gains[number] else None
    return chosen


def run_checkov(templates: list[dict]) -> list[dict]:
    if not CHECKOV.exists():
        raise Fault("checkov is missing: run tools/setup.py --template-tools")
    with tempfile.TemporaryDirectory() as folder:
        for number, template in enumerate(templates):
            (Path(folder) / f"{number}.json").write_text(json.dumps(template, indent=1))
        command = [str(CHECKOV), "--directory", ".", "--framework", "cloudformation"]
        command += ["--output", "json", "--compact", "--skip-download"]
        environment = os.environ | {"CKV_SKIP_PACKAGE_UPDATE_CHECK": "true"}
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    try:
        report = json.loads(result.stdout)
        results = report["results"]
    except (ValueError, KeyError, TypeError):
        raise Fault(f"checkov printed no report: {result.stdout[-500:]}{result.stderr[-2000:]}") from None
    if results.get("parsing_errors"):
        raise Fault("checkov cannot read the translated template")
    return results["failed_checks"] + results["skipped_checks"]


def judge_checkov(source: dict, results: list[dict]) -> list[Finding]:
    """Unexplained results, suppressions without a reason, and suppressions of nothing."""
    findings, used = [], set()
    for result in results:
        name = result["resource"].split(".")[-1]
        if result["check_result"]["result"] == "SKIPPED":
            used.add((name, result["check_id"]))
        else:
            findings.append(Finding(f"Resources.{name}", f"{result['check_name']} [checkov {result['check_id']}]"))
    for name, resource in source["Resources"].items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
            path = f"Resources.{name}.Metadata.checkov.skip"
            if len(str(skip.get("comment", "")).split()) < 3:
                findings.append(Finding(path, f"{skip.get('id')} needs a comment with its reason"))
            # SAM prefixes what it generates from a resource with the resource's name.
            if not any(key == skip.get("id") and owner.startswith(name) for owner, key in used):
                findings.append(Finding(path, f"{skip.get('id')} suppresses nothing: remove it"))
    return sorted(set(findings))


# -------------------------------------------------------------------- program


def lint(source: dict, regions: tuple[str, ...], with_cfn_lint: bool = True, report=lambda line: None) -> list[Finding]:
    """The findings of all checks but checkov. One path has one finding of each kind at most."""
    findings: dict[tuple[str, str], Finding] = {}

    def add(kind: str, found: Iterable[tuple[str, str]], place: str) -> None:
        for path, message in found:
            # cfn-lint also reports a broken reference, with a message that names no condition.
            if ("reference", path) not in findings:
                findings.setdefault((kind, path), Finding(path, message, place))

    for partition, group in itertools.groupby(sorted(regions, key=partition_of), partition_of):
        group = tuple(group)
        names = ", ".join(group)
        for parameter, resource_type in UNAVAILABLE.get(partition, {}).items():
            if parameter in source.get("Parameters", {}):
                report(f"{names}: {parameter} keeps its default, because {resource_type} does not exist there")
        for region in group:
            add("exception", find_stale_exceptions(region), region)
        choices = list_choices(source, group[0])
        add("condition", find_constant_conditions(source, choices, partition), names)
        cases, selected = list_cases(choices)
        template = translate(source, group[0], {})
        for case, path, message in find_broken_references(template, cases):
            add("reference", [(path, message)], case.place(source, group))
        for case in selected:
            add("visibility", find_short_visibility(resolve(template, case)), names)
        report(f"{names}: {len(cases)} combinations of conditions, {len(selected) if with_cfn_lint else 0} of them by cfn-lint")
        if with_cfn_lint:
            with concurrent.futures.ProcessPoolExecutor() as pool:
                results = pool.map(functools.partial(lint_case, source, regions=group), selected)
                for case, found in zip(selected, results):
                    for path, message in found:
                        # The message ends with the rule.
                        add(message.rsplit(maxsplit=1)[1], [(path, message)], case.place(source, group))
    return sorted(findings.values())


def lint_security(source: dict) -> list[Finding]:
    choices = list_choices(source, "us-east-1")
    templates = cover_resources(translate(source, "us-east-1", {}), list_cases(choices)[0])
    return judge_checkov(source, run_checkov(templates))


# ------------------------------------------------------------------ self-test

SAMPLE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  WebhookUrl: {Type: String, Default: ""}
  NotificationEmail: {Type: String, Default: ""}
  Seconds: {Type: Number, Default: 10, MinValue: 1, MaxValue: 60}
Conditions:
  HasWebhook: !Not [!Equals [!Ref WebhookUrl, ""]]
  HasEmail: !Not [!Equals [!Ref NotificationEmail, ""]]
Resources:
  Worker:
    Type: AWS::Serverless::Function
    Metadata: {checkov: {skip: [{id: CKV_1, comment: A reason in words.}]}}
    Properties:
      Runtime: provided.al2023
      Handler: bootstrap
      CodeUri: .
      Timeout: !Ref Seconds
      Environment: {Variables: {TOPIC: !If [HasEmail, !Ref Topic, none]}}
      Events: {Jobs: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn, MaximumBatchingWindowInSeconds: 5}}}
  Queue: {Type: AWS::SQS::Queue, Properties: {VisibilityTimeout: 365}}
  Bucket: {Type: AWS::S3::Bucket, DependsOn: Queue}
  Topic: {Type: AWS::SNS::Topic, Condition: HasEmail}
  Connection:
    Type: AWS::Events::Connection
    Condition: HasWebhook
    Properties: {AuthorizationType: API_KEY, AuthParameters: {ApiKeyAuthParameters: {ApiKeyName: X, ApiKeyValue: "{{resolve:secretsmanager:key}}"}}}
Outputs:
  Topic: {Condition: HasEmail, Value: !Sub "${Topic.TopicName}"}
"""

# Name, text of SAMPLE, its replacement, and what the finding must contain.
PLANTED = (
    ("DependsOn on a conditional resource", "DependsOn: Queue", "DependsOn: [Queue, Topic]", "Resources.Bucket.DependsOn: names Topic, which does not exist: its condition HasEmail is false"),
    ("Ref to a dropped resource", "!If [HasEmail, !Ref Topic, none]", "!Ref Topic", "names Topic, which does not exist"),
    ("Ref behind another condition", "!If [HasEmail, !Ref Topic, none]", "!If [HasWebhook, !Ref Topic, none]", "names Topic, which does not exist"),
    ("Sub of a dropped resource", "{Condition: HasEmail, Value", "{Value", "Outputs.Topic.Value.Fn::Sub: names Topic, which does not exist"),
    ("unknown name", "!Ref Seconds", "!Ref Minutes", "names Minutes, which is no resource and no parameter"),
    ("GetAtt of a parameter", "${Topic.TopicName}", "${Seconds.Arn}", "names Seconds, which is no resource"),
    ("unknown attribute", "!GetAtt Queue.Arn", "!GetAtt Queue.Colour", "[cfn-lint E1010]"),
    ("unknown property", "VisibilityTimeout: 365", "VisibilityTimeout: 365, Colour: red", "[cfn-lint E3002]"),
    ("short visibility timeout", "VisibilityTimeout: 365", "VisibilityTimeout: 364", "Resources.Queue.Properties.VisibilityTimeout: is 364 s"),
    ("constant condition", "!Not [!Equals [!Ref NotificationEmail, \"\"]]", "!Equals [!Ref NotificationEmail, x]", "Conditions.HasEmail: is always false"),
    ("unknown condition", "Condition: HasWebhook", "Condition: HasHook", "no condition HasHook"),
    ("parameter without an example", "!Equals [!Ref NotificationEmail", "!Equals [!Ref Seconds", "add an example of its value"),
)


def planted_checkov(name: str, check: str, result: str) -> dict:
    return {"resource": f"Type.{name}", "check_id": check, "check_name": "Name", "check_result": {"result": result}}


def self_test() -> int:
    failures = []

    def expect(name: str, findings: list, text: str | None) -> None:
        found = [str(finding) for finding in findings]
        if text is None and found or text is not None and not any(text in line for line in found):
            failures.append(f"{name}: expected {text or 'nothing'}, found {found}")

    expect("good template", lint(yaml_parse(SAMPLE), ("us-east-1", "us-gov-west-1")), None)
    for name, old, new, text in PLANTED:
        if old not in SAMPLE:
            raise Fault(f"the self-test's sample has no {old!r}")
        try:
            findings = lint(yaml_parse(SAMPLE.replace(old, new)), ("us-east-1",), with_cfn_lint="cfn-lint" in text)
        except Fault as fault:
            findings = [fault]
        expect(name, findings, text)
    without_exception = SAMPLE.replace("WebhookUrl", "NotificationEmail", 2)
    expect("type that a region lacks", lint(yaml_parse(without_exception), ("us-gov-west-1",)), "[cfn-lint E3006]")

    source = yaml_parse(SAMPLE)
    skipped = planted_checkov("WorkerJobs", "CKV_1", "SKIPPED")
    expect("explained result", judge_checkov(source, [skipped]), None)
    expect("unexplained result", judge_checkov(source, [skipped, planted_checkov("Queue", "CKV_2", "FAILED")]), "Resources.Queue: Name [checkov CKV_2]")
    expect("suppression of nothing", judge_checkov(source, []), "CKV_1 suppresses nothing")
    source["Resources"]["Worker"]["Metadata"]["checkov"]["skip"][0]["comment"] = "ok"
    expect("suppression without a reason", judge_checkov(source, [skipped]), "CKV_1 needs a comment")

    sizes = [2, 4, 3, 2, 2, 7, 1, 2]
    rows = select_pairs(sizes)
    pairs = {pair for row in rows for pair in itertools.combinations(enumerate(row), 2)}
    wanted = sum(first * second for first, second in itertools.combinations(sizes, 2))
    expect("pairs", [] if len(pairs) == wanted and len(rows) < 60 else [f"{len(pairs)} of {wanted} in {len(rows)} rows"], None)

    for failure in failures:
        print(f"template_lint: self-test: {failure}", file=sys.stderr)
    print(f"template_lint: self-test: {len(failures)} failures, {len(PLANTED) + 7} cases")
    return 1 if failures else 0


def print_line(line: str) -> None:
    print(f"template_lint: {line}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--template", type=Path, default=ROOT / "template.yaml")
    parser.add_argument("--regions", default="us-east-1", help="regions for cfn-lint, separated by commas")
    parser.add_argument("--quick", action="store_true", help="do not run cfn-lint")
    parser.add_argument("--checkov", action="store_true", help="also run checkov")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    try:
        if arguments.self_test:
            return self_test()
        source = yaml_parse(arguments.template.read_text(encoding="utf-8"))
        findings = lint(source, tuple(arguments.regions.split(",")), not arguments.quick, print_line)
        if arguments.checkov:
            findings += lint_security(source)
    except Fault as fault:
        print(f"template_lint: {fault}", file=sys.stderr)
        return 1
    for finding in findings:
        print(f"template_lint: {finding}", file=sys.stderr)
    print_line(f"{len(findings)} {'finding' if len(findings) == 1 else 'findings'}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
