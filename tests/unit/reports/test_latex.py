from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from app.reports import build_context, latex
from app.reports.latex_text import breakable, escape, widest_cm
from app.reports.shape import Context, column, row, table
from tests.support.price_tags import owned_run, tag
from tests.support.report_contexts import context_with, wide_context
from tests.unit.reports.conftest import AT
from tests.unit.reports.strategies import SPECIAL, names

COMMAND = re.compile(r"\\(?:[A-Za-z]+|[^A-Za-z])")
MATH = re.compile(r"\\ensuremath\{(?:[^{}]|\\[A-Za-z]+)*\}")
# Everything that LaTeX reads as more than a letter, when it stands bare.
ACTIVE = set("\\&%$#_^")
KNOWN = {
    *("\\" + name for name in "{}&%$#_~^'`\"=."),
    r"\textbackslash",
    r"\ldots",
    r"\copyright",
    r"\pounds",
    r"\texttt",
    r"\allowbreak",
    r"\S",
    r"\ss",
    r"\ae",
    r"\AE",
    r"\oe",
    r"\OE",
    r"\o",
    r"\O",
    r"\l",
    r"\L",
    r"\i",
    r"\j",
    r"\u",
    r"\r",
    r"\H",
    r"\v",
    r"\d",
    r"\c",
    r"\b",
}


def assert_inert(text: str) -> None:
    """Nothing in it but letters and commands that print; braces in pairs; plain ASCII."""
    assert text.isascii()
    without_math = MATH.sub("", text)
    commands = COMMAND.findall(without_math)
    assert set(commands) <= KNOWN, set(commands) - KNOWN
    bare = COMMAND.sub("", without_math)
    assert not ACTIVE & set(bare.replace("~", "")), bare
    depth = 0
    for char in bare:
        depth += (char == "{") - (char == "}")
        assert depth >= 0
    assert depth == 0


@given(names)
def test_any_name_is_inert(name: str) -> None:
    assert_inert(escape(name))


def test_any_character_is_inert() -> None:
    for char in {*SPECIAL, *map(chr, range(1, 0x3000))}:
        assert_inert(escape(f"a{char}{char}b"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a_b & 50% #1 $x$", r"a\_b \& 50\% \#1 \$x\$"),
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("~^", r"\~{}\^{}"),
        ("--", "-{}-"),
        ("[x] *", r"{[}x{]} {*}"),
        ("Müller, Łódź, Çelik", r"M\"{u}ller, \L{}\'{o}d\'{z}, \c{C}elik"),
        ("naïve", r"na\"{\i}ve"),
        ("β = 0.9", r"\ensuremath{\beta} = 0.9"),
        ("中", r"\texttt{U+4E2D}"),
        ("a\x07b\nc", r"a\texttt{U+FFFD}b c"),
        ("H100 \u00d7 8", r"H100 \ensuremath{\times} 8"),
    ],
)
def test_names_are_printed_as_they_are(name: str, text: str) -> None:
    assert escape(name) == text


def structure(source: str) -> None:
    """Environments open and close in order; rows have as many cells as columns."""
    stack: list[str] = []
    columns = 0
    for line in source.splitlines():
        for edge, name in re.findall(r"\\(begin|end)\{(\w+)\}", line):
            if edge == "begin":
                stack.append(name)
            else:
                assert stack.pop() == name
        if line.startswith(r"\begin{tabular}"):
            columns = line.count("p{")
        if line.endswith(r"\tabularnewline"):
            assert len(re.findall(r"(?<!\\)&", line)) == columns - 1, line
    assert stack == []


@settings(max_examples=50)
@given(names)
def test_any_name_leaves_the_document_whole(name: str) -> None:
    source = latex.render(context_with(name)).decode("ascii")
    structure(source)
    assert re.findall(r"\\usepackage(?:\[.*?\])?\{(.*?)\}", source) == ["booktabs"]
    assert source.count(r"\toprule") == source.count(r"\bottomrule") == 1


def test_a_long_table_is_split_with_its_heading_on_each_part() -> None:
    context = context_with("x")
    shown = context["sections"][0]["tables"][0]
    shown["rows"] = [{"cells": [f"run {n}", "1"], "total": False} for n in range(60)]
    source = latex.render(context).decode()
    structure(source)
    assert source.count(r"\toprule") == 3
    assert source.count("x (continued)") == 2
    assert all(f"run {n} " in source for n in range(60))


def breaks(source: str) -> list[str]:
    return re.findall(r"\S*\\allowbreak\S*", source)


def test_words_of_ordinary_length_are_not_broken() -> None:
    owned: Any = build_context("x", "site", [tag(owned_run())], generated_at=AT)
    source = latex.render(owned).decode("ascii")
    footprint = source[source.index("Other emissions") :]
    assert "CO2e, embodied" in footprint[: footprint.index(r"\end{tabular}")]
    assert [word for word in breaks(source) if len(COMMAND.sub("", word)) <= 20] == []


def test_only_long_words_break_in_text() -> None:
    assert breakable("a_name_of_20_letters") == r"a\_name\_of\_20\_letters"
    assert breakable("x" * 21).count(r"\allowbreak") == 20


def test_columns_are_as_wide_as_their_words_while_there_is_room() -> None:
    columns = [column("Run", weight=9.0), column("embodied"), column("intensity")]
    shown = table("t", "caption", columns, [row("a b c", "1", "2")])
    widths_cm = latex._widths_cm(shown)
    assert sum(widths_cm) == pytest.approx(latex.TEXT_WIDTH_CM - 3 * latex.GAP_CM)
    for width_cm, word in zip(widths_cm, ("Run", "embodied", "intensity"), strict=True):
        assert width_cm >= widest_cm(word, of_parts=False)
    assert widths_cm[0] == pytest.approx(9 * widths_cm[1])  # as weighted: all had room
    many = [column(f"embodied {n}", weight=1.0 if n else 9.0) for n in range(9)]
    shown = table("t", "caption", many, [row(*"123456789")])
    widths_cm = latex._widths_cm(shown)
    assert min(widths_cm) >= widest_cm("embodied", of_parts=False)
    assert sum(widths_cm) == pytest.approx(latex.TEXT_WIDTH_CM - 9 * latex.GAP_CM)


def test_the_whole_report_has_its_structure(site: Context, paper: Context) -> None:
    for context in (site, paper):
        structure(latex.render(context).decode("ascii"))


@pytest.mark.parametrize("which", ["site", "paper", "special", "wide"])
def test_the_report_compiles_if_latex_is_installed(
    which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    hard = "".join(chr(code) for code in range(1, 0x250)) + SPECIAL + " [x] \\ -- long" + "g" * 90
    made = {"special": lambda: context_with(hard), "wide": wide_context}
    context: Any = made[which]() if which in made else request.getfixturevalue(which)
    source = latex.render(context)
    structure(source.decode("ascii"))
    engine = shutil.which("pdflatex")
    if engine is None:
        return
    (tmp_path / "report.tex").write_bytes(source)
    done = subprocess.run(
        [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"],
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert b"Overfull \\hbox" not in done.stdout
