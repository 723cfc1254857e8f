"""One signed request to the API: call.py METHOD PATH [JSON-BODY].

Reads ApiUrl and the AWS variables from the environment:
`set -a; . .local/functions.env; . .local/outputs.env; set +a`.
"""
import json
import os
import sys
import urllib.error
import urllib.request


def signed(api_url: str, method: str, path: str, body: str | None) -> urllib.request.Request:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.session import Session

    request = AWSRequest(method, api_url + path, {"content-type": "application/json"}, body)
    session = Session()
    SigV4Auth(session.get_credentials(), "execute-api", session.get_config_variable("region")).add_auth(request)
    data = body.encode() if body else None
    return urllib.request.Request(request.prepare().url, data, dict(request.headers), method=method)


def ask(api_url: str, method: str, path: str, body: str | None = None) -> tuple[int, dict, str]:
    """Status, headers and text of the answer."""
    try:
        with urllib.request.urlopen(signed(api_url, method, path, body), timeout=30) as response:
            return response.status, dict(response.headers), response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode(errors="replace")


def call(api_url: str, method: str, path: str, body: str | None = None) -> tuple[int, dict]:
    """The status and the JSON of the answer."""
    status, _, text = ask(api_url, method, path, body)
    try:
        return status, json.loads(text)
    except ValueError:
        return status, {"detail": text}


def lines(api_url: str, path: str) -> list[dict]:
    """All JSON Lines of a listing, page after page."""
    found, cursor = [], ""
    while cursor is not None:
        page = path + (f"?cursor={cursor}" if cursor else "")
        status, headers, text = ask(api_url, "GET", page)
        if status != 200:
            raise OSError(f"GET {page} answered {status}: {text}")
        found += [json.loads(line) for line in text.splitlines()]
        cursor = {name.lower(): value for name, value in headers.items()}.get("next-cursor")
    return found


def main() -> int:
    if len(sys.argv) not in (3, 4) or "--help" in sys.argv or "ApiUrl" not in os.environ:
        print(__doc__, file=sys.stderr)
        return 2
    status, headers, text = ask(os.environ["ApiUrl"], *sys.argv[1:])
    print(status, text.rstrip())
    for name, value in headers.items():
        if name.lower() == "next-cursor":
            print(f"{name}: {value}", file=sys.stderr)
    return 0 if status < 400 else 1


if __name__ == "__main__":
    sys.exit(main())
