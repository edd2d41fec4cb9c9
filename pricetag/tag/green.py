"""A start chosen by a forecast of carbon intensity, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pricetag.tag.figures import duration_text, number, percent, quantity_text


def plan_text(plan: Mapping[str, Any]) -> str:
    """When a run starts, or would, and the expected saving."""
    text = (
        f"{str(plan['start'])[:16].replace('T', ' ')} UTC, the greenest within "
        f"{plan['within_h']:g} h for a run of {duration_text(plan['duration_s'])}: forecast "
        f"{number(plan['planned']['value'])} g/kWh instead of "
        f"{number(plan['at_once']['value'])} at once"
    )
    saving = plan["saving_ratio"]["value"]
    return text if saving is None else f"{text} ({percent(saving)} less)"


def plan_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    """The start, the origin of the run's length, and the marginal saving, kept apart."""
    yield f"Start: {plan_text(plan)}"
    if plan["duration_source"] == "assumed":
        yield "The length of the run is assumed: its quote has none"
    marginal = plan["marginal_saving_ratio"]
    if marginal["value"] is not None:
        yield f"Marginal emissions, forecast: {percent(marginal['value'])} less than at once"


def green_text(green: Mapping[str, Any]) -> str:
    """How the start of a run was chosen, and what that saved."""
    saved, ratio = green["saved_kg"], green["saved_ratio"]
    text = f"{plan_text(green)}; {green['provider']}"
    if ratio["value"] is None:
        return f"{text}. Saved: n/a ({ratio['reason']})"
    result = f"{text}. Saved by the recorded hours: {percent(ratio['value'])}"
    return result if saved["value"] is None else f"{result}, {quantity_text(saved)} CO2e"
