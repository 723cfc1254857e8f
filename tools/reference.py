"""Generates docs/reference/parameters.md and docs/reference/outputs.md from template.yaml.

With --check nothing is written: the command fails when a page differs from the template.
"""
import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "template.yaml"
PAGES = ROOT / "docs" / "reference"
NOTICE = "<!-- Generated from template.yaml by tools/reference.py. Change the template, then run the tool again. -->"

PARAMETERS_INTRO = """\
# Parameters

`sam deploy --guided` asks for every parameter below. Set single ones with
`--parameter-overrides`, or in `parameter_overrides` of `samconfig.toml`.
The local AWS takes them as `make up STACK_PARAMETERS="MaximumConcurrency=100 BatchSize=10"`.

[Planning](../operations/planning.md) explains how to choose the values that decide speed and cost.
"""
OUTPUTS_INTRO = """\
# Outputs

The stack's outputs are the names that callers and tools use.
`aws cloudformation describe-stacks --stack-name docket --query 'Stacks[0].Outputs'` prints them.
`make up` writes the outputs of the local stack to `.local/outputs.env`.

An output with a condition exists only when the condition holds.
"""


def read_template(path: Path) -> dict:
    """The template as a dictionary; short intrinsic functions such as `!Ref` become long ones."""
    from samtranslator.yaml_helper import yaml_parse

    return yaml_parse(path.read_text())


def one_line(text: str) -> str:
    """A template description as one line that is safe in a table cell."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def code(text: object) -> str:
    return f"`{text}`"


def row(cells: list[str]) -> str:
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join([row(header), row(["---"] * len(header)), *map(row, rows)])


# --------------------------------------------------------------- parameters


def allowed_values(parameter: dict) -> str:
    """The allowed values of a parameter, as the template restricts them."""
    if values := parameter.get("AllowedValues"):
        return ", ".join(code(str(value)) for value in values)
    low, high = parameter.get("MinValue"), parameter.get("MaxValue")
    if low is not None and high is not None:
        return f"{low:,} to {high:,}"
    if low is not None:
        return f"at least {low:,}"
    if high is not None:
        return f"at most {high:,}"
    if pattern := parameter.get("AllowedPattern"):
        return code(pattern.replace("|", "\\|"))
    if length := parameter.get("MinLength"):
        return "not empty" if length == 1 else f"at least {length} characters"
    return "any"


def groups(template: dict) -> list[tuple[str, list[str]]]:
    """The parameters by their group in the CloudFormation console, in its order."""
    interface = template.get("Metadata", {}).get("AWS::CloudFormation::Interface", {})
    found = [(group["Label"]["default"], group["Parameters"]) for group in interface.get("ParameterGroups", [])]
    grouped = {name for _, names in found for name in names}
    if missing := grouped - template["Parameters"].keys():
        raise SystemExit(f"reference: the template groups parameters that do not exist: {', '.join(sorted(missing))}")
    rest = [name for name in template["Parameters"] if name not in grouped]
    return found + ([("Other parameters", rest)] if rest else [])


def parameters_page(template: dict) -> str:
    sections = [NOTICE, PARAMETERS_INTRO.strip()]
    for label, names in groups(template):
        rows = []
        for name in names:
            parameter = template["Parameters"][name]
            default = str(parameter.get("Default", ""))
            description = one_line(parameter.get("Description", ""))
            rows.append([
                code(name),
                code(default) if default else "",
                parameter["Type"],
                allowed_values(parameter),
                description,
            ])
        sections.append(f"## {label}")
        sections.append(table(["parameter", "default", "type", "allowed", "description"], rows))
    return "\n\n".join(sections) + "\n"


# ------------------------------------------------------------------ outputs


def operand(value: object) -> str:
    """The parameter that a condition compares."""
    if isinstance(value, dict):
        [(function, argument)] = value.items()
        if function == "Ref":
            return code(argument)
        if function == "Fn::Join":
            return operand(argument[1])
    raise SystemExit(f"reference: cannot describe the operand {value!r} of a condition")


def describe(condition: dict, conditions: dict, negated: bool = False) -> str:
    """A condition of the template in words."""
    [(function, argument)] = condition.items()
    if function == "Condition":
        return describe(conditions[argument], conditions, negated)
    if function == "Fn::Not":
        return describe(argument[0], conditions, not negated)
    if function == "Fn::Equals":
        value = "empty" if argument[1] == "" else code(argument[1])
        return f"{operand(argument[0])} is {'not ' if negated else ''}{value}"
    if function in ("Fn::And", "Fn::Or"):
        word = " and " if (function == "Fn::And") != negated else " or "
        return word.join(describe(part, conditions, negated) for part in argument)
    raise SystemExit(f"reference: cannot describe {function} of a condition")


def outputs_page(template: dict) -> str:
    conditions = template.get("Conditions", {})
    rows = []
    for name, output in template["Outputs"].items():
        condition = output.get("Condition")
        exists = f"when {describe(conditions[condition], conditions)}" if condition else "always"
        rows.append([code(name), exists, one_line(output.get("Description", ""))])
    return "\n\n".join([NOTICE, OUTPUTS_INTRO.strip(), table(["output", "exists", "description"], rows)]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page differs from the template")
    check = parser.parse_args().check
    template = read_template(TEMPLATE)
    pages = {PAGES / "parameters.md": parameters_page(template), PAGES / "outputs.md": outputs_page(template)}
    stale = [path for path, text in pages.items() if not path.exists() or path.read_text() != text]
    if check and stale:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        print(f"reference: {names} differ from template.yaml: run .venv/bin/python tools/reference.py", file=sys.stderr)
        return 1
    if not check:
        PAGES.mkdir(parents=True, exist_ok=True)
        for path in stale:
            path.write_text(pages[path])
    return 0


if __name__ == "__main__":
    sys.exit(main())
