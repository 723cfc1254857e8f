"""The CloudFormation template that SAM generates, for each combination of its conditions.

`translate` does what CloudFormation does with the source. `list_choices` and
`list_cases` find parameter values that switch each condition. `resolve` drops the
resources of a false condition. template_lint.py checks the results.
"""
import copy
import itertools
import json
import logging
import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform

# A second value of each parameter that a condition reads. The first is its default.
# A parameter with AllowedValues needs no example.
EXAMPLES = {
    "AlarmEmail": "operator@example.com",
    "AccessLogsBucketName": "access-logs-111122223333",
    "AdditionalModelArns": "arn:{partition}:bedrock:{region}::foundation-model/amazon.nova-micro-v1:0",
    "AsyncModelIds": "amazon.nova-reel-v1:0,amazon.nova-reel-v1:1",
    "ConsumerReservedConcurrency": "12",
    "ProducerReservedConcurrency": "5",
    "KmsKeyArn": "arn:{partition}:kms:{region}:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "ModelRequestsPerMinute": "100",
    "ModelTokensPerMinute": "200000",
    "NotificationEmail": "team@example.com",
    "PermissionsBoundaryArn": "arn:{partition}:iam::111122223333:policy/boundary",
    "QuotasTableName": "other-QuotasTable-1A2B3C4D5E6F",
    "WebhookSecretArn": "arn:{partition}:secretsmanager:{region}:111122223333:secret:webhook-AbCdEf",
    "WebhookUrl": "https://example.com/docket",
}

# Parameters that keep their default in a partition, by the resource type that is
# missing there.
# https://docs.aws.amazon.com/govcloud-us/latest/UserGuide/govcloud-eventbridge.html
UNAVAILABLE = {"aws-us-gov": {"WebhookUrl": "AWS::Events::ApiDestination"}}

# Up to this number of combinations, cfn-lint reads each; above, it reads a selection
# that contains every pair of values.
MAX_FULL_PRODUCT = 64
# Up to this number, each combination's references are checked.
MAX_COMBINATIONS = 4096

NO_VALUE = {"Ref": "AWS::NoValue"}


class Fault(Exception):
    """The template is not as this tool needs it."""


@dataclass(frozen=True)
class Case:
    """A combination of condition values, with parameter values that lead to it."""

    values: dict[str, str]
    conditions: dict[str, bool]

    def place(self, template: dict, regions: Iterable[str]) -> str:
        changed = [f"{name}={value}" for name, value in sorted(self.values.items())
                   if value != default_value(template["Parameters"][name])]
        return f"{', '.join(regions)}; {' '.join(changed) or 'default parameters'}"


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
            if exists(item, case)
        }
    return result


def exists(item: dict, case: Case) -> bool:
    """Whether CloudFormation creates the resource or output."""
    return "Condition" not in item or holds(case.conditions, item["Condition"])


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
