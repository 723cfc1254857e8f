#!/usr/bin/env python3
"""Checks the Markdown pages: the book's table of contents, links, and console blocks.

- Every page under docs/ is in docs/SUMMARY.md, and every entry there is a page.
- Every relative link and every #anchor in a Markdown page resolves.
- Every console block of README.md and docs/guide/ names how a test runs it.

    tools/docs_check.py               checks the repository
    tools/docs_check.py --self-test   proves that each check finds a planted fault

Needs Python alone, and no network: links to other sites are not followed.
"""
import argparse
import fnmatch
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent

SKIPPED = ("vendor/*", "target/*", ".venv/*", ".local/*", ".aws-sam/*", "events/documents/*")
BOOK = "docs/"
SUMMARY = "docs/SUMMARY.md"

CONSOLE_PAGES = ("README.md", "docs/guide/*.md")
CONSOLE_BLOCKS = ("console,local", "console,demo", "console,account")
SHELLS = ("bash", "sh", "shell", "shell-session", "zsh")

FENCE = re.compile(r"^\s*(?:>\s*)*(?P<fence>```+|~~~+)\s*(?P<info>[^`]*)$")
CODE_SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*<?(?P<target>[^\s()<>]*(?:\([^()\s]*\)[^\s()<>]*)*)>?(?:\s+[\"'][^\"']*[\"'])?\s*\)")
DEFINITION = re.compile(r"^\s{0,3}\[[^\]^][^\]]*\]:\s+<?(?P<target>[^\s>]+)>?")
HTML_TARGET = re.compile(r"<(?:a|img)\b[^>]*?\b(?:href|src)=\"(?P<target>[^\"]*)\"", re.IGNORECASE)
HTML_ANCHOR = re.compile(r"<[a-z]+\b[^>]*?\b(?:id|name)=\"(?P<anchor>[^\"]*)\"", re.IGNORECASE)
HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(?P<text>.+?)\s*#*\s*$")
ENTRY = re.compile(r"\[[^\]]+\]\((?P<target>[^)\s]+)\)")
SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


def prose_lines(text: str) -> Iterator[tuple[int, str]]:
    """The numbered lines outside fenced blocks."""
    fence = None
    for number, line in enumerate(text.splitlines(), 1):
        match = FENCE.match(line)
        if fence is not None:
            if match and match.group("fence").startswith(fence) and not match.group("info"):
                fence = None
        elif match:
            fence = match.group("fence")
        else:
            yield number, line


def blocks(text: str) -> Iterator[tuple[int, str, str]]:
    """Line, info string and content of each fenced block."""
    fence, begin, info, content = None, 0, "", []
    for number, line in enumerate(text.splitlines(), 1):
        match = FENCE.match(line)
        if fence is None and match:
            fence, begin, info, content = match.group("fence"), number, match.group("info").strip(), []
        elif fence is not None and match and match.group("fence").startswith(fence) and not match.group("info"):
            yield begin, info, "\n".join(content)
            fence = None
        elif fence is not None:
            content.append(line)
    if fence is not None:
        yield begin, info, "\n".join(content)


def slug(heading: str) -> str:
    """The anchor that GitHub and mdBook give a heading."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    text = re.sub(r"<[^>]*>|[*`]", "", text)
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", text.strip().lower()))


def anchors(text: str) -> set[str]:
    found: set[str] = set()
    counts: dict[str, int] = {}
    for _, line in prose_lines(text):
        match = HEADING.match(line)
        if match:
            base = slug(match.group("text"))
            count = counts.get(base, 0)
            counts[base] = count + 1
            found.add(f"{base}-{count}" if count else base)
        found.update(anchor.group("anchor") for anchor in HTML_ANCHOR.finditer(line))
    return found


def targets(text: str) -> Iterator[tuple[int, str]]:
    for number, line in prose_lines(text):
        line = CODE_SPAN.sub("`code`", line)
        for pattern in (LINK, DEFINITION, HTML_TARGET):
            for match in pattern.finditer(line):
                yield number, match.group("target")


class Pages:
    """The Markdown pages of a folder, each read once."""

    def __init__(self, root: Path, paths: list[str]):
        self.root = root
        self.texts = {path: (root / path).read_text(encoding="utf-8") for path in paths}
        self._anchors: dict[str, set[str]] = {}

    def anchors(self, path: str) -> set[str]:
        if path not in self._anchors:
            text = self.texts.get(path)
            self._anchors[path] = anchors(text if text is not None else (self.root / path).read_text(encoding="utf-8"))
        return self._anchors[path]


def check_links(pages: Pages) -> Iterator[Finding]:
    for path, text in pages.texts.items():
        for line, target in targets(text) if path != SUMMARY else ():
            if SCHEME.match(target) or target.startswith("//"):
                continue
            if not target:
                yield Finding(path, line, "a link without a target")
                continue
            if target.startswith("/"):
                yield Finding(path, line, f"{target}: a link within the repository is relative")
                continue
            file, _, anchor = target.partition("#")
            file = unquote(file.partition("?")[0])
            there = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
            if there.startswith(".."):
                yield Finding(path, line, f"{target}: outside the repository")
            elif not (pages.root / there).exists():
                yield Finding(path, line, f"{target}: no such file")
            elif anchor and there.endswith(".md") and unquote(anchor) not in pages.anchors(there):
                yield Finding(path, line, f"{target}: {there} has no heading with the anchor #{anchor}")


def check_summary(pages: Pages) -> Iterator[Finding]:
    inside = {path for path in pages.texts if path.startswith(BOOK) and path != SUMMARY}
    if SUMMARY not in pages.texts:
        if inside:
            yield Finding(SUMMARY, 1, "no such file")
        return
    listed: dict[str, int] = {}
    for number, line in prose_lines(pages.texts[SUMMARY]):
        for match in ENTRY.finditer(line):
            path = os.path.normpath(BOOK + match.group("target"))
            if path in listed:
                yield Finding(SUMMARY, number, f"{path} is in line {listed[path]} already")
            elif path not in inside:
                yield Finding(SUMMARY, number, f"{path}: no such page")
            listed.setdefault(path, number)
    for path in sorted(inside - set(listed)):
        yield Finding(path, 1, f"the page is not in {SUMMARY}")


def check_console(pages: Pages) -> Iterator[Finding]:
    allowed = ", ".join(f"`{block}`" for block in CONSOLE_BLOCKS)
    for path, text in pages.texts.items():
        if not any(fnmatch.fnmatch(path, pattern) for pattern in CONSOLE_PAGES):
            continue
        for line, info, content in blocks(text):
            language = info.split(",")[0].split()[0] if info else ""
            if info in CONSOLE_BLOCKS:
                continue
            if language == "console" or language in SHELLS or (not language and re.search(r"^\$ ", content, re.MULTILINE)):
                yield Finding(path, line, f"a block of commands says how a test runs it: {allowed}; not `{info}`")


def check(root: Path, paths: list[str]) -> list[Finding]:
    pages = Pages(root, paths)
    return sorted([*check_summary(pages), *check_links(pages), *check_console(pages)])


def markdown_files(root: Path) -> list[str]:
    """The pages that git tracks or would track, and that are there."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.md"],
                            cwd=root, capture_output=True, text=True, check=True).stdout
    return sorted(path for path in set(listed.split("\0")) if path and (root / path).is_file()
                  and not any(fnmatch.fnmatch(path, pattern) for pattern in SKIPPED))


# ---------------------------------------------------------------- self-test

def self_test() -> int:
    failures = []

    def expect(case: str, files: dict[str, str], expected: list[tuple[str, int, str]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for path, text in files.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            findings = check(root, sorted(path for path in files if path.endswith(".md")))
        actual = [(finding.path, finding.line) for finding in findings]
        if actual != [(path, line) for path, line, _ in expected] or any(
                part not in finding.message for finding, (_, _, part) in zip(findings, expected)):
            failures.append(f"{case}: {[str(finding) for finding in findings]}, not {expected}")

    book = {"docs/SUMMARY.md": "# Summary\n\n[Start](start.md)\n\n- [A](guide/a.md)\n",
            "docs/start.md": "# Start\n\n[A](guide/a.md#how-it-ends-1) [up](../README.md) [here](#start)\n",
            "docs/guide/a.md": "# A\n\n## How it ends\n\n## How it ends\n\n```console,demo\nmake demo\n```\n",
            "README.md": "# Docket\n\n[book](docs/start.md), `[no](link.md)`, [site](https://x.test/a#b), <a href=\"a.svg\">a</a>\n",
            "a.svg": ""}
    expect("a sound book", book, [])
    expect("a page that is not listed", {**book, "docs/guide/b.md": "# B\n"}, [("docs/guide/b.md", 1, "not in docs/SUMMARY.md")])
    expect("an entry without a page", {**book, "docs/SUMMARY.md": book["docs/SUMMARY.md"] + "- [B](guide/b.md)\n"},
           [("docs/SUMMARY.md", 6, "no such page")])
    expect("an entry twice", {**book, "docs/SUMMARY.md": book["docs/SUMMARY.md"] + "- [A](guide/a.md)\n"},
           [("docs/SUMMARY.md", 6, "already")])
    expect("no summary", {"docs/a.md": "# A\n"}, [("docs/SUMMARY.md", 1, "no such file")])
    for link, message in (("[a](nothing.md)", "no such file"), ("[a](docs/start.md#nothing)", "no heading"),
                          ("[a](#nothing)", "no heading"), ("[a](/docs/start.md)", "relative"), ("[a](../x.md)", "outside"),
                          ("![a](b.svg)", "no such file"), ("[a]: nothing.md", "no such file"),
                          ("<img src=\"b.svg\">", "no such file"), ("[a]()", "without a target")):
        expect(link, {**book, "README.md": f"# Docket\n\n{link}\n"}, [("README.md", 3, message)])
    for link in ("```\n[a](nothing.md)\n```", "[a](docs/)", "[a](docs/start.md?plain=1)", "[`a`](a.svg \"title\")"):
        expect(link, {**book, "README.md": f"# Docket\n\n{link}\n"}, [])
    for info, message in (("console", "not `console`"), ("console,other", "console,other"), ("bash", "bash")):
        expect(info, {**book, "docs/guide/a.md": f"# A\n\n## How it ends\n\n## How it ends\n\n```{info}\nls\n```\n"},
               [("docs/guide/a.md", 7, message)])
    expect("no info string", {**book, "README.md": "```\n$ ls\n```\n"}, [("README.md", 1, "says how")])
    for fenced in ("```json\n{}\n```", "```\nplain\n```", "```console,account\nls\n```", "````text\n```console\n```\n````"):
        expect(fenced, {**book, "README.md": fenced + "\n"}, [])
    expect("console elsewhere", {**book, "docs/start.md": "# Start\n\n```console\nls\n```\n"}, [])
    if (found := slug("The `job_id` of *a* [job](x.md), `a/b`: 100 % (or so)")) != "the-job_id-of-a-job-ab-100--or-so":
        failures.append(f"slug: {found}")

    for failure in failures:
        print(f"docs: self-test: {failure}", file=sys.stderr)
    print(f"docs: self-test: {len(failures)} failures")
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    paths = markdown_files(ROOT)
    findings = check(ROOT, paths)
    for finding in findings:
        print(finding)
    print(f"docs: {len(findings)} findings in {len(paths)} pages")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
