"""Help for terminals that are too narrow for panels: nothing is cut off there.

In the columns of a panel, long names and words end in "…" where the terminal is narrow. The help is
then written as a list instead, each entry on its own line with its text below.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

Format = Callable[[Any, Any], None]

FRAME = re.compile("[│╭╮╰╯─]")
INDENT = "    "


def format_help(command: Any, panels: Format, ctx: Any, formatter: Any) -> None:
    """Writes the help in panels, or as a list where these would cut off a name or a word.

    Args:
        command: The command.
        panels: Its method that prints the help in panels.
        ctx: Context of the call.
        formatter: Collects the lines of the list; has the width of the terminal.
    """
    for param in command.get_params(ctx):
        if getattr(param, "is_flag", False):  # its type would look like a value to enter
            param.display_type_rich = lambda ctx: None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        panels(ctx, formatter)
    if _is_whole(printed.getvalue(), command, ctx):
        if sys.stdout.isatty():
            panels(ctx, formatter)  # once more, in colors
        else:
            sys.stdout.write(printed.getvalue())
        return
    for line in _lines(command, ctx, _width()):
        formatter.write(f"{line}\n")


def _width() -> int:
    """Columns of the terminal, as for the panels."""
    from rich.console import Console

    return Console().width


def _is_whole(printed: str, command: Any, ctx: Any) -> bool:
    """Whether each name, type and word of the help is printed in one piece."""
    words = set(re.split(r"[\s,]+", FRAME.sub(" ", printed)))
    needed = [name for name, _ in _commands(command, ctx)]
    for param in _parameters(command):
        texts = [*param.opts, *param.secondary_opts, param.help or ""]
        if param.param_type_name == "argument":
            texts = [param.metavar or "", param.help or ""]
        texts.append(param.display_type_rich(ctx=ctx) or "")
        needed += re.split(r"[\s,]+", " ".join(texts))
    return words.issuperset(needed) and not any("…" in word for word in words.difference(needed))


def _parameters(command: Any) -> Iterator[Any]:
    return (param for param in command.params if not getattr(param, "hidden", False))


def _commands(command: Any, ctx: Any) -> Iterator[tuple[str, Any]]:
    for name in command.list_commands(ctx) if hasattr(command, "list_commands") else ():
        inner = command.get_command(ctx, name)
        if inner is not None and not inner.hidden:
            yield name, inner


def _lines(command: Any, ctx: Any, width: int) -> Iterator[str]:
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    yield from _filled(f"Usage: {usage}", width, "", INDENT)
    for paragraph in re.split(r"\n{2,}", inspect.cleandoc(command.help or "")):
        yield ""
        yield from _filled(paragraph, width)
    sections: dict[str, list[tuple[str, str]]] = {}
    for param in _parameters(command):
        title = "Arguments" if param.param_type_name == "argument" else "Options"
        sections.setdefault(title, []).append(param.get_help_record(ctx))
    for name, inner in _commands(command, ctx):
        panel = getattr(inner, "rich_help_panel", None)
        first = re.split(r"\n{2,}", inspect.cleandoc(inner.help or ""))[0]
        sections.setdefault(panel if isinstance(panel, str) else "Commands", []).append(
            (name, first)
        )
    for title, entries in sections.items():
        yield from ("", f"{title}:")
        for heading, text in entries:
            yield from _filled(heading.replace("|", " | "), width, "  ", INDENT)
            yield from _filled(text, width, INDENT, INDENT)
    for paragraph in re.split(r"\n{2,}", inspect.cleandoc(command.epilog or "")):
        yield ""
        yield from _filled(paragraph, width, "", INDENT)


def _filled(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """The lines of a text, none of whose words is cut."""
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
