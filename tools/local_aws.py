"""The local AWS with the stack deployed: `up`, `down`.

`up` starts the local AWS (ministack) and the Bedrock stand-in, unless
MODEL_ENDPOINT names another endpoint. It builds the functions with cargo's dev
profile, deploys template.yaml with SAM, and writes .local/outputs.env. Both
commands may be repeated.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from processes import HOST, ROOT, BackgroundProcess, ToolError
from quick_template import write_quick_template

REGION = "us-east-1"
STACK = "docket-local"
STAGE = "v1"
FUNCTION_OUTPUTS = ("ConsumerFunctionName", "ProducerFunctionName", "NotifierFunctionName")


@dataclass
class Local:
    """One local AWS, identified by its port: its files are in .local/PORT."""

    port: int
    model_endpoint: str | None = None
    parameters: str = ""
    template: Path | None = None
    # Directory with built functions; None builds them with the dev profile.
    binaries: Path | None = None
    # A built stand-in; None takes that of the dev profile.
    stand_in: Path | None = None
    # Whether concurrency rises as on AWS; otherwise it starts at its maximum.
    ramp: bool = False
    # The interpreter of functions in Python; None takes that of the local AWS.
    python: Path | None = None
    # File for the number of requests to DynamoDB.
    counts: Path | None = None
    # Whether SmolLM2 writes the stand-in's answers.
    language_model: bool = False
    # Whether `up` also writes .local/outputs.env.
    is_default: bool = True
    # Whether IAM roles and resource policies are enforced.
    enforce_iam: bool = False

    @property
    def directory(self) -> Path:
        return ROOT / ".local" / str(self.port)

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def model_port(self) -> int:
        return self.port + 1

    @property
    def model(self) -> str:
        return self.model_endpoint or f"http://{HOST}:{self.model_port}"

    @property
    def ministack(self) -> BackgroundProcess:
        return BackgroundProcess(self.directory, "ministack", self.port, f"{self.endpoint}/_ministack/health")

    @property
    def stand_in_process(self) -> BackgroundProcess:
        health_url = f"http://{HOST}:{self.model_port}/_calls"
        return BackgroundProcess(self.directory, "bedrock_stand_in", self.model_port, health_url)

    @property
    def language_model_process(self) -> BackgroundProcess:
        port = self.port + 2
        return BackgroundProcess(self.directory, "language_model", port, f"http://{HOST}:{port}/")

    def environment(self) -> dict[str, str]:
        """For clients of this local AWS and for its functions."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return kept | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.model,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
            "PATH": f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}",
        }

    def client(self, service: str):
        import boto3

        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )


def print_status(line: str) -> None:
    print(f"local AWS: {line}", flush=True)


def set_model_behaviour(local: Local, behaviour: dict) -> None:
    """Sets how the stand-in answers calls from now on."""
    headers = {"content-type": "application/json"}
    body = json.dumps(behaviour).encode()
    request = urllib.request.Request(f"{local.model}/_behaviour", body, headers, method="PUT")
    urllib.request.urlopen(request, timeout=10).close()


# ------------------------------------------------------------------- deploy


def build() -> None:
    """Builds the functions and the stand-in with cargo's dev profile."""
    print_status("building (the first build takes some minutes)")
    # The whole workspace, so that its dependencies are built once for the tests too.
    command = ["cargo", "build", "--workspace", "--bins"]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        raise ToolError("cargo build failed: see the compiler's messages above")


def target_directory(profile: str = "debug") -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / profile


def deploy(local: Local, template: Path) -> None:
    print_status("deploying with SAM")
    samconfig = (ROOT / "samconfig.toml").read_text()
    section = samconfig[samconfig.index("[local.deploy.parameters]") :]
    defaults = re.search(r'^parameter_overrides = "(.*)"', section, re.M)
    overrides = f"{defaults.group(1) if defaults else ''} {local.parameters}".split()
    command = [str(ROOT / ".venv/bin/sam"), "deploy", "--config-env", "local"]
    command += ["--config-file", str(ROOT / "samconfig.toml"), "--template-file", str(template)]
    command += ["--stack-name", STACK, "--parameter-overrides", *overrides]
    result = subprocess.run(command, cwd=ROOT, env=local.environment(), capture_output=True, text=True)
    (local.directory / "deploy.log").write_text(result.stdout + result.stderr)
    if result.returncode != 0:
        print(result.stdout + result.stderr, file=sys.stderr)
        raise ToolError("sam deploy failed: see its messages above")
    put_gateway_responses(local, template)


def put_gateway_responses(local: Local, template: Path) -> None:
    """Puts the template's GatewayResponses into the API.

    SAM writes them as an extension of OpenAPI, which ministack does not read.
    """
    from samtranslator.yaml_helper import yaml_parse

    api = yaml_parse(template.read_text())["Resources"]["Api"]["Properties"]
    client = local.client("apigateway")
    api_id = read_api_id(read_stack_outputs(local))
    for response_type, response in api.get("GatewayResponses", {}).items():
        headers = response["ResponseParameters"]["Headers"].items()
        client.put_gateway_response(
            restApiId=api_id,
            responseType=response_type,
            responseParameters={f"gatewayresponse.header.{name}": value for name, value in headers},
            responseTemplates=response["ResponseTemplates"],
        )
    client.create_deployment(restApiId=api_id, stageName=STAGE)


def read_stack_outputs(local: Local) -> dict[str, str]:
    """The outputs as CloudFormation has them."""
    stack = local.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def read_api_id(stack_outputs: dict[str, str]) -> str:
    return re.search(r"//([^.]+)\.execute-api", stack_outputs["ApiUrl"]).group(1)


def read_outputs(local: Local) -> dict[str, str]:
    """The outputs with addresses that work on this machine, and the endpoints of AWS and of the model."""
    outputs = read_stack_outputs(local)
    outputs["ApiUrl"] = f"{local.endpoint}/restapis/{read_api_id(outputs)}/{STAGE}/_user_request_"
    return outputs | {"AwsEndpointUrl": local.endpoint, "ModelEndpointUrl": local.model}


def write_outputs(local: Local) -> dict[str, str]:
    """Writes outputs.env and functions.env, the environment of a function run by hand
    (`cargo lambda watch --env-file`)."""
    outputs = read_outputs(local)
    client = local.client("lambda")
    variables = {}
    for name in FUNCTION_OUTPUTS:
        configuration = client.get_function_configuration(FunctionName=outputs[name])
        variables |= configuration["Environment"]["Variables"]
    variables |= {name: value for name, value in local.environment().items() if name.startswith("AWS_")}
    directories = [local.directory, ROOT / ".local"] if local.is_default else [local.directory]
    for directory in directories:
        write_env_file(directory / "outputs.env", outputs)
        write_env_file(directory / "functions.env", variables)
    return outputs


def write_env_file(path: Path, variables: dict[str, str]) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in sorted(variables.items())))


# ----------------------------------------------------------------- commands


def up(local: Local) -> dict[str, str]:
    """Starts, deploys, and returns the outputs."""
    local.directory.mkdir(parents=True, exist_ok=True)
    (local.directory / "tmp").mkdir(exist_ok=True)
    if local.template is None and local.binaries is None:
        build()
    if local.model_endpoint is None:
        program = local.stand_in or target_directory() / "bedrock_stand_in"
        command = [str(program), "--port", str(local.model_port), "--s3-endpoint", local.endpoint]
        if local.language_model:
            command += ["--language-model", start_language_model(local)]
        local.stand_in_process.start(command, dict(os.environ))
    start_ministack(local)
    binaries = local.binaries or target_directory()
    template = local.template or write_quick_template(local.directory / "build", binaries, local.enforce_iam)
    deploy(local, template)
    outputs = write_outputs(local)
    path = ".local/outputs.env" if local.is_default else (local.directory / "outputs.env").relative_to(ROOT)
    print_status(f"running on {local.endpoint}; {path} lists the stack's outputs")
    return outputs


def start_language_model(local: Local) -> str:
    """Starts SmolLM2, and returns its address."""
    process = local.language_model_process
    python = str(ROOT / ".venv" / "smollm2" / "bin" / "python")
    process.start([python, "tools/language_model.py", "--port", str(process.port)], dict(os.environ))
    return f"http://{HOST}:{process.port}"


def start_ministack(local: Local) -> None:
    # Functions read the model's address from ministack's environment, so another address needs a restart.
    model_file = local.directory / "model"
    if model_file.exists() and model_file.read_text() != local.model:
        local.ministack.end()
    model_file.write_text(local.model)
    environment = local.environment() | {
        "GATEWAY_PORT": str(local.port),
        "BIND_HOST": HOST,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
        "LOCAL_AWS_RAMP": "1" if local.ramp else "0",
        "LOCAL_AWS_PYTHON": str(local.python or ""),
        "LOCAL_AWS_COUNTS": str(local.counts or ""),
        "AUTH": "true" if local.enforce_iam else "false",
        # So that `down` can remove ministack's temporary files.
        "TMPDIR": str(local.directory / "tmp"),
    }
    local.ministack.start([str(ROOT / ".venv/bin/python"), "-m", "tools.ministack"], environment)


def down(local: Local) -> None:
    processes = (local.ministack, local.stand_in_process, local.language_model_process)
    ended = [process.name for process in processes if process.end()]
    shutil.rmtree(local.directory / "tmp", ignore_errors=True)
    print_status(f"ended {' and '.join(ended)}" if ended else f"no process was running for port {local.port}")


def is_up(local: Local) -> bool:
    return local.ministack.is_running()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "down"])
    parser.add_argument("--port", type=int, default=4566, help="port of the local AWS; the stand-in uses the next port")
    parser.add_argument("--model-endpoint", default="", help="a Bedrock endpoint to use instead of the stand-in")
    parser.add_argument("--parameters", default="", help='template parameters, such as "BatchSize=5 MaxAttempts=2"')
    parser.add_argument("--template", type=Path, help="a built template (sam build) to deploy instead of a quick build")
    arguments = parser.parse_args()
    local = Local(arguments.port, arguments.model_endpoint or None, arguments.parameters, arguments.template)
    try:
        if arguments.command == "up":
            print(json.dumps(up(local), indent=2))
        else:
            down(local)
    except ToolError as error:
        print(f"local AWS: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
