#!/usr/bin/env python3
"""Checks that prose and names follow docs/contributing/style.md.

Reads the Markdown pages, the comments and messages of the sources, and the
descriptions in the YAML files. Exits 1 with `file:line` for every finding.

    tools/prose.py               checks the repository
    tools/prose.py PATH …        checks these files or folders
    tools/prose.py --long        also lists the sentences of more than 25 words
    tools/prose.py --self-test   proves that each rule finds a planted sentence

`tools/prose_allow.txt` lists the exceptions. Needs Python alone.
"""
import argparse
import ast
import bisect
import fnmatch
import io
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ALLOW_LIST = ROOT / "tools" / "prose_allow.txt"
STYLE_PAGE = "docs/contributing/style.md"

SKIPPED = (
    "vendor/*", "target/*", ".venv/*", ".local/*", ".aws-sam/*", "mutants.out*/*", "docs/book/*",
    "events/documents/*", "bench/results/*", "Cargo.lock", "tools/prose.py", "tools/prose_allow.txt",
)

LONG_SENTENCE_WORDS = 25
TEST_NAME_CHARS = 60


@dataclass(frozen=True)
class Rule:
    name: str
    pattern: re.Pattern
    advice: str
    bad: str
    """A sentence that the rule must find."""
    good: str
    """A sentence that the rule must leave alone."""


def rule(name: str, pattern: str, advice: str, bad: str, good: str) -> Rule:
    return Rule(name, re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE), advice, bad, good)


OWNER = r"(?:one[’']s|its|her|his|their|your|our|my)"

PHRASES = [
    rule("tell", r"tell|tells|told|telling|untold", "name the act: reports, publishes, shows, returns",
         "The batch tells its cost.", "The batch reports its cost."),
    rule("lie", r"lie|lies|lay|lays|lain|lying", "say `is`, `is stored` or `is in`",
         "The result lies in the bucket.", "The result is in the bucket, under the underlying layout."),
    rule("stand", r"stand|stands|stood|standing", "say `is`",
         "The count stands in the log.", "The stand-in meets the standard; readers understand it."),
    rule("beside", r"beside", "say `in addition to`, `next to` or `and`",
         "It runs beside the queue.", "It runs next to the queue, side by side."),
    rule("news", r"news", "say `event` or `job event`",
         "The news is refused.", "The newest event is refused."),
    rule("room", r"rooms?", "say `capacity`, `memory` or `space`",
         "There is room for one more document.", "The memory budget has capacity for one document."),
    rule("had", r"(?:is|are|was|were|be) had|had again", "say `is retried`",
         "A running one is had again.", "A running job had an attempt again."),
    rule("given back", r"(?:give|gives|given|giving|gave) (?:it |them )?back", "say `is released` or `is returned`",
         "The job is given back.", "The job is released, and the background task gives up."),
    rule("comes again", r"(?:come|comes|coming|came) again", "say `is redelivered` or `recurs`",
         "The message comes again.", "The message comes; it is redelivered again."),
    rule("wanted again", r"wanted again", "say what repeats: `is requested again`",
         "The page is wanted again.", "The page is requested again."),
    rule("by moments", r"by moments", "say `eventually consistent`",
         "The index follows by moments.", "The index is eventually consistent for a moment."),
    rule("by chance", r"by chance", "say `at random`",
         "The shard is taken by chance.", "The shard is taken at random, with a chance of 1 in 64."),
    rule("own", rf"of {OWNER} own", "say `its own X`, `a separate X` or `a custom X`",
         "It runs in a process of its own.", "It runs in its own process, on its own."),
    rule("so many", r"so many", "name the number",
         "It takes at most so many bytes.", "It takes at most 400 bytes."),
    rule("what is there", r"what is there|what there is", "name the thing",
         "It reads what is there.", "It reads the stored rows; is there one?"),
    rule("whoever", r"whoever|whomever|whosoever", "name the actor",
         "The answer is sent to whoever asked.", "The answer is sent to the caller."),
    rule("whatever", r"whatever|whatsoever", "name the cases: `any X`, `every X`",
         "It stores whatever the model answers.", "It stores any answer of the model."),
    rule("the rest is", r"the rest (?:is|are|was|were|lies|stands)", "name the remainder",
         "The rest is Bedrock's.", "Bedrock handles the remaining rest."),
    rule("held against", r"(?:hold|holds|held|holding) (?:\w+ ){0,2}against", "say `is compared with` or `is checked against`",
         "The plan is held against a run.", "The plan is compared with a run and checked against it."),
    rule("is someone's to", r"(?:is|are) (?:\w+[’']s|theirs|yours|ours|hers|his) to", "name the actor first",
         "Such a password is Bedrock's to find.", "Bedrock finds such a password; it is ready to go."),
]

OPENINGS = re.compile(r"(?:What|Who|Whoever|Whatever|Whose|Whom|Of)\b(?!-)")
CELL_OPENINGS = re.compile(r"(?:What|Who|Whoever|Whatever|Whose|Whom)\b(?!-)", re.IGNORECASE)
OPENING_ADVICE = "open with the subject (style rule 2)"

# Names: these words never, and these functions not without an object.
NAME_WORDS = {"tell", "tells", "told", "untold", "lie", "lies", "stands", "stood", "beside", "news", "room",
              "whoever", "whatever"}
BARE_FUNCTIONS = {"of", "told", "whole", "take"}


@dataclass(frozen=True)
class Passage:
    """Prose that reads as one piece: a paragraph, a list item, a table cell, a message."""
    kind: str
    """prose, heading, cell or string"""
    text: str
    starts: tuple[int, ...]
    """Where each source line begins in `text`."""
    lines: tuple[int, ...]
    """The number of each source line."""

    def line_at(self, offset: int) -> int:
        return self.lines[bisect.bisect_right(self.starts, offset) - 1]


@dataclass(frozen=True)
class Finding:
    path: str
    line: int
    rule: str
    excerpt: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.excerpt!r}: {self.advice}"


# ------------------------------------------------------------------ passages

Lines = list[tuple[int, str]]

FENCE = re.compile(r"^\s*(```+|~~~+)")
LIST_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+")
HEADING = re.compile(r"^#{1,6}\s+")
SEPARATOR = re.compile(r"^\|?[\s:|-]+\|?$")
CODE_SPAN = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
LINK_TARGET = re.compile(r"(?<=\])(?:\([^()\s]*(?:\([^()]*\)[^()\s]*)?(?:\s+\"[^\"]*\")?\)|\[[^\]]*\])")
URL = re.compile(r"<?\bhttps?://[^\s<>)]+>?")
PATH = re.compile(r"[\w.-]+(?:/[\w.*-]+)+|\b[\w-]+\.(?:rs|py|md|ya?ml|json|toml|txt|svg)\b|\w+(?:::\w+)+")
TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!--.*?-->", re.DOTALL)


def hide(match: re.Match) -> str:
    return "x" * len(match.group())


def blank(match: re.Match) -> str:
    return " " * len(match.group())


def clean(text: str) -> str:
    """Hides code, targets and tags; offsets stay."""
    text = CODE_SPAN.sub(hide, text)
    text = LINK_TARGET.sub(blank, text)
    text = URL.sub(hide, text)
    text = PATH.sub(hide, text)
    return TAG.sub(blank, text)


def passage(kind: str, lines: Lines) -> Passage:
    starts, offset = [], 0
    for _, text in lines:
        starts.append(offset)
        offset += len(text) + 1
    text = " ".join(text for _, text in lines)
    return Passage(kind, text if kind == "string" else clean(text), tuple(starts), tuple(number for number, _ in lines))


def cells(row: str) -> list[str]:
    """The cells of a table row; a `|` inside code or behind a backslash does not part them."""
    hidden = CODE_SPAN.sub(hide, row.replace("\\|", "xx"))
    ends = [place for place, character in enumerate(hidden) if character == "|"] + [len(row)]
    found, begin = [], 0
    for end in ends:
        found.append(row[begin:end])
        begin = end + 1
    return found


def markdown_passages(lines: Lines) -> Iterator[Passage]:
    paragraph: Lines = []
    fence = None
    for number, text in [*lines, (0, "")]:
        opened = FENCE.match(text)
        if fence is not None:
            if opened and opened.group(1).startswith(fence):
                fence = None
            continue
        stripped = text.strip()
        ends_paragraph = (not stripped or opened or HEADING.match(stripped) or stripped.startswith("|")
                          or LIST_ITEM.match(text))
        if ends_paragraph and paragraph:
            yield passage("prose", paragraph)
            paragraph = []
        if opened:
            fence = opened.group(1)[:3]
        elif not stripped:
            continue
        elif HEADING.match(stripped):
            yield passage("heading", [(number, HEADING.sub("", stripped))])
        elif stripped.startswith("|"):
            if not SEPARATOR.match(stripped):
                yield from (passage("cell", [(number, cell.strip())]) for cell in cells(stripped) if cell.strip())
        else:
            paragraph.append((number, LIST_ITEM.sub("", text).strip().lstrip("> ")))


def line_numbers(text: str):
    starts = [0] + [match.end() for match in re.finditer("\n", text)]
    return lambda offset: bisect.bisect_right(starts, offset)


def markdown(text: str) -> Iterator[Passage]:
    yield from markdown_passages(list(enumerate(text.splitlines(), 1)))


def grouped(comments: Iterable[tuple[int, str, bool, str]]) -> Iterator[Passage]:
    """Comments (line, text, alone on its line, marker): those on adjacent lines read as one text."""
    group: Lines = []
    last_marker, last_alone = "", False
    for number, text, alone, marker in comments:
        joined = group and alone and last_alone and marker == last_marker and number == group[-1][0] + 1
        if group and not joined:
            yield from markdown_passages(group)
            group = []
        group.append((number, text))
        last_marker, last_alone = marker, alone
    yield from markdown_passages(group)


RUST_TOKEN = re.compile(
    r"""(?P<raw>(?<![A-Za-z0-9_])[bc]?r(?P<hashes>\#*)"(?P<raw_text>.*?)"(?P=hashes))"""
    r"""|(?P<string>[bc]?"(?P<string_text>(?:[^"\\]|\\.)*)")"""
    r"""|(?P<char>b?'(?:[^'\\\n]|\\(?:u\{[^}]*\}|x..|.))')"""
    r"""|(?P<line>//[^\n]*)"""
    r"""|(?P<block>/\*.*?\*/)""",
    re.DOTALL,
)
RUST_MARKER = re.compile(r"//[/!]?(?!/)|//+")


def rust(text: str) -> Iterator[Passage]:
    line_of = line_numbers(text)
    comments, strings = [], []
    for token in RUST_TOKEN.finditer(text):
        kind, number = token.lastgroup, line_of(token.start())
        if token.group("line"):
            marker = RUST_MARKER.match(token.group("line")).group()
            alone = not text[text.rfind("\n", 0, token.start()) + 1:token.start()].strip()
            comments.append((number, token.group("line")[len(marker):].removeprefix(" "), alone, marker))
        elif token.group("block"):
            for step, part in enumerate(token.group("block")[2:-2].splitlines()):
                comments.append((number + step, part.strip().lstrip("*! "), True, "block"))
        elif kind in ("string", "string_text", "raw", "raw_text") or token.group("raw") or token.group("string"):
            content = token.group("raw_text") or token.group("string_text") or ""
            strings += message(number, re.sub(r"\\\n\s*", " ", content))
    yield from grouped(comments)
    yield from strings


def message(number: int, content: str) -> list[Passage]:
    """A literal that reads as a sentence; JSON, XML, paths and the like are none."""
    content = re.sub(r"\\[nrt]", " ", content)
    if len(content.split()) < 3 or content.lstrip()[:1] in ("{", "[", "<") or '":' in content or '\\":' in content:
        return []
    return [passage("string", [(number, " ".join(content.split()))])]


PYTHON_STATEMENT_STARTS = {tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE, tokenize.NL, tokenize.ENCODING,
                           tokenize.COMMENT}


def python(text: str) -> Iterator[Passage]:
    comments, others = [], []
    previous = tokenize.ENCODING
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    for place, token in enumerate(tokens):
        number = token.start[0]
        if token.type == tokenize.COMMENT:
            comments.append((number, token.string.lstrip("#!").removeprefix(" "), not token.line[:token.start[1]].strip(), "#"))
        elif token.type == tokenize.STRING:
            alone = previous in PYTHON_STATEMENT_STARTS and tokens[place + 1].type in (tokenize.NEWLINE, tokenize.NL)
            if alone:
                content = token.string.lstrip("rRbBuUfF").strip("\"'")
                others += markdown_passages(list(enumerate(content.splitlines(), number)))
            else:
                others += message(number, token.string.lstrip("rRbBuUfF").strip("\"'"))
        elif tokenize.tok_name[token.type] == "FSTRING_MIDDLE":
            others += message(number, token.string)
        previous = token.type
    yield from grouped(comments)
    yield from others


HASH_COMMENT = re.compile(r"""^(?P<code>(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^"'#]|(?<=\S)\#)*?)(?:(?<=\s)|^)\#(?P<text>.*)$""")
BOX = re.compile(r"^[-=# ]*[-=#]{3,}\s*|\s*[-=#]{3,}\s*$")


def hash_comments(text: str) -> Iterator[Passage]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if "#" not in line:
            continue
        match = HASH_COMMENT.match(line)
        if match and not match.group("text").startswith("!"):
            content = BOX.sub("", match.group("text")).lstrip("#").removeprefix(" ")
            found.append((number, content, not match.group("code").strip(), "#"))
    yield from grouped(found)


DESCRIPTION = re.compile(
    r"""^(?P<indent>\s*)(?:-\s+)?(?:Description|description|summary|title|about|ConstraintDescription):\s*(?P<value>.*)$""")
INLINE_DESCRIPTION = re.compile(
    r"""[{,]\s*(?:description|summary|default):\s*(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)'|(?P<plain>[^,{}\[\]"'][^,{}]*))""")


def yaml(text: str) -> Iterator[Passage]:
    yield from hash_comments(text)
    lines = text.splitlines()
    place = 0
    while place < len(lines):
        line = lines[place]
        for match in INLINE_DESCRIPTION.finditer(line):
            value = match.group("double") or match.group("single") or match.group("plain") or ""
            if len(value.split()) > 1:
                yield passage("prose", [(place + 1, value.strip())])
        match = DESCRIPTION.match(line)
        place += 1
        if not match or not match.group("value") or match.group("value")[0] in "{[&*!":
            continue
        indent = len(match.group("indent"))
        value = match.group("value")
        block = re.fullmatch(r"[>|][-+0-9]*\s*", value)
        content = [] if block else [(place, value.strip())]
        while place < len(lines):
            following = lines[place]
            if following.strip() and len(following) - len(following.lstrip()) <= indent:
                break
            content.append((place + 1, following.strip()))
            place += 1
        content = [(number, part.strip("\"'")) for number, part in content]
        yield from markdown_passages(content)


TOML_DESCRIPTION = re.compile(r'^description\s*=\s*"(?P<text>.*)"\s*$')


def toml(text: str) -> Iterator[Passage]:
    yield from hash_comments(text)
    for number, line in enumerate(text.splitlines(), 1):
        match = TOML_DESCRIPTION.match(line)
        if match:
            yield passage("prose", [(number, match.group("text"))])


ECHO = re.compile(r"""^\s*@?echo\s+"(?P<text>(?:[^"\\]|\\.)*)\"""")


def makefile(text: str) -> Iterator[Passage]:
    yield from hash_comments(text)
    for number, line in enumerate(text.splitlines(), 1):
        match = ECHO.match(line)
        if match:
            yield from message(number, match.group("text"))


READERS = {".md": markdown, ".rs": rust, ".py": python, ".yaml": yaml, ".yml": yaml, ".toml": toml, ".sh": hash_comments}


def reader(path: str):
    name = os.path.basename(path)
    if name == "Makefile":
        return makefile
    if path == ".ci/run":
        return hash_comments
    return READERS.get(os.path.splitext(name)[1])


# -------------------------------------------------------------------- checks

BOUNDARY = re.compile(r"(?<=[.!?])[\"'”’)*_]*\s+(?=[\"'“‘(*_\[]*[A-Zx])")


def sentences(text: str) -> Iterator[tuple[int, str]]:
    begin = 0
    for match in BOUNDARY.finditer(text):
        yield begin, text[begin:match.start()]
        begin = match.end()
    yield begin, text[begin:]


def words(text: str) -> list[str]:
    return re.findall(r"\w[\w’'.,-]*", text)


def excerpt(text: str, start: int, end: int) -> str:
    """The match with a word or two around it."""
    begin = text.rfind(" ", 0, max(0, start - 12)) + 1
    stop = text.find(" ", min(len(text), end + 12))
    return text[begin:stop if stop >= 0 else len(text)].strip()


def check_passage(path: str, found: Passage) -> Iterator[tuple[Finding, int, int]]:
    """Findings with the place of the match, which the allow-list compares."""
    for candidate in PHRASES:
        for match in candidate.pattern.finditer(found.text):
            yield (Finding(path, found.line_at(match.start()), candidate.name,
                           excerpt(found.text, *match.span()), candidate.advice), *match.span())
    if found.kind not in ("prose", "cell"):
        return
    for begin, sentence in sentences(found.text):
        opening = sentence.lstrip("\"'“‘(*_[ ")
        begin += len(sentence) - len(opening)
        match = OPENINGS.match(opening) or (found.kind == "cell" and CELL_OPENINGS.match(opening))
        if match and len(words(opening)) >= 3 and not opening.rstrip("\"'”’)*_ ").endswith("?"):
            yield (Finding(path, found.line_at(begin), "opening", excerpt(opening, *match.span()), OPENING_ADVICE),
                   begin, begin + match.end())


def long_sentences(found: Passage) -> Iterator[tuple[int, int, str]]:
    if found.kind in ("prose", "cell"):
        for begin, sentence in sentences(found.text):
            count = len(words(sentence))
            if count > LONG_SENTENCE_WORDS:
                yield found.line_at(begin), count, sentence.strip()


TEST = re.compile(r"#\[(?:tokio::)?test\b[^\]]*\](?:\s*(?:#\[[^\]]*\]|//[^\n]*))*\s*(?:pub(?:\([^)]*\))?\s+)?(?:async\s+)?fn\s+(\w+)")
SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
RUST_DEFINITION = re.compile(r"^\s*(?:pub(?:\([^)]*\))?\s+)?(?:default\s+|const\s+|async\s+|unsafe\s+)*"
                             r"(?P<kind>fn|struct|enum|trait|type|mod|static|const)\s+(?P<name>[A-Za-z_]\w*)", re.MULTILINE)
NAME_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def check_name(path: str, line: int, kind: str, name: str) -> Iterator[Finding]:
    parts = [part.lower() for part in NAME_PART.findall(name)]
    for part in parts:
        if part in NAME_WORDS:
            yield Finding(path, line, "name", name, f"a name without `{part}` (style rules 7 and 11)")
    if kind in ("fn", "def") and name in BARE_FUNCTIONS:
        yield Finding(path, line, "name", name, "a function is verb + object (style rule 7)")


def check_rust_names(path: str, text: str) -> Iterator[Finding]:
    line_of = line_numbers(text)
    for match in TEST.finditer(text):
        name, line = match.group(1), line_of(match.start(1))
        if len(name) > TEST_NAME_CHARS:
            yield Finding(path, line, "test name", name, f"{len(name)} characters; a test name has at most {TEST_NAME_CHARS}")
        if not SNAKE_CASE.fullmatch(name):
            yield Finding(path, line, "test name", name, "a test name is snake_case: subject_condition_expectation")
    for match in RUST_DEFINITION.finditer(text):
        yield from check_name(path, line_of(match.start("name")), match.group("kind"), match.group("name"))


def check_python_names(path: str, text: str) -> Iterator[Finding]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from check_name(path, node.lineno, "def", node.name)
        elif isinstance(node, ast.ClassDef):
            yield from check_name(path, node.lineno, "class", node.name)


# --------------------------------------------------------------- allow-list

@dataclass
class AllowedPhrase:
    glob: str
    phrase: str
    line: int
    used: bool = False

    def allows(self, path: str, found: Passage | None, finding: Finding, start: int, end: int) -> bool:
        if not fnmatch.fnmatch(path, self.glob):
            return False
        if found is None:
            return self.phrase == finding.excerpt
        if self.phrase == "<table>":
            return found.kind == "cell"
        for match in re.finditer(re.escape(self.phrase), found.text, re.IGNORECASE):
            if match.start() <= start and end <= match.end():
                return True
        return False


ALLOW_LINE = re.compile(r"(?P<glob>[^:#\s]+):\s+(?P<phrase>.+?)\s{2,}#\s*\S")


def read_allow_list(text: str) -> list[AllowedPhrase]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = ALLOW_LINE.match(line)
        if not match:
            sys.exit(f"tools/prose_allow.txt:{number}: write `path-glob: phrase  # reason`")
        found.append(AllowedPhrase(match.group("glob"), match.group("phrase"), number))
    return found


# ---------------------------------------------------------------------- run

@dataclass
class Report:
    findings: list[Finding]
    long: list[tuple[str, int, int, str]]
    files: int = 0


def check_text(path: str, text: str, exceptions: list[AllowedPhrase], report: Report) -> None:
    read = reader(path)
    if read is None:
        return
    report.files += 1

    def add(finding: Finding, found: Passage | None, start: int = 0, end: int = 0) -> None:
        for exception in exceptions:
            if exception.allows(path, found, finding, start, end):
                exception.used = True
                return
        report.findings.append(finding)

    try:
        passages = list(read(text))
        names = list(check_rust_names(path, text) if path.endswith(".rs")
                     else check_python_names(path, text) if path.endswith(".py") else ())
    except (SyntaxError, tokenize.TokenError) as error:  # a source in the middle of an edit
        report.findings.append(Finding(path, 1, "syntax", str(error), "the file cannot be read"))
        return
    for found in passages:
        for finding, start, end in check_passage(path, found):
            add(finding, found, start, end)
        report.long += [(path, *sentence) for sentence in long_sentences(found)]
    for finding in names:
        add(finding, None)


def is_skipped(path: str) -> bool:
    return any(fnmatch.fnmatch(path, pattern) for pattern in SKIPPED)


def files(paths: list[str]) -> list[str]:
    """What git tracks or would track, and is there."""
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths],
                            cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(path for path in set(listed.split("\0")) if path and not is_skipped(path) and reader(path)
                  and (ROOT / path).is_file())


def relative(path: str) -> str:
    return os.path.relpath(os.path.abspath(path), ROOT)


def check(paths: list[str]) -> Report:
    exceptions = read_allow_list(ALLOW_LIST.read_text(encoding="utf-8"))
    report = Report([], [])
    for path in files([relative(path) for path in paths]):
        check_text(path, (ROOT / path).read_text(encoding="utf-8"), exceptions, report)
    if not paths:
        report.findings += [Finding("tools/prose_allow.txt", exception.line, "unused", f"{exception.glob}: {exception.phrase}",
                                    "no finding matches; remove the line") for exception in exceptions if not exception.used]
    report.findings.sort(key=lambda finding: (finding.path, finding.line))
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="files or folders; the whole repository by default")
    parser.add_argument("--long", action="store_true", help="list the sentences of more than 25 words")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args()
    if arguments.self_test:
        return self_test()
    report = check(arguments.paths)
    for finding in report.findings:
        print(finding)
    if arguments.long:
        for path, line, count, sentence in report.long:
            print(f"{path}:{line}: {count} words: {sentence}")
    print(f"prose: {len(report.findings)} findings in {report.files} files; "
          f"{len(report.long)} sentences of more than {LONG_SENTENCE_WORDS} words (--long lists them)")
    if report.findings:
        print(f"prose: {STYLE_PAGE} has the rules, tools/prose_allow.txt the exceptions", file=sys.stderr)
    return 1 if report.findings else 0


# ---------------------------------------------------------------- self-test

def found_in(path: str, text: str, allow: str = "") -> list[tuple[int, str]]:
    report = Report([], [])
    check_text(path, text, read_allow_list(allow), report)
    return [(finding.line, finding.rule) for finding in report.findings]


def self_test() -> int:
    failures = []

    def expect(what: str, actual, expected) -> None:
        if actual != expected:
            failures.append(f"{what}: {actual!r}, not {expected!r}")

    # Every rule, in every place that is read.
    places = {
        "a.md": "# Title\n\n{}\n",
        "b.rs": "fn main() {{}}\n\n/// {}\nfn next() {{}}\n",
        "c.rs": "fn main() {{\n    // {}\n}}\n",
        "d.rs": "fn main() {{\n\n    panic!(\"{}\");\n}}\n",
        "e.py": "x = 1\n\n# {}\n",
        "f.py": '"""Title.\n\n{}\n"""\n',
        "g.py": 'x = 1\n\nprint("{}")\n',
        "template.yaml": "Parameters:\n  Size:\n    Description: {}\n",
        "openapi.yaml": "a:\n  description: >-\n    {}\n",
        "h.yaml": "a: 1\n\n# {}\n",
        "i.toml": "a = 1\n\n# {}\n",
        "Makefile": "a:\n\techo a\n# {}\n",
    }
    for candidate in PHRASES:
        for path, frame in places.items():
            line = 1 + frame.format("\0").split("\0")[0].count("\n")
            expect(f"{path} with {candidate.bad!r}", found_in(path, frame.format(candidate.bad)), [(line, candidate.name)])
            expect(f"{path} with {candidate.good!r}", found_in(path, frame.format(candidate.good)), [])

    # Openings.
    for bad in ("What it did not use serves the next.", "Who asks is answered.", "Of ten jobs, one fails.",
                "The job ends. What remains is retried."):
        expect(bad, found_in("a.md", bad), [(1, "opening")])
        expect(bad, found_in("a.rs", f"//! {bad}\n"), [(1, "opening")])
    for good in ("What does it cost?", "Offsets are bytes.", "It knows what failed.", "# What it costs", "| what | unit |", "| of another type |",
                 "Whole batches end. `What` is a word."):
        expect(good, found_in("a.md", good), [])
    expect("a cell", found_in("a.md", "| a | what the model wants |\n"), [(1, "opening")])
    expect("over lines", found_in("a.md", "One ends.\nWhat is left\nis retried.\n"), [(2, "opening")])

    # Not prose.
    for text in ("`told`", "```\nit tells\n```", "[a](https://x.test/news/room)", "<https://x.test/beside>", "[src/room.rs](a.rs)",
                 "[crate::told]"):
        expect(text, found_in("a.md", f"A {text}\n") if "```" not in text else found_in("a.md", text), [])
    expect("a URL in a string", found_in("a.rs", 'let a = "https://x.test"; // it tells\n'), [(1, "tell")])
    expect("a raw string", found_in("a.rs", 'let a = r#"// "it" tells more"#;\n'), [(1, "tell")])
    expect("JSON", found_in("a.rs", 'let a = r#"{"document": "he told us so"}"#;\n'), [])
    expect("a lifetime", found_in("a.rs", "fn f<'a>(x: &'a str) {} // 'tells'\n"), [(1, "tell")])
    expect("a phrase over two lines", found_in("a.rs", "// it is given\n// back\n"), [(1, "given back")])
    expect("a phrase over two comments", found_in("a.rs", "let a = 1; // given\nlet b = 2; // back\n"), [])
    expect("yaml string with #", found_in("a.yaml", 'a: "b # it tells"\n'), [])
    expect("inline description", found_in("a.yaml", 'a: {type: string, description: "It tells more."}\n'), [(1, "tell")])
    expect("skipped files", [is_skipped(path) for path in ("vendor/a/b.md", "events/documents/a.md", "src/a.rs")], [True, True, False])

    # Names.
    test = "#[{}]\n#[ignore]\nasync fn {}() {{}}\n"
    expect("a good test", found_in("a.rs", test.format("tokio::test(start_paused = true)", "stale_worker_cannot_complete")), [])
    expect("a long test", found_in("a.rs", test.format("test", "a" * 61)), [(3, "test name")])
    expect("60 characters", found_in("a.rs", test.format("test", "a" * 60)), [])
    expect("camel case", found_in("a.rs", test.format("test", "staleWorker")), [(3, "test name")])
    expect("long, but no test", found_in("a.rs", f"fn {'a' * 61}() {{}}\n"), [])
    expect("a name", found_in("a.rs", "pub struct UntoldNews;\nfn release_job() {}\n"), [(1, "name"), (1, "name")])
    expect("a bare name", found_in("a.py", "def told():\n    pass\n\ndef take():\n    pass\n"), [(1, "name"), (1, "name"), (4, "name")])

    # Exceptions.
    allow = "a.*: a meeting room  # a real one\n"
    expect("allowed", found_in("a.md", "It is a meeting room.", allow), [])
    expect("elsewhere", found_in("b.md", "It is a meeting room.", allow), [(1, "room")])
    expect("another phrase", found_in("a.md", "There is no room.", allow), [(1, "room")])
    table = "a.md: <table>  # quotes the words\n"
    expect("in a table", found_in("a.md", "| it tells |\n", table), [])
    expect("outside it", found_in("a.md", "It tells.\n", table), [(1, "tell")])

    # Long sentences are counted.
    report = Report([], [])
    check_text("a.md", "One " + "word " * 24 + "more.\nA short one.\n", [], report)
    expect("long sentences", [(line, count) for _, line, count, _ in report.long], [(1, 26)])

    for failure in failures:
        print(f"prose: self-test: {failure}", file=sys.stderr)
    print(f"prose: self-test: {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
