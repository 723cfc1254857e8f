"""template.yaml with functions that cargo built, which saves a `sam build`."""
import re
import shutil
import subprocess
from pathlib import Path

from processes import ROOT, ToolError


def write_quick_template(directory: Path, binaries: Path, enforce_iam: bool) -> Path:
    """Writes template.yaml into the directory, with each function's code copied from `binaries`."""
    shutil.rmtree(directory, ignore_errors=True)
    template, replaced = re.subn(
        r"(      BuildProperties: \{Binary: (\w+)\}\n    Properties:\n)",
        r"\1      CodeUri: \2\n",
        (ROOT / "template.yaml").read_text(),
    )
    names = re.findall(r"BuildProperties: \{Binary: (\w+)\}", template)
    if replaced == 0 or replaced != len(names):
        raise ToolError("template.yaml no longer matches the pattern of a function in tools/quick_template.py: adapt it")
    if enforce_iam:
        template = remove_tls_statements(template)
    for name in names:
        (directory / name).mkdir(parents=True)
        bootstrap = directory / name / "bootstrap"
        shutil.copy(binaries / name, bootstrap)
        if shutil.which("strip"):
            subprocess.run(["strip", str(bootstrap)], check=False)
    path = directory / "template.yaml"
    path.write_text(template)
    return path


def remove_tls_statements(template: str) -> str:
    """Removes the statements that deny requests without TLS: the local AWS has no TLS."""
    template, removed = re.subn(r"          - Sid: TlsOnly\n(?:            .*\n)+", "", template)
    if removed == 0:
        raise ToolError("template.yaml no longer matches the TlsOnly pattern of tools/quick_template.py: adapt it")
    return re.sub(r"^( +Statement:)\n(?=\n)", r"\1 []\n", template, flags=re.M)
