"""Metric math, as far as the template uses it: numbers, ids, arithmetic, comparisons, AND, OR
and IF. A missing value makes the value of every expression that needs it missing.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""
import re
from collections.abc import Mapping

TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|([A-Za-z][A-Za-z0-9_]*)|(==|!=|>=|<=|&&|\|\||[-+*/()<>,]))")
COMPARISONS = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, ">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b, "<": lambda a, b: a < b,
}


class ExpressionError(Exception):
    """The expression is none that this file knows."""


def tokens(text: str) -> list[str]:
    found, place = [], 0
    text = text.rstrip()
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            raise ExpressionError(f"cannot read {text[place:]!r}")
        found.append(match.group().strip())
        place = match.end()
    return found


def ids(text: str) -> set[str]:
    """The ids that an expression uses. Functions and operators are upper-case words."""
    return {token for token in tokens(text) if re.match(r"[a-z]", token)}


def evaluate(text: str, values: Mapping[str, float | None]) -> float | None:
    parser = Parser(tokens(text), values)
    value = parser.either()
    if parser.rest:
        raise ExpressionError(f"unexpected {parser.rest[0]!r} in {text!r}")
    return value


class Parser:
    def __init__(self, rest: list[str], values: Mapping[str, float | None]):
        self.rest, self.values = list(rest), values

    def next(self, *expected: str) -> str | None:
        if self.rest and (not expected or self.rest[0] in expected):
            return self.rest.pop(0)
        return None

    def expect(self, token: str) -> None:
        if self.next(token) is None:
            raise ExpressionError(f"expected {token!r} before {' '.join(self.rest) or 'the end'}")

    def binary(self, operand, apply, *operators: str):
        value = operand()
        while operator := self.next(*operators):
            right = operand()
            value = None if value is None or right is None else apply(operator, value, right)
        return value

    def either(self):
        return self.binary(self.both, lambda _, a, b: float(bool(a) or bool(b)), "OR", "||")

    def both(self):
        return self.binary(self.comparison, lambda _, a, b: float(bool(a) and bool(b)), "AND", "&&")

    def comparison(self):
        return self.binary(self.sum, lambda operator, a, b: float(COMPARISONS[operator](a, b)), *COMPARISONS)

    def sum(self):
        return self.binary(self.product, lambda operator, a, b: a + b if operator == "+" else a - b, "+", "-")

    def product(self):
        def apply(operator, a, b):
            if operator == "*":
                return a * b
            return None if b == 0 else a / b

        return self.binary(self.atom, apply, "*", "/")

    def atom(self):
        if self.next("("):
            value = self.either()
            self.expect(")")
            return value
        token = self.next()
        if token is None:
            raise ExpressionError("the expression ends too early")
        if token == "IF":
            return self.condition()
        if re.match(r"\d", token):
            return float(token)
        if re.match(r"[a-z]", token):
            if token not in self.values:
                raise ExpressionError(f"no metric has the id {token}")
            return self.values[token]
        raise ExpressionError(f"{token!r} is not known")

    def condition(self):
        """IF without its last argument has no value where the condition is false."""
        self.expect("(")
        condition = self.either()
        self.expect(",")
        then, otherwise = self.either(), None
        if self.next(","):
            otherwise = self.either()
        self.expect(")")
        if condition is None:
            return None
        return then if condition else otherwise
