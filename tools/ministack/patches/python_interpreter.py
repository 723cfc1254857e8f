"""Optional, by LOCAL_AWS_PYTHON=FILE: another Python runs Python functions.

AWS: a Python function runs on the interpreter of its managed runtime.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html

ministack: the interpreter that runs ministack also runs the functions, with the
packages of ministack.

The patch: the interpreter FILE runs them, with its own packages. The benchmark's
functions in Python need that.
"""
import sys

from ministack.core import lambda_runtime

from ..patch import Patch, Target

OPTION = "LOCAL_AWS_PYTHON"


def is_needed() -> bool:
    return lambda_runtime._detect_runtime_binary("python3.12")[0] == sys.executable


def apply(environment) -> None:
    detect, interpreter = lambda_runtime._detect_runtime_binary, environment[OPTION]

    def detect_binary(runtime: str) -> tuple[str, str]:
        binary, worker_script = detect(runtime)
        return (interpreter if runtime.startswith("python") else binary), worker_script

    lambda_runtime._detect_runtime_binary = detect_binary


PATCH = Patch(
    "python_interpreter",
    (Target(lambda_runtime, "_detect_runtime_binary", ("runtime",)),),
    is_needed,
    apply,
    option=OPTION,
)
