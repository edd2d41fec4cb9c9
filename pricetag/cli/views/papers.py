"""Papers on the terminal: what commands print of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pricetag.cli.views.tables import ListTable
from pricetag.tag.figures import counted
from pricetag.tag.measured import QUEUE
from pricetag.tag.status import status_text


def paper_lines(read: Mapping[str, Any]) -> Iterator[str]:
    """A paper in a few lines, with what to do next."""
    runs = read["runs"]
    counted_runs = sum(run["version"] is not None for run in runs)
    yield f"{read['id']}  {read['title']} ({read['project']})"
    rows = read["published"]
    beside = f"; {counted(len(rows), 'published row')}" if rows else ""
    yield f"{counted(len(runs), 'run')}, {counted_runs} with a price tag{beside}"
    short = read["id"][:8]
    if read["frozen_at"] is not None:
        at = datetime.fromisoformat(read["frozen_at"]).astimezone(UTC)
        yield f"frozen {at:%Y-%m-%d %H:%M} UTC, selection {read['selection_sha256']}"
        yield f"next: pricetag paper archive {short}, pricetag share paper {short}"
    elif not runs and not rows:
        conditions = _conditions(read)
        yield f"no run matches yet ({conditions}); change it with: pricetag paper edit {short}"
    else:
        yield f"collecting; freeze it with: pricetag paper freeze {short}"


def _words(value: str | list[str]) -> str:
    return ", ".join(map(status_text, value)) if isinstance(value, list) else value


def _conditions(read: Mapping[str, Any]) -> str:
    """The conditions of a paper's rule, in words."""
    rule = read["rule"]
    if rule is None:
        return "no rule"
    tags = [f"tag {tag}" for tag in rule["tags"]]
    experiment = [f"experiment {rule['experiment']}"] if rule["experiment"] else []
    more = [
        f"{name.replace('_', ' ')} {_words(value)}"
        for name in ("status", "kind", "created_after", "created_before")
        if (value := rule[name])
    ]
    return ", ".join([*experiment, *tags, *more]) or f"all runs of {read['project']}"


def paper_with_runs(read: Mapping[str, Any]) -> Iterator[Any]:
    """A paper with its runs, published rows and reports."""
    yield from paper_lines(read)
    is_shown = any(run["run_origin"] != QUEUE for run in read["runs"])
    origin = ("Origin",) if is_shown else ()
    heads = ("~Run", "~Experiment", "Status", "Purpose", *origin, "Price tag", "ID")
    rows = [
        (
            run["name"],
            run["experiment"],
            status_text(run["status"]),
            run["purpose"] or "",
            *([run["run_origin"]] if is_shown else []),
            "none" if run["version"] is None else f"version {run['version']}",
            run["run_id"][:8],
        )
        for run in read["runs"]
    ]
    if rows or not read["published"]:
        yield ListTable(heads, rows)
    if read["published"]:
        yield ListTable(
            ("~Published", "Hardware", "Hours", "~Source"),
            [
                (row["model"], row["hardware"], f"{row['hours']:,.10g}", row["source"])
                for row in read["published"]
            ],
        )
    for made in read["reports"]:
        yield f"report {made['id']}, {made['created_at']}, {made['profile']}"


def papers_table(papers: Sequence[Mapping[str, Any]]) -> ListTable:
    """Papers, a row for each."""
    rows = [
        (
            each["title"],
            each["project"],
            "collecting" if each["frozen_at"] is None else "frozen",
            each["id"],
        )
        for each in papers
    ]
    return ListTable(("~Title", "~Project", "State", "ID"), rows)


def edited_lines(read: Mapping[str, Any], is_signed: bool) -> Iterator[str]:
    """A changed paper; if its authors were changed, which files have the earlier ones."""
    yield from paper_lines(read)
    if is_signed and read["reports"]:
        yield (
            "paper.bib, the archive and the other files have the authors of the newest report; to "
            f"create one with these authors: pricetag paper report {read['id'][:8]}"
        )


def checked_lines(checked: Mapping[str, Any]) -> Iterator[str]:
    """The result of checking an archive."""
    yield from checked["problems"]
    if checked["problems"]:
        yield f"not verified: {counted(len(checked['problems']), 'difference')}"
        return
    for axis, figure in checked["totals"].items():
        least = "at least " if figure["reason"] else ""
        known = figure["value"] is not None
        amount = f"{least}{figure['value']!r} {figure['unit']}"
        yield f"{axis}: {amount if known else 'n/a'}"
    runs, missing = checked["runs"], checked["not_counted"]
    more = f" of {runs + missing}; the others have no price tag" if missing else ""
    rows = checked["published"]
    beside = f", {counted(rows, 'published row')}" if rows else ""
    yield f"verified: {counted(runs, 'run')}{more}{beside}, selection {checked['selection_sha256']}"
