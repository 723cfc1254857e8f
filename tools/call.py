"""Sends one signed request to the API: call.py METHOD PATH [JSON-BODY].

It reads ApiUrl and the AWS variables from the environment:
`set -a; . .local/functions.env; . .local/outputs.env; set +a`.
"""
import json
import os
import sys
import urllib.error
import urllib.request


def sign_request(api_url: str, method: str, path: str, body: str | None) -> urllib.request.Request:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.session import Session

    request = AWSRequest(method, api_url + path, {"content-type": "application/json"}, body)
    session = Session()
    SigV4Auth(session.get_credentials(), "execute-api", session.get_config_variable("region")).add_auth(request)
    data = body.encode() if body else None
    return urllib.request.Request(request.prepare().url, data, dict(request.headers), method=method)


def send(api_url: str, method: str, path: str, body: str | None = None) -> tuple[int, dict, str]:
    """Returns status, headers and text of the response."""
    try:
        with urllib.request.urlopen(sign_request(api_url, method, path, body), timeout=30) as response:
            return response.status, dict(response.headers), response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode(errors="replace")


def call(api_url: str, method: str, path: str, body: str | None = None) -> tuple[int, dict]:
    """Returns status and JSON of the response; text that is not JSON becomes `detail`."""
    status, _, text = send(api_url, method, path, body)
    try:
        return status, json.loads(text)
    except ValueError:
        return status, {"detail": text}


def find_next_cursor(headers: dict) -> str | None:
    return next((value for name, value in headers.items() if name.lower() == "next-cursor"), None)


def main() -> int:
    if len(sys.argv) not in (3, 4) or "--help" in sys.argv or "ApiUrl" not in os.environ:
        print(__doc__, file=sys.stderr)
        return 2
    status, headers, text = send(os.environ["ApiUrl"], *sys.argv[1:])
    print(status, text.rstrip())
    if cursor := find_next_cursor(headers):
        print(f"next-cursor: {cursor}", file=sys.stderr)
    return 0 if status < 400 else 1


if __name__ == "__main__":
    sys.exit(main())
