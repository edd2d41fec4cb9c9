"""The earliest start of a run: a time, or the rule by which the service chooses one."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Discriminator, Field, Tag

LONGEST_WAIT_H = 168
RULE = f"must be 'greenest within N h', with N from 1 to {LONGEST_WAIT_H}"
PATTERN = r"^greenest within [0-9]{1,3}(\.[0-9]{1,3})? ?h$"
_RULE = re.compile(r"greenest within ([0-9]{1,3}(?:\.[0-9]{1,3})?) ?h")


def greenest_within(not_before: datetime | str | None) -> timedelta | None:
    """The time within which a run must start that waits for the greenest start; else None.

    Raises:
        ValueError: If the rule is malformed.
    """
    if not isinstance(not_before, str):
        return None
    match = _RULE.fullmatch(not_before)
    if match is None or not 1 <= float(match[1]) <= LONGEST_WAIT_H:
        raise ValueError(RULE)
    return timedelta(hours=float(match[1]))


def _tag(value: object) -> str:
    is_rule = isinstance(value, str) and value.lstrip().lower().startswith("green")
    return "rule" if is_rule else "time"


def _checked(rule: str) -> str:
    greenest_within(rule)
    return rule


Rule = Annotated[str, AfterValidator(_checked), Field(json_schema_extra={"pattern": PATTERN})]

NotBefore = Annotated[
    Annotated[AwareDatetime, Field(strict=False), Tag("time")] | Annotated[Rule, Tag("rule")],
    Discriminator(_tag),
]
"""A time with its zone, or ``greenest within N h``."""
