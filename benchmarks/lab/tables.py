"""The measurement for people: a line in the terminal, a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.lab.measure import Timed


def line(row: Timed) -> str:
    """One row for the terminal."""
    if not row.times_ms:
        return f"?  {row.ask.title:<52} {row.caller:<9} not measured: no time left"
    mark = {"ok": "  ", "over": "! ", "error": "!!"}[row.verdict]
    codes = "" if row.statuses == (200,) else f"  {row.statuses}"
    return (
        f"{mark} {row.ask.title:<52} {row.caller:<9} p50 {row.p50_ms:9.1f} ms"
        f"   p95 {row.p95_ms:9.1f} ms   goal {row.ask.goal_ms:5.0f}{codes}"
    )


def markdown(rows: Sequence[Timed]) -> str:
    """The table of goals, what is over its goal besides, and how many rows there are."""
    in_table = [row for row in rows if row.ask.in_table]
    others = [row for row in rows if not row.ask.in_table]
    over = [row for row in others if row.verdict != "ok"]
    parts = ["## Table of goals", _table(in_table)]
    if over:
        parts += ["## Other requests over their goals", _table(over)]
    parts.append(summary(rows))
    return "\n\n".join(parts) + "\n"


def summary(rows: Sequence[Timed]) -> str:
    """How many rows meet their goals."""
    verdicts = [row.verdict for row in rows]
    return (
        f"{verdicts.count('ok')} of {len(rows)} rows meet their goals,"
        f" {verdicts.count('over')} are over, {verdicts.count('error')} have errors,"
        f" {verdicts.count('not measured')} are not measured."
    )


def _table(rows: Iterable[Timed]) -> str:
    head = "| request | caller | p50 ms | p95 ms | goal ms | |"
    rule = "| --- | --- | ---: | ---: | ---: | --- |"
    return "\n".join([head, rule, *map(_cells, rows)])


def _cells(row: Timed) -> str:
    times = f"{row.p50_ms:.1f} | {row.p95_ms:.1f}" if row.times_ms else " | "
    return f"| {row.ask.title} | {row.caller} | {times} | {row.ask.goal_ms:.0f} | {row.verdict} |"
