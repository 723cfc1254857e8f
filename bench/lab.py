"""The lab: the stand-ins as separate processes, and one measured environment at a time.

Every process listens on 127.0.0.1 and ends with the lab.
"""
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from results import BENCH, DOCKET, PLAIN, POWERTOOLS, ROOT, THREADS, Result, read_recorded

HOST = "127.0.0.1"
PYTHON = ROOT / ".venv" / "bench" / "bin" / "python"
PEERS = BENCH / "peers"
HANDLERS = {PLAIN: "plain.handler", POWERTOOLS: "powertools.handler", THREADS: "powertools_threads.handler"}
MODEL_ID = "us.amazon.nova-2-lite-v1:0"
START_SECONDS = 120
SLOW_SERVERS = "The stand-ins were built without optimisation: their time adds to that of every variant."
# Lambda's maximum, so that no deadline ends a slow peer.
FUNCTION_SECONDS = 900

# Variables that template.yaml sets for the functions, in addition to names and settings.
DOCKET_VARIABLES = {"MALLOC_MMAP_THRESHOLD_": "65536"}


class BenchError(Exception):
    """An error that the user can repair, or a measured value that is invalid."""


def find_program(directory: Path, name: str, build: str) -> Path:
    path = directory / name
    if not os.access(path, os.X_OK):
        raise BenchError(f"{path} does not exist: build it with `{build}`")
    return path


class Server:
    """A client for a stand-in's control: JSON over one persistent connection."""

    def __init__(self, port: int, timeout: float = FUNCTION_SECONDS):
        self.port = port
        self.connection = http.client.HTTPConnection(HOST, port, timeout=timeout)

    def request(self, method: str, path: str, body: bytes | dict | None = None):
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = {"content-type": "application/json"} if isinstance(body, dict) else {}
        self.connection.request(method, path, data, headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise BenchError(f"{method} {path.split('?')[0]} of a stand-in returned status {response.status}: {text[:200]!r}")
        return json.loads(text) if text else None


@dataclass
class Cpu:
    """Processor time of a process in nanoseconds, by thread."""

    threads: dict[str, int]

    def since(self, earlier: "Cpu") -> float:
        """Seconds of processor time since `earlier`.

        Raises BenchError if a thread has ended, because its time is lost."""
        gone = earlier.threads.keys() - self.threads.keys()
        if gone:
            raise BenchError(f"{len(gone)} threads of the measured process have ended: its processor time is unknown")
        return (sum(self.threads.values()) - sum(earlier.threads.values())) / 1e9


class Environment:
    """One execution environment: a process that requests events."""

    def __init__(self, lab: "Lab", variant: str, command: list[str], environment: dict[str, str], directory: Path):
        self.services, self.nexts = lab.services, 0
        self.log = open(lab.directory / "function.log", "w+b")
        self.started_ns = time.monotonic_ns()
        self.process = subprocess.Popen(
            command, env=environment, cwd=directory, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        self.variant = variant

    def wait_until_ready(self) -> int:
        """Waits for the next event request. Returns nanoseconds from the start to the first one."""
        self.nexts += 1
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            # A process that has ended never requests an event.
            if self.process.poll() is not None:
                raise BenchError(f"{self.variant} ended with exit code {self.process.returncode}: {self.read_log()[-2000:]}")
            ready = self._request_readiness()
            if ready and "init_error" in ready:
                raise BenchError(f"{self.variant} did not start: {ready['init_error']}")
            if ready:
                return ready["first_next_ns"] - self.started_ns
        raise BenchError(f"{self.variant} requested no event within {START_SECONDS} s")

    def _request_readiness(self) -> dict | None:
        server = Server(self.services.port, timeout=2)
        try:
            return server.request("GET", f"/_ready?nexts={self.nexts}")
        except TimeoutError:
            return None
        finally:
            server.connection.close()

    def invoke(self, event: dict) -> "Answer":
        return self.wait_for_answer(self.enqueue(event))

    def enqueue(self, event: dict) -> str:
        return enqueue(self.services, event)

    def wait_for_answer(self, event_id: str) -> "Answer":
        answer = self.services.request("GET", f"/_answers/{event_id}")
        if "error" in answer:
            raise BenchError(f"{self.variant} returned an error: {answer['error']}")
        failed = [item["itemIdentifier"] for item in answer["response"]["batchItemFailures"]]
        return Answer((answer["answered_ns"] - answer["handed_ns"]) / 1e9, failed)

    def read_cpu(self) -> Cpu:
        """Processor time so far. The process must be idle; call `wait_until_ready` first."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return Cpu({task.name: int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()})

    def read_memory(self) -> dict[str, float]:
        """Resident memory (VmRSS), its peak (VmHWM), and the part without files (RssAnon), in MB of 10^6 bytes."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        found = dict(line.split(":", 1) for line in lines)
        return {name: int(found[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM", "RssAnon")}

    def read_log(self) -> str:
        self.log.flush()
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def __enter__(self) -> "Environment":
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()


def enqueue(services: Server, event: dict) -> str:
    body = json.dumps(event).encode()
    return services.request("POST", f"/_events?timeout_ms={FUNCTION_SECONDS * 1000}", body)["id"]


@dataclass
class Answer:
    """Seconds from the delivery of the event to the response, and the ids of the failed messages."""

    seconds: float
    failed: list[str]


class Lab:
    """The running Bedrock stand-in and the running bench_services."""

    def __init__(self, bin_dir: Path, services_dir: Path):
        # The port of the local AWS, and whether `size` measures a clean build.
        self.port, self.clean_build = 4666, False
        # The directory of recorded results to which this run adds its repeats.
        self.add_to: Path | None = None
        bin_dir, services_dir = bin_dir.resolve(), services_dir.resolve()
        self.consumer = find_program(bin_dir, "consumer", "cargo build --release --bin consumer")
        build = "cargo build --profile servers -p stand_in -p bench_services"
        services, self.stand_in = (find_program(services_dir, name, build) for name in ("bench_services", "bedrock_stand_in"))
        self.directory = Path(tempfile.mkdtemp(prefix="docket-bench-"))
        self.processes: list[subprocess.Popen] = []
        try:
            self._start_servers(services, self.stand_in)
        except BaseException:
            self.__exit__()
            raise

    def _start_servers(self, services: Path, model: Path) -> None:
        self.model = Server(int(self._start([model, "--port", "0"]).split("http://")[1].split()[0].rsplit(":", 1)[1]))
        certificate = self.directory / "certificate.pem"
        options = ["--model-port", str(self.model.port), "--certificate", str(certificate)]
        self.ports = json.loads(self._start([services, *options]))
        self.services = Server(self.ports["port"])
        self.notes = [] if self.ports.get("optimised") else [SLOW_SERVERS]
        # Also botocore's authorities: reading the usual number of them is a part of the start.
        self.authorities = self.directory / "authorities.pem"
        site = next((PYTHON.parent.parent / "lib").glob("python*")) / "site-packages"
        self.authorities.write_text((site / "botocore" / "cacert.pem").read_text() + "\n" + certificate.read_text())

    def _start(self, command: list) -> str:
        log = open(self.directory / "services.log", "ab")
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=log, text=True)
        self.processes.append(process)
        line = process.stdout.readline()
        if not line:
            raise BenchError(f"{command[0]} did not start: {(self.directory / 'services.log').read_text()[-2000:]}")
        return line

    def start_another(self) -> "Lab":
        """Another lab with its own servers, for environments that run at the same time."""
        return Lab(self.consumer.parent, self.stand_in.parent)

    def begin_result(self, measure: str, title: str, unit: str) -> Result:
        """An empty result, or with --add one that has the recorded repeats."""
        empty = Result(measure, title, unit)
        if self.add_to is None:
            return empty
        try:
            return read_recorded(empty, self.add_to, self.consumer)
        except ValueError as error:
            raise BenchError(f"{error}; measure again without --add") from error

    def reset_model(self, latency_ms: int = 0, faults: list | None = None) -> None:
        """Clears the recorded calls, and sets the latency and the faults of the model."""
        self.model.request("POST", "/_reset")
        self.model.request("PUT", "/_behaviour", {"latency_ms": latency_ms, "faults": faults or []})

    def read_calls(self) -> dict:
        return self.model.request("GET", "/_calls")

    def reset(self) -> None:
        """Clears the services and the model. Earlier environments must have ended."""
        self.services.request("POST", "/_reset")
        self.reset_model()

    def function_variables(self, tls: bool, memory_mb: int) -> dict[str, str]:
        aws = f"http://{HOST}:{self.ports['port']}"
        model = f"http://{HOST}:{self.model.port}"
        if tls:
            aws, model = (f"https://{HOST}:{self.ports[name]}" for name in ("tls_port", "model_tls_port"))
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "AWS_LAMBDA_RUNTIME_API": f"{HOST}:{self.ports['port']}",
            "AWS_LAMBDA_FUNCTION_NAME": "bench",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/bench",
            "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
            "LAMBDA_TASK_ROOT": str(PEERS),
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_DYNAMODB": aws,
            "AWS_ENDPOINT_URL_SQS": aws,
            "AWS_ENDPOINT_URL_S3": aws,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": model,
            "SSL_CERT_FILE": str(self.authorities),
            "AWS_CA_BUNDLE": str(self.authorities),
            "JOBS_TABLE": "jobs",
            "JOBS_QUEUE_URL": f"{aws}/000000000000/jobs",
            "DEAD_LETTER_QUEUE_URL": f"{aws}/000000000000/dead",
            "DOCUMENTS_BUCKET": "documents",
            "MODEL_ID": MODEL_ID,
            # The values that template.yaml sets.
            "MAX_TOKENS": "1024",
            "TEMPERATURE": "0",
            "RUST_LOG": "info",
        }

    def start(
        self,
        variant: str,
        tls: bool = False,
        memory_mb: int = 512,
        within: list[str] | None = None,
        more: dict[str, str] | None = None,
    ) -> Environment:
        """Starts an environment. `within` is a command that limits it, `more` has additional variables."""
        command = [str(self.consumer)] if variant == DOCKET else [str(PYTHON), "-m", "awslambdaric", HANDLERS[variant]]
        directory = self.directory if variant == DOCKET else PEERS
        variables = self.function_variables(tls, memory_mb) | (DOCKET_VARIABLES if variant == DOCKET else {}) | (more or {})
        return Environment(self, variant, (within or []) + command, variables, directory)

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def print_status(line: str) -> None:
    print(f"bench: {line}", flush=True)


def print_error(error: BenchError) -> int:
    print(f"bench: {error}", file=sys.stderr)
    return 1
