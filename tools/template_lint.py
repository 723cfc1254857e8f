"""Checks the CloudFormation template that SAM generates from template.yaml.

`sam validate --lint` reads the source, with every condition both on and off. This
tool translates the source as CloudFormation does, and resolves it for combinations
of the conditions: it drops what a false condition drops, and decides each Fn::If.

- No DependsOn, Ref, GetAtt or Sub names a dropped or unknown resource or parameter.
- The visibility timeout of each queue fits the timeout of its function.
- cfn-lint accepts the resolved template, in each region.
- With --checkov: checkov finds nothing that template.yaml does not suppress with a
  reason (`Metadata: {checkov: {skip: [{id: …, comment: …}]}}` of the resource).

    python tools/template_lint.py                        us-east-1
    python tools/template_lint.py --regions us-east-1,us-gov-west-1 --checkov
    python tools/template_lint.py --self-test            proves that each check finds a planted fault

Needs the Python of .venv/sam; --checkov also needs .venv/template. No network.
"""
import argparse
import concurrent.futures
import copy
import functools
import itertools
import json
import logging
import math
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
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parent.parent
CHECKOV = ROOT / ".venv/template/bin/checkov"

# A second value of each parameter that a condition reads. The first is its default.
# A parameter with AllowedValues needs no example.
EXAMPLES = {
    "AdditionalModelArns": "arn:{partition}:bedrock:{region}::foundation-model/amazon.nova-micro-v1:0",
    "AsyncModelIds": "amazon.nova-reel-v1:0,amazon.nova-reel-v1:1",
    "ModelRequestsPerMinute": "100",
    "ModelTokensPerMinute": "200000",
    "NotificationEmail": "team@example.com",
    "QuotasTableName": "other-QuotasTable-1A2B3C4D5E6F",
    "WebhookSecretArn": "arn:{partition}:secretsmanager:{region}:111122223333:secret:webhook-AbCdEf",
    "WebhookUrl": "https://example.com/docket",
}

# Parameters that keep their default in a partition, by the resource type that is
# missing there.
# https://docs.aws.amazon.com/govcloud-us/latest/UserGuide/govcloud-eventbridge.html
UNAVAILABLE = {"aws-us-gov": {"WebhookUrl": "AWS::Events::ApiDestination"}}

# A resolved template leaves parameters and mappings unused.
IGNORED_RULES = ("W2001", "W7001")
# cfn-lint lists each allowed name in some messages.
MESSAGE_MAX_CHARS = 240

# Up to this number of combinations, cfn-lint reads each; above, it reads a selection
# that contains every pair of values.
MAX_FULL_PRODUCT = 64
# Up to this number, each combination's references are checked.
MAX_COMBINATIONS = 4096

# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
VISIBILITY_FACTOR = 6

PSEUDO_PARAMETERS = {
    "AWS::AccountId", "AWS::NotificationARNs", "AWS::NoValue", "AWS::Partition", "AWS::Region",
    "AWS::StackId", "AWS::StackName", "AWS::URLSuffix",
}
NO_VALUE = {"Ref": "AWS::NoValue"}
SUB_NAME = re.compile(r"\$\{([^!}][^}]*)\}")


class Fault(Exception):
    """The template is not as this tool needs it."""


@dataclass(frozen=True, order=True)
class Finding:
    path: str
    message: str
    place: str = field(compare=False, default="")
    """The regions and parameter values of the first combination with this finding."""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}{f' ({self.place})' if self.place else ''}"


@dataclass(frozen=True)
class Case:
    """A combination of condition values, with parameter values that lead to it."""

    values: dict[str, str]
    conditions: dict[str, bool]

    def place(self, template: dict, regions: Iterable[str]) -> str:
        changed = [f"{name}={value}" for name, value in sorted(self.values.items())
                   if value != default_value(template["Parameters"][name])]
        return f"{', '.join(regions)}; {' '.join(changed) or 'default parameters'}"


def join(path: Iterable) -> str:
    return ".".join(str(step) for step in path)


# ---------------------------------------------------------------- translation


class NoManagedPolicies:
    """SAM resolves names of managed policies by a call to IAM; this template has none."""

    def load(self) -> dict[str, str]:
        raise Fault("a SAM resource names a managed policy without its ARN")


def translate(source: dict, region: str, values: dict[str, str]) -> dict:
    """The plain CloudFormation template. Local code becomes an object of a bucket that no check reads."""
    template = copy.deepcopy(source)
    for resource in [template.get("Globals", {}).get("Function", {}), *template["Resources"].values()]:
        properties = resource.get("Properties", resource)
        if isinstance(properties.get("CodeUri"), str):
            properties["CodeUri"] = "s3://bucket/code.zip"
    logging.disable(logging.WARNING)
    os.environ["AWS_DEFAULT_REGION"] = region
    try:
        return transform(template, dict(values), NoManagedPolicies(), passthrough_metadata=True)
    except InvalidDocumentException as error:
        raise Fault("SAM refuses the template: " + "; ".join(cause.message for cause in error.causes)) from None
    finally:
        logging.disable(logging.NOTSET)


def partition_of(region: str) -> str:
    return {"us-gov": "aws-us-gov", "cn": "aws-cn"}.get(region.rsplit("-", 2)[0], "aws")


# ----------------------------------------------------------------- conditions


def default_value(parameter: dict) -> str:
    return str(parameter.get("Default", ""))


@dataclass
class Evaluator:
    """Evaluates expressions of conditions and properties that only parameters decide."""

    template: dict
    values: dict[str, str]
    partition: str = "aws"

    def evaluate(self, value):
        if isinstance(value, list):
            return [self.evaluate(item) for item in value]
        if not isinstance(value, dict):
            return json.dumps(value) if isinstance(value, bool) else str(value)
        if len(value) != 1:
            raise Fault(f"cannot evaluate {json.dumps(value)}")
        (function, argument), = value.items()
        match function:
            case "Condition":
                return self.condition(argument)
            case "Ref":
                return self.reference(argument)
            case "Fn::Equals":
                first, second = (self.evaluate(item) for item in argument)
                return first == second
            case "Fn::Not":
                return not self.evaluate(argument[0])
            case "Fn::And":
                return all([self.evaluate(item) for item in argument])
            case "Fn::Or":
                return any([self.evaluate(item) for item in argument])
            case "Fn::Join":
                return argument[0].join(self.evaluate(argument[1]))
            case "Fn::FindInMap":
                mapping, first, second = (self.evaluate(item) for item in argument)
                return str(self.template["Mappings"][mapping][first][second])
        raise Fault(f"cannot evaluate {function}: teach Evaluator.evaluate this function")

    def condition(self, name: str) -> bool:
        if name not in self.template.get("Conditions", {}):
            raise Fault(f"the template has no condition {name}")
        return self.evaluate(self.template["Conditions"][name])

    def reference(self, name: str):
        if name == "AWS::Partition":
            return self.partition
        if name not in self.template.get("Parameters", {}):
            # Regions of one partition share the combinations, so no condition may read AWS::Region.
            raise Fault(f"cannot evaluate a reference to {name}: it is no parameter")
        parameter = self.template["Parameters"][name]
        value = self.values.get(name, default_value(parameter))
        return value.split(",") if is_list(parameter) else value


def is_list(parameter: dict) -> bool:
    return "List" in parameter.get("Type", "")


def parameters_in(template: dict, value) -> set[str]:
    """The parameters that an expression reads, also through conditions."""
    found = set()
    for function, argument in functions_in(value):
        if function == "Ref" and argument in template.get("Parameters", {}):
            found.add(argument)
        if function == "Condition":
            found |= parameters_in(template, template["Conditions"].get(argument))
    return found


def functions_in(value) -> Iterator[tuple[str, object]]:
    """Every pair of key and value, at every depth."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        if isinstance(key, str):
            yield key, child
        yield from functions_in(child)


def candidates(template: dict, name: str, region: str) -> list[str]:
    """The values to try for a parameter, its default first."""
    parameter, partition = template["Parameters"][name], partition_of(region)
    values = [default_value(parameter)]
    if name in UNAVAILABLE.get(partition, {}):
        return values
    if "AllowedValues" in parameter:
        values += [str(value) for value in parameter["AllowedValues"]]
    elif name in EXAMPLES:
        values.append(EXAMPLES[name].format(partition=partition, region=region))
    else:
        raise Fault(f"a condition reads the parameter {name}: add an example of its value to EXAMPLES")
    for value in values:
        check_value(name, parameter, value)
    return list(dict.fromkeys(values))


def check_value(name: str, parameter: dict, value: str) -> None:
    pattern = parameter.get("AllowedPattern")
    if pattern and not all(re.search(pattern, item) for item in (value.split(",") if is_list(parameter) else [value])):
        raise Fault(f"the value {value!r} of {name} does not match {pattern}: correct EXAMPLES")
    if parameter.get("Type") == "Number":
        low, high = float(parameter.get("MinValue", "-inf")), float(parameter.get("MaxValue", "inf"))
        if not low <= float(value) <= high:
            raise Fault(f"the value {value} of {name} is out of range: correct EXAMPLES")


def independent_groups(template: dict) -> list[tuple[set[str], list[str]]]:
    """Parameters and conditions, such that no two groups share a parameter."""
    groups: list[tuple[set[str], list[str]]] = []
    for name, expression in template.get("Conditions", {}).items():
        parameters, conditions = parameters_in(template, expression), [name]
        for group in [group for group in groups if group[0] & parameters]:
            groups.remove(group)
            parameters, conditions = parameters | group[0], group[1] + conditions
        groups.append((parameters, conditions))
    return groups


def list_choices(template: dict, region: str) -> list[list[Case]]:
    """For each independent group, a case for each combination of its conditions."""
    choices = []
    for parameters, conditions in independent_groups(template):
        names = sorted(parameters)
        found: dict[tuple, Case] = {}
        for values in itertools.product(*(candidates(template, name, region) for name in names)):
            case_values = dict(zip(names, values))
            evaluator = Evaluator(template, case_values, partition_of(region))
            result = {name: evaluator.condition(name) for name in conditions}
            found.setdefault(tuple(result.values()), Case(case_values, result))
        choices.append(list(found.values()))
    return choices


def find_constant_conditions(template: dict, choices: list[list[Case]], partition: str) -> Iterator[tuple[str, str]]:
    """Conditions that no example switches, unless a parameter keeps its default in this partition."""
    for name, expression in template.get("Conditions", {}).items():
        seen = {case.conditions[name] for group in choices for case in group if name in case.conditions}
        parameters = parameters_in(template, expression)
        if len(seen) == 1 and parameters and not parameters & set(UNAVAILABLE.get(partition, {})):
            yield f"Conditions.{name}", f"is always {json.dumps(seen.pop())} with the values of EXAMPLES"


def merge(cases: Iterable[Case]) -> Case:
    values, conditions = {}, {}
    for case in cases:
        values |= case.values
        conditions |= case.conditions
    return Case(values, conditions)


def list_cases(choices: list[list[Case]]) -> tuple[list[Case], list[Case]]:
    """All combinations, simple ones first, and those that cfn-lint reads."""
    sizes = [len(group) for group in choices]
    number = math.prod(sizes)
    pairs = [merge(group[level] for group, level in zip(choices, levels)) for levels in select_pairs(sizes)]
    if number > MAX_COMBINATIONS:
        return pairs, pairs
    every = sorted(itertools.product(*(range(size) for size in sizes)), key=lambda levels: sum(map(bool, levels)))
    cases = [merge(group[level] for group, level in zip(choices, levels)) for levels in every]
    return cases, cases if number <= MAX_FULL_PRODUCT else pairs


def select_pairs(sizes: list[int]) -> list[tuple[int, ...]]:
    """Combinations of levels that contain every pair of levels of two factors. The first is all defaults."""
    if len(sizes) < 2:
        return list(itertools.product(*(range(size) for size in sizes)))
    factors = range(len(sizes))
    missing = {
        ((first, level), (second, other))
        for first, second in itertools.combinations(factors, 2)
        for level in range(sizes[first])
        for other in range(sizes[second])
    }

    def new_pairs(chosen: dict[int, int], factor: int, level: int) -> int:
        return sum(tuple(sorted([(factor, level), other])) in missing for other in chosen.items())

    selected, row = [], {factor: 0 for factor in factors}
    while True:
        selected.append(tuple(row[factor] for factor in factors))
        missing -= set(itertools.combinations(sorted(row.items()), 2))
        if not missing:
            return selected
        row = dict(min(missing))
        for factor in factors:
            if factor not in row:
                row[factor] = max(range(sizes[factor]), key=lambda level: new_pairs(row, factor, level))


# ----------------------------------------------------------------- resolution


def resolve(template: dict, case: Case) -> dict:
    """The template as it is deployed for this case, without conditions."""
    result = {name: section for name, section in template.items() if name not in ("Conditions", "Resources", "Outputs")}
    result["Parameters"] = {
        name: parameter | ({"Default": case.values[name]} if name in case.values else {})
        for name, parameter in template.get("Parameters", {}).items()
    }
    for section in ("Resources", "Outputs"):
        result[section] = {
            name: decide({key: value for key, value in item.items() if key != "Condition"}, case.conditions)
            for name, item in template.get(section, {}).items()
            if "Condition" not in item or holds(case.conditions, item["Condition"])
        }
    return result


def holds(conditions: dict[str, bool], name: str) -> bool:
    if name not in conditions:
        raise Fault(f"the template has no condition {name}")
    return conditions[name]


def decide(value, conditions: dict[str, bool]):
    """The value with each Fn::If decided. The caller drops a result that is AWS::NoValue."""
    if isinstance(value, list):
        items = (decide(item, conditions) for item in value)
        return [item for item in items if item != NO_VALUE]
    if not isinstance(value, dict):
        return value
    if list(value) == ["Fn::If"]:
        name, if_true, if_false = value["Fn::If"]
        return decide(if_true if holds(conditions, name) else if_false, conditions)
    items = ((key, decide(child, conditions)) for key, child in value.items())
    return {key: child for key, child in items if child != NO_VALUE or key == "Ref"}


# ----------------------------------------------------------------- our checks


def find_broken_references(resolved: dict, template: dict) -> Iterator[tuple[str, str]]:
    """Paths and messages of references to names that the resolved template has not."""
    resources = set(resolved["Resources"])
    parameters = set(resolved["Parameters"]) | PSEUDO_PARAMETERS

    def message(name: str) -> str:
        condition = template["Resources"].get(name, {}).get("Condition")
        if condition:
            return f"names {name}, which does not exist: its condition {condition} is false"
        return f"names {name}, which is no resource" + ("" if name in parameters else " and no parameter")

    for section in ("Resources", "Outputs"):
        for item, content in resolved[section].items():
            content = {key: value for key, value in content.items() if key != "Metadata"}
            for path, name, needs_resource in references(content, (section, item)):
                if name not in resources and (needs_resource or name not in parameters):
                    yield join(path), message(name)


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
        shortages = []
        for values in itertools.product(*(extremes(resolved["Parameters"][parameter]) for parameter in names)):
            evaluator = Evaluator(resolved, dict(zip(names, values)))
            visibility, timeout, window = (int(evaluator.evaluate(item)) for item in expressions)
            needed = VISIBILITY_FACTOR * timeout + window
            if visibility < needed:
                shortages.append((needed - visibility, visibility, needed, evaluator.values))
        if shortages:
            _, visibility, needed, case = max(shortages, key=lambda shortage: shortage[0])
            with_values = "".join(f", with {parameter}={value}" for parameter, value in case.items())
            yield (f"Resources.{attribute_owner(mapping['Properties']['EventSourceArn'])}.Properties.VisibilityTimeout",
                   f"is {visibility} s and must be at least {needed} s: {VISIBILITY_FACTOR} times the timeout of the "
                   f"function plus the batching window of {name}{with_values}")


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
    """The template with default parameters, and further cases until each resource was in one."""
    missing, chosen = set(template["Resources"]), []
    resolved = [resolve(template, case) for case in cases]
    best = resolved[0]
    while True:
        chosen.append(best)
        missing -= set(best["Resources"])
        best = max(resolved, key=lambda one: len(missing & set(one["Resources"])))
        if not missing & set(best["Resources"]):
            return chosen


def run_checkov(templates: list[dict]) -> list[dict]:
    if not CHECKOV.exists():
        raise Fault("checkov is missing: run `python3 tools/setup.py --template-tools`")
    with tempfile.TemporaryDirectory() as folder:
        for number, template in enumerate(templates):
            (Path(folder) / f"{number}.json").write_text(json.dumps(template, indent=1))
        command = [str(CHECKOV), "--directory", ".", "--framework", "cloudformation"]
        command += ["--output", "json", "--compact", "--quiet", "--skip-download"]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
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
        for case in cases:
            add("reference", find_broken_references(resolve(template, case), template), case.place(source, group))
        if not findings:
            for case in cases:
                add("visibility", find_short_visibility(resolve(template, case)), names)
        report(f"{names}: {len(cases)} combinations of conditions, {len(selected) if with_cfn_lint else 0} of them by cfn-lint")
        if with_cfn_lint:
            with concurrent.futures.ProcessPoolExecutor() as pool:
                results = pool.map(functools.partial(lint_case, source, regions=group), selected)
                for case, found in zip(selected, results):
                    for path, message in found:
                        add(message[-6:], [(path, message)], case.place(source, group))
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
    parser.add_argument("--checkov", action="store_true", help="also run checkov")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    try:
        if arguments.self_test:
            return self_test()
        source = yaml_parse(arguments.template.read_text(encoding="utf-8"))
        findings = lint(source, tuple(arguments.regions.split(",")), report=print_line)
        if arguments.checkov:
            findings += lint_security(source)
    except Fault as fault:
        print(f"template_lint: {fault}", file=sys.stderr)
        return 1
    for finding in findings:
        print(f"template_lint: {finding}", file=sys.stderr)
    print_line(f"{len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
