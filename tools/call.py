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


def call(api_url: str, method: str, path: str, body: str | None = None) -> tuple[int, dict]:
    """The status and the JSON of the answer."""
    try:
        with urllib.request.urlopen(signed(api_url, method, path, body), timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        text = error.read().decode(errors="replace")
        try:
            return error.code, json.loads(text)
        except ValueError:
            return error.code, {"detail": text}


def main() -> int:
    if len(sys.argv) not in (3, 4) or "--help" in sys.argv or "ApiUrl" not in os.environ:
        print(__doc__, file=sys.stderr)
        return 2
    status, answer = call(os.environ["ApiUrl"], *sys.argv[1:])
    print(status, json.dumps(answer, ensure_ascii=False))
    return 0 if status < 400 else 1


if __name__ == "__main__":
    sys.exit(main())
