"""Finds words and phrases to avoid in texts that people read.

``python -m tests.architecture.wording`` prints every place. It checks the strings in the sources
(help texts, messages, log lines, API descriptions), the docstrings that become help texts or API
descriptions, and the prose of the documentation. With ``--all``, as in the lint, it also checks
docstrings, comments, the names of tests, and those of locals and arguments.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("app", "models", "pricetag", "workers")
# Names of locals and arguments that name no thing.
EMPTY_NAMES = frozenset({"found", "got", "stuff", "things", "told"})
# Of these, docstrings and comments are checked: their strings are inputs and expected outputs.
BENCHES = ("benchmarks", "tests")
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs")
# Docstrings in these folders are shown to users: as help texts and API descriptions.
SHOWN_DOCSTRINGS = ("app/api/", "app/schemas/", "pricetag/cli/", "pricetag/recipes/")


@dataclass(frozen=True, slots=True)
class Rule:
    """A habit, and what to write instead."""

    pattern: re.Pattern[str]
    instead: str


def _rule(pattern: str, instead: str) -> Rule:
    return Rule(re.compile(pattern, re.IGNORECASE), instead)


RULES = (
    _rule(r"\b(?:tell|tells|told|telling)\b", "report, show, state, announce, send"),
    _rule(r"\b(?:bear|bears|bearing|borne)\b", "have, carry, include, be charged"),
    _rule(r"(?<!there )\b(?:is|are|was|were) no (?!longer\b|more\b)", "is not a, invalid"),
    _rule(r"\bwhat is none\b", "invalid"),
    _rule(r"\b(?:is|are|was|were|be|been) had\b", "obtained, measured"),
    _rule(r"\b(?:at most|for) so (?:many|long|much)\b|\bso many\b(?! that)", "N, up to N"),
    _rule(r"\b(?:lack|lacks|lacked|lacking)\b", "is missing, has no"),
    _rule(r"\b(?:left|leave|leaves|leaving) out\b", "dropped, skipped, omitted"),
    _rule(
        r"(?<!connection )\b(?:refuse|refuses|refused|refusing|refusal|refusals)\b"
        r"(?! (?:a |the )?connection)",
        "reject",
    ),
    _rule(r"\blike (?:runs|figures|length|jobs|work)\b", "similar"),
    _rule(r"\bwould do\b", "try, use"),
    _rule(r"\b(?:stand|stands|stood|standing) (?:on|in|under|at|beside|there)\b", "is on, is in"),
    _rule(r"\bfor want of\b", "out of, without"),
    _rule(r"\bin vain\b|\bere\b|\bwhose it is\b|\bthereof\b|\bwhereof\b", "plain words"),
    _rule(r"(?-i:\AOf\b)|\bwhat is given\b|\bwhat was told\b", "name the noun"),
    _rule(r"\b(?:so|as) long\b(?! as)|\bas (?:much|many)(?=[.;,:)]|\Z)", "after N seconds, N"),
    _rule(
        r"(?<!all )(?<!part )(?<!some )(?<!none )(?<!front )(?<!use )(?<!out )(?<!one )"
        r"\bof (?:it|that)(?= ?[.;,:|)]|\Z)",
        "name the noun",
    ),
    _rule(r"(?-i:\AThere is no \w+ '?\Z)", "'X not found', what to do"),
    _rule(r"\bor then\b", "rewrite the clause"),
    _rule(r"\banew\b", "again, re-"),
    _rule(r"\bin (?:the|its|their) midst\b|\bin mid-training\b", "during, inside"),
    _rule(r"\bdear(?:er|est)?\b", "expensive"),
    _rule(r"\b(?:goes|go|went|gone|going) on\b(?! (?:the|a|an)\b)", "continue"),
    _rule(r"\blook(?:ed|s|ing)? through\b", "search"),
    _rule(r"\bheard of\b", "reported"),
    _rule(r"\bthe (?:newest|oldest|largest|latest|highest|lowest) first\b", "newest first"),
    _rule(r"\b(?:out|in)side of\b", "outside, inside"),
    _rule(r"\bfor ever\b", "forever, always, without end"),
    _rule(r"\bin the place of\b", "instead of"),
    _rule(r"\bone a (?:line|row|file|day|minute|month|page|column|step)\b", "one per line"),
    _rule(r"\bmend(?:s|ed|ing)?\b", "fix, correct, repair"),
    _rule(r"\bwhat (?:is|was) wrong\b", "the error, the problem"),
    _rule(r"\breckon(?:s|ed|ing)?\b", "assume, expect"),
    _rule(r"\ban? (?:layer|row|run|step|token) less\b", "one layer fewer"),
    _rule(r"\b(?:call|line|pass|row) an? (?:batch|example|figure|run|step)\b", "per batch"),
    _rule(r"\bask for fewer\b|\bas (?:it|they) sees? it\b", "plain words"),
    _rule(r"\bstands? still\b", "stops, does not advance"),
    _rule(r"\bmeanwhile\b", "in the meantime, at the same time"),
    _rule(r"\bthat which\b|\bnone but\b|\bthrown away\b", "plain words"),
    _rule(
        r"\b\w*(?:[a-z]{3}isation|utilis\w+|synchronis\w+|initialis\w+|normalis\w+|optimis\w+"
        r"|organis\w+|recognis\w+|summaris\w+)\b",
        "American spelling: -ize",
    ),
    _rule(
        r"\b(?:behaviour|colour|favour|neighbour|labelled|labelling|modelling|licence|programme"
        r"|centre|catalogue|judgement|learnt|spelt|artefact|fulfil(?!l)|grey|analys(?:e(?!s)|ed|ing))"
        r"\w*\b|\bdistils?\b",
        "American spelling",
    ),
    # The status in JSON is spelled with two l.
    _rule(r"(?<!')\bcancell(?:ed|ing|er|ers)\b(?!')", "canceled, canceling"),
)
# Names in code, options, units and the names in a docstring's "Args" are not prose.
_CODE = re.compile(
    r"``[^`]*``|`[^`]*`|\{[^{}]*\}|--[\w-]+|\b\w+_\w+\b|https?://\S+|\"\w+\"|^ {4,}\w+:(?= )",
    re.MULTILINE,
)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_IGNORE = "wording: ignore"


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of prose, and where it begins."""

    file: str
    line: int
    text: str
    kind: str  # "string", "docstring", "comment", "page"


@dataclass(frozen=True, slots=True)
class Finding:
    """A habit in a text."""

    file: str
    line: int
    words: str
    instead: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: '{self.words}': write {self.instead}"


def findings(texts: Iterator[Text]) -> list[Finding]:
    """Every place where a text has one of the habits."""
    return [finding for text in texts for finding in _of(text)]


def _of(text: Text) -> Iterator[Finding]:
    prose = _CODE.sub(lambda match: re.sub(r"[^\n]", "\0", match.group()), text.text)
    for rule in RULES:
        for match in rule.pattern.finditer(prose):
            line = text.line + prose.count("\n", 0, match.start())
            yield Finding(text.file, line, match.group(), rule.instead)


def shown_texts(root: Path = ROOT) -> Iterator[Text]:
    """What users read: strings, docstrings that become help texts, and pages."""
    for file in _sources(root):
        name = file.relative_to(root).as_posix()
        for text in python_texts(name, file.read_text("utf-8")):
            is_shown = text.kind == "docstring" and name.startswith(SHOWN_DOCSTRINGS)
            if text.kind == "string" or is_shown:
                yield text
    for page in _pages(root):
        yield page_text(page.relative_to(root).as_posix(), page.read_text("utf-8"))


def empty_names(root: Path = ROOT) -> Iterator[Finding]:
    """Locals and arguments of functions whose name does not name their content."""
    for file in _sources(root, (*ROOMS, *BENCHES)):
        yield from names_in(file.relative_to(root).as_posix(), file.read_text("utf-8"))


def names_in(name: str, source: str) -> Iterator[Finding]:
    """The empty names of one source."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.arg):
            stored = node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            stored = node.id
        else:
            continue
        if stored in EMPTY_NAMES:
            yield Finding(name, node.lineno, stored, "a noun that names the content")


def all_texts(root: Path = ROOT) -> Iterator[Text]:
    """The same, with all docstrings and comments, those of tests and benchmarks too."""
    for file in _sources(root):
        yield from python_texts(file.relative_to(root).as_posix(), file.read_text("utf-8"))
    for file in _sources(root, BENCHES):
        for text in python_texts(file.relative_to(root).as_posix(), file.read_text("utf-8")):
            if text.kind != "string":
                yield text
        yield from names_of_tests(file.relative_to(root).as_posix(), file.read_text("utf-8"))
    for page in _pages(root):
        yield page_text(page.relative_to(root).as_posix(), page.read_text("utf-8"))


def names_of_tests(name: str, source: str) -> Iterator[Text]:
    """Names of the tests in a source, as sentences."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if node.name.startswith("test_"):
            words = node.name.removeprefix("test_").replace("_", " ")
            yield Text(name, node.lineno, words, "test name")


def page_text(name: str, source: str) -> Text:
    """The prose of a Markdown page: code blocks keep their lines, but no words."""
    blank = _FENCE.sub(lambda match: "\n" * match.group().count("\n"), source)
    return Text(name, 1, blank, "page")


def python_texts(name: str, source: str) -> Iterator[Text]:
    """The prose in a Python source: strings of two words or more, docstrings, comments."""
    tree = ast.parse(source)
    docstrings = {id(node) for node in _docstrings(tree)}
    ignored = {n for n, line in enumerate(source.splitlines(), 1) if _IGNORE in line}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if " " not in node.value.strip() or node.lineno in ignored:
            continue
        kind = "docstring" if id(node) in docstrings else "string"
        yield Text(name, node.lineno, node.value, kind)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and token.start[0] not in ignored:
            yield Text(name, token.start[0], token.string, "comment")


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Docstrings, and strings that stand alone under a constant."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else ():
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                yield statement.value


def _sources(root: Path, rooms: tuple[str, ...] = ROOMS) -> Iterator[Path]:
    for room in rooms:
        yield from sorted((root / room).rglob("*.py"))


def _pages(root: Path) -> Iterator[Path]:
    for page in PAGES:
        path = root / page
        yield from sorted(path.rglob("*.md")) if path.is_dir() else [path]


def main(arguments: list[str]) -> int:
    """Prints the findings; returns exit code 1 if there are any."""
    texts = all_texts() if "--all" in arguments else shown_texts()
    prefixes = tuple(argument for argument in arguments if not argument.startswith("-"))
    found_names = empty_names() if "--all" in arguments else ()
    every = [*findings(texts), *found_names]
    places = [f for f in every if not prefixes or f.file.startswith(prefixes)]
    for finding in places:
        sys.stdout.write(f"{finding}\n")
    sys.stdout.write(f"{len(places)} places\n" if places else "")
    return 1 if places else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
