"""The laboratory: the stand-ins as processes of their own, and one environment under measure at a time.

Everything listens on 127.0.0.1, and ends with the laboratory.
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

from results import BENCH, DOCKET, PLAIN, POWERTOOLS, ROOT, THREADS, Result, earlier

HOST = "127.0.0.1"
PYTHON = ROOT / ".venv" / "bench" / "bin" / "python"
PEERS = BENCH / "peers"
HANDLERS = {PLAIN: "plain.handler", POWERTOOLS: "powertools.handler", THREADS: "powertools_threads.handler"}
MODEL_ID = "us.amazon.nova-2-lite-v1:0"
START_SECONDS = 120
SLOW_SERVERS = "The servers were built without optimisation: their own time weighs on every variant's."
# Lambda's longest, so that no deadline ends a slow peer.
FUNCTION_SECONDS = 900

# What template.yaml gives its function beside names and settings.
DOCKETS_OWN = {"MALLOC_MMAP_THRESHOLD_": "65536"}


class Stop(Exception):
    """Something the user can do something about, or a measure that cannot be believed."""


def program(directory: Path, name: str, build: str) -> Path:
    path = directory / name
    if not os.access(path, os.X_OK):
        raise Stop(f"{path} is missing: build it with `{build}`")
    return path


class Server:
    """JSON over one kept connection."""

    def __init__(self, port: int, timeout: float = FUNCTION_SECONDS):
        self.port = port
        self.connection = http.client.HTTPConnection(HOST, port, timeout=timeout)

    def ask(self, method: str, path: str, body: bytes | dict | None = None):
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = {"content-type": "application/json"} if isinstance(body, dict) else {}
        self.connection.request(method, path, data, headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status >= 300:
            raise Stop(f"{method} {path.split('?')[0]} of the bench's services answered {response.status}: {text[:200]!r}")
        return json.loads(text) if text else None


@dataclass
class Cpu:
    """Processor time of a whole process, in nanoseconds, thread by thread."""

    threads: dict[str, int]

    def since(self, earlier: "Cpu") -> float:
        """Seconds. A thread that ended between would be missing, so none may."""
        gone = earlier.threads.keys() - self.threads.keys()
        if gone:
            raise Stop(f"{len(gone)} threads of the process under measure ended: its processor time is not known")
        return (sum(self.threads.values()) - sum(earlier.threads.values())) / 1e9


class Environment:
    """One execution environment: a process that asks for events."""

    def __init__(self, lab: "Lab", variant: str, command: list[str], environment: dict[str, str], directory: Path):
        self.services, self.nexts = lab.services, 0
        self.log = open(lab.directory / "function.log", "w+b")
        self.started_ns = time.monotonic_ns()
        self.process = subprocess.Popen(
            command, env=environment, cwd=directory, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log
        )
        self.variant = variant

    def ready(self) -> int:
        """Waits until it asks for the next event; nanoseconds from its start to its first asking."""
        self.nexts += 1
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            # A process that has ended would be waited for without end.
            if self.process.poll() is not None:
                raise Stop(f"{self.variant} ended with {self.process.returncode}: {self.written()[-2000:]}")
            ready = self._asked()
            if ready and "init_error" in ready:
                raise Stop(f"{self.variant} did not start: {ready['init_error']}")
            if ready:
                return ready["first_next_ns"] - self.started_ns
        raise Stop(f"{self.variant} did not ask for an event in {START_SECONDS} s")

    def _asked(self) -> dict | None:
        server = Server(self.services.port, timeout=2)
        try:
            return server.ask("GET", f"/_ready?nexts={self.nexts}")
        except TimeoutError:
            return None
        finally:
            server.connection.close()

    def invoke(self, event: dict) -> "Answer":
        return self.wait(self.enqueue(event))

    def enqueue(self, event: dict) -> str:
        return enqueue(self.services, event)

    def wait(self, event_id: str) -> "Answer":
        answer = self.services.ask("GET", f"/_answers/{event_id}")
        if "error" in answer:
            raise Stop(f"{self.variant} answered with an error: {answer['error']}")
        failed = [item["itemIdentifier"] for item in answer["response"]["batchItemFailures"]]
        return Answer((answer["answered_ns"] - answer["handed_ns"]) / 1e9, failed)

    def cpu(self) -> Cpu:
        """Processor time so far. The process must be idle: see `ready`."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return Cpu({task.name: int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()})

    def memory(self) -> dict[str, float]:
        """Resident memory now, at its peak, and without files, in MB (10^6 bytes)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        found = dict(line.split(":", 1) for line in lines)
        return {name: int(found[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM", "RssAnon")}

    def written(self) -> str:
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
    return services.ask("POST", f"/_events?timeout_ms={FUNCTION_SECONDS * 1000}", body)["id"]


@dataclass
class Answer:
    """How long an invocation took, from the event's handing out to its answer, and what it gave back."""

    seconds: float
    failed: list[str]


class Lab:
    """The model's stand-in and the bench's services, running."""

    def __init__(self, bin_dir: Path, services_dir: Path):
        # Of the local AWS, for the measures that want one; and whether to build anew.
        self.port, self.clean_build = 4666, False
        # Where results lie to which this run adds its repeats.
        self.add_to: Path | None = None
        bin_dir, services_dir = bin_dir.resolve(), services_dir.resolve()
        self.consumer = program(bin_dir, "consumer", "cargo build --release --bin consumer")
        build = "cargo build --profile servers --example bench_services --example bedrock_stand_in"
        services, self.stand_in = (program(services_dir, name, build) for name in ("bench_services", "bedrock_stand_in"))
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
        told = ["--model-port", str(self.model.port), "--certificate", str(certificate)]
        self.ports = json.loads(self._start([services, *told]))
        self.services = Server(self.ports["port"])
        self.notes = [] if self.ports.get("optimised") else [SLOW_SERVERS]
        # With as many authorities as there are in an account: reading them is a part of the start.
        self.authorities = self.directory / "authorities.pem"
        site = next((PYTHON.parent.parent / "lib").glob("python*")) / "site-packages"
        self.authorities.write_text((site / "botocore" / "cacert.pem").read_text() + "\n" + certificate.read_text())

    def _start(self, command: list) -> str:
        log = open(self.directory / "services.log", "ab")
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=log, text=True)
        self.processes.append(process)
        line = process.stdout.readline()
        if not line:
            raise Stop(f"{command[0]} did not start: {(self.directory / 'services.log').read_text()[-2000:]}")
        return line

    def beside(self) -> "Lab":
        """Another with servers of its own, for environments that run at the same time."""
        return Lab(self.consumer.parent, self.stand_in.parent)

    def result(self, measure: str, title: str, unit: str) -> Result:
        """A result in the making: from nothing, or with the repeats that were taken before."""
        begun = Result(measure, title, unit)
        if self.add_to is None:
            return begun
        try:
            return earlier(begun, self.add_to, self.consumer)
        except ValueError as error:
            raise Stop(f"{error}; take it anew, without --add") from error

    def behave(self, latency_ms: int = 0, faults: list | None = None) -> None:
        """Begins anew: the model has this latency, and everybody has forgotten everything."""
        self.model.ask("POST", "/_reset")
        self.model.ask("PUT", "/_behaviour", {"latency_ms": latency_ms, "faults": faults or []})

    def calls(self) -> dict:
        return self.model.ask("GET", "/_calls")

    def forget(self) -> None:
        """The services forget. Whoever ran must have ended."""
        self.services.ask("POST", "/_reset")
        self.behave()

    def environment(self, tls: bool, memory_mb: int) -> dict[str, str]:
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
            # As the template sets them.
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
        """Starts one. `within` is a command that runs it in bounds, `more` is more environment."""
        command = [str(self.consumer)] if variant == DOCKET else [str(PYTHON), "-m", "awslambdaric", HANDLERS[variant]]
        directory = self.directory if variant == DOCKET else PEERS
        environment = self.environment(tls, memory_mb) | (DOCKETS_OWN if variant == "docket" else {}) | (more or {})
        return Environment(self, variant, (within or []) + command, environment, directory)

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def say(line: str) -> None:
    print(f"bench: {line}", flush=True)


def fail(stop: Stop) -> int:
    print(f"bench: {stop}", file=sys.stderr)
    return 1
