"""The local AWS with the stack deployed: `up`, `down`.

`up` starts ministack (a local AWS) and, unless MODEL_ENDPOINT names another, the
Bedrock stand-in; builds the functions with cargo's dev profile; deploys
template.yaml by SAM; and leaves .local/outputs.env. Both may be repeated.
"""
import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REGION = "us-east-1"
HOST = "127.0.0.1"
STACK = "docket-local"
STAGE = "v1"
START_SECONDS = 60


class Stop(Exception):
    """Something the user can do something about."""


@dataclass
class Local:
    """One local AWS: its port names it, and its files lie under its port."""

    port: int
    model_endpoint: str | None = None
    parameters: str = ""
    template: Path | None = None
    # Take functions and stand-in from here, as they are, in place of a quick build.
    binaries: Path | None = None
    stand_in: Path | None = None
    # Whether queues are read with AWS's ramp, in place of all at once.
    ramp: bool = False
    # What runs functions in Python, in place of the Python that runs the local AWS.
    python: Path | None = None
    # Where to write how many requests DynamoDB had.
    counts: Path | None = None
    # Whether .local/outputs.env shall be its own.
    announced: bool = True
    # Whether roles and resource policies are enforced, as in an account.
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

    def environment(self) -> dict[str, str]:
        """For whatever talks to this AWS, the functions included."""
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


def say(line: str) -> None:
    print(f"local AWS: {line}", flush=True)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


# ---------------------------------------------------------------- processes


def process_id(local: Local, name: str) -> int | None:
    """The id of our own running process. A file that outlived its process, whose
    id may be another's by now, counts as none."""
    try:
        pid = int((local.directory / f"{name}.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None
    proc = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").exists():
        shown = proc.read_bytes().decode(errors="replace") if proc.exists() else ""
    else:
        shown = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True).stdout
    return pid if name in shown else None


def start(local: Local, name: str, command: list[str], port: int, health: str, environment: dict[str, str]) -> None:
    if process_id(local, name) and answers(health):
        return
    end(local, name)
    with socket.socket() as probe:
        if probe.connect_ex((HOST, port)) == 0:
            raise Stop(f"port {port} is taken: end what listens there, or choose another with PORT=… (it takes PORT and PORT+1)")
    log = local.directory / f"{name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    (local.directory / f"{name}.pid").write_text(str(process.pid))
    deadline = time.monotonic() + START_SECONDS
    while not answers(health):
        if process.poll() is not None or time.monotonic() > deadline:
            end(local, name)
            raise Stop(f"{name} did not start; its last words are in {log.relative_to(ROOT)}")
        time.sleep(0.1)


def end(local: Local, name: str) -> bool:
    """Ends a process that `start` started, and its children, by their group."""
    pid = process_id(local, name)
    (local.directory / f"{name}.pid").unlink(missing_ok=True)
    if pid is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            return True
        for _ in range(50):
            try:
                os.killpg(pid, 0)
            except ProcessLookupError:
                return True
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass
            time.sleep(0.1)
    return True


# ------------------------------------------------------------------- deploy


def build() -> None:
    """Functions and stand-in by cargo's dev profile, which the tests share."""
    say("building (the first time takes some minutes)")
    command = ["cargo", "build", "--bins", "--example", "bedrock_stand_in"]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        raise Stop("cargo could not build: see above")


def target(profile: str = "debug") -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / profile


def quick_template(local: Local) -> Path:
    """template.yaml with each function's code taken from cargo's own build."""
    directory = local.directory / "build"
    shutil.rmtree(directory, ignore_errors=True)
    template, places = re.subn(
        r"(      BuildProperties: \{Binary: (\w+)\}\n    Properties:\n)",
        r"\1      CodeUri: \2\n",
        (ROOT / "template.yaml").read_text(),
    )
    binaries = re.findall(r"BuildProperties: \{Binary: (\w+)\}", template)
    if places == 0 or places != len(binaries):
        raise Stop("template.yaml no longer has its functions as tools/local_aws.py reads them")
    if local.enforce_iam:
        # The local AWS speaks no TLS, so that what is denied without it stays out.
        template, denials = re.subn(r"          - Sid: TlsOnly\n(?:            .*\n)+", "", template)
        if denials == 0:
            raise Stop("template.yaml no longer denies requests without TLS as tools/local_aws.py reads it")
        template = re.sub(r"^( +Statement:)\n(?=\n)", r"\1 []\n", template, flags=re.M)
    for binary in binaries:
        (directory / binary).mkdir(parents=True)
        bootstrap = directory / binary / "bootstrap"
        shutil.copy((local.binaries or target()) / binary, bootstrap)
        if shutil.which("strip"):
            subprocess.run(["strip", str(bootstrap)], check=False)
    path = directory / "template.yaml"
    path.write_text(template)
    return path


def deploy(local: Local, template: Path) -> None:
    say("deploying by SAM")
    samconfig = (ROOT / "samconfig.toml").read_text()
    section = samconfig[samconfig.index("[local.deploy.parameters]") :]
    own = re.search(r'^parameter_overrides = "(.*)"', section, re.M)
    overrides = f"{own.group(1) if own else ''} {local.parameters}".split()
    command = [str(ROOT / ".venv/bin/sam"), "deploy", "--config-env", "local"]
    command += ["--config-file", str(ROOT / "samconfig.toml"), "--template-file", str(template)]
    command += ["--stack-name", STACK, "--parameter-overrides", *overrides]
    done = subprocess.run(command, cwd=ROOT, env=local.environment(), capture_output=True, text=True)
    (local.directory / "deploy.log").write_text(done.stdout + done.stderr)
    if done.returncode != 0:
        print(done.stdout + done.stderr, file=sys.stderr)
        raise Stop("sam deploy failed: see above")
    gateway_responses(local, template)


def gateway_responses(local: Local, template: Path) -> None:
    """What the API answers by itself, as the template has it: ministack does not
    take it from where SAM puts it, API Gateway's extension of OpenAPI."""
    from samtranslator.yaml_helper import yaml_parse

    said = yaml_parse(template.read_text())["Resources"]["Api"]["Properties"].get("GatewayResponses", {})
    client = local.client("apigateway")
    api_id = re.search(r"//([^.]+)\.execute-api", stack_outputs(local)["ApiUrl"]).group(1)
    for kind, response in said.items():
        headers = response["ResponseParameters"]["Headers"].items()
        client.put_gateway_response(
            restApiId=api_id,
            responseType=kind,
            responseParameters={f"gatewayresponse.header.{name}": value for name, value in headers},
            responseTemplates=response["ResponseTemplates"],
        )
    client.create_deployment(restApiId=api_id, stageName=STAGE)


def stack_outputs(local: Local) -> dict[str, str]:
    stack = local.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def outputs(local: Local) -> dict[str, str]:
    found = stack_outputs(local)
    api_id = re.search(r"//([^.]+)\.execute-api", found["ApiUrl"]).group(1)
    found["ApiUrl"] = f"{local.endpoint}/restapis/{api_id}/{STAGE}/_user_request_"
    return found | {"AwsEndpointUrl": local.endpoint, "ModelEndpointUrl": local.model}


def write_outputs(local: Local) -> dict[str, str]:
    """outputs.env as the contract has it, and functions.env: the environment that
    a function run by hand needs (`cargo lambda watch --env-file`)."""
    found = outputs(local)
    functions = local.client("lambda").get_function_configuration
    variables = {}
    for name in ("ConsumerFunctionName", "ProducerFunctionName", "NotifierFunctionName"):
        variables |= functions(FunctionName=found[name])["Environment"]["Variables"]
    variables |= {name: value for name, value in local.environment().items() if name.startswith("AWS_")}
    # `make up` without a word of its own is what a shell means by .local/.
    directories = [local.directory, ROOT / ".local"] if local.announced else [local.directory]
    for directory in directories:
        write_env(directory / "outputs.env", found)
        write_env(directory / "functions.env", variables)
    return found


def write_env(path: Path, variables: dict[str, str]) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in sorted(variables.items())))


# ----------------------------------------------------------------- commands


def up(local: Local) -> dict[str, str]:
    local.directory.mkdir(parents=True, exist_ok=True)
    (local.directory / "tmp").mkdir(exist_ok=True)
    if local.template is None and local.binaries is None:
        build()
    if local.model_endpoint is None:
        program = local.stand_in or target() / "examples" / "bedrock_stand_in"
        stand_in = [str(program), "--port", str(local.model_port)]
        stand_in += ["--s3-endpoint", local.endpoint]
        start(local, "bedrock_stand_in", stand_in, local.model_port, f"{local.model}/_calls", dict(os.environ))
    # The functions have their model's address from ministack's environment.
    asked = local.directory / "model"
    if asked.exists() and asked.read_text() != local.model:
        end(local, "ministack")
    asked.write_text(local.model)
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
        # Its own files stay among ours.
        "TMPDIR": str(local.directory / "tmp"),
    }
    ministack = [str(ROOT / ".venv/bin/python"), str(ROOT / "tools/run_ministack.py")]
    start(local, "ministack", ministack, local.port, f"{local.endpoint}/_ministack/health", environment)
    deploy(local, local.template or quick_template(local))
    found = write_outputs(local)
    shown = ".local/outputs.env" if local.announced else (local.directory / "outputs.env").relative_to(ROOT)
    say(f"up on {local.endpoint}; its names are in {shown}")
    return found


def down(local: Local) -> None:
    ended = [name for name in ("ministack", "bedrock_stand_in") if end(local, name)]
    shutil.rmtree(local.directory / "tmp", ignore_errors=True)
    say(f"ended {' and '.join(ended)}" if ended else "nothing of ours was running")


def is_up(local: Local) -> bool:
    return process_id(local, "ministack") is not None and answers(f"{local.endpoint}/_ministack/health")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "down"])
    parser.add_argument("--port", type=int, default=4566, help="the local AWS's port; the stand-in takes the next")
    parser.add_argument("--model-endpoint", default="", help="a Bedrock endpoint in place of the stand-in")
    parser.add_argument("--parameters", default="", help='template parameters, such as "BatchSize=5 MaxTries=2"')
    parser.add_argument("--template", type=Path, help="deploy this template (of sam build) in place of a quick build")
    arguments = parser.parse_args()
    local = Local(arguments.port, arguments.model_endpoint or None, arguments.parameters, arguments.template)
    try:
        if arguments.command == "up":
            print(json.dumps(up(local), indent=2))
        else:
            down(local)
    except Stop as stop:
        print(f"local AWS: {stop}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
