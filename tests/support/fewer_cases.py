"""Hooks of schemathesis: of cases that prove the same, one is sent; lines are sent as text.

A body is described once, whatever it is written in: every bound is tried in JSON, and in YAML
one valid body. Where a value has the wrong type, one wrong type is tried; of the methods that an
operation does not have, one; of the other cases of one kind at one place (bodies with one more of
many optional fields), a few.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import schemathesis
from schemathesis.generation.meta import CoveragePhaseData, CoverageScenario

IN_YAML = {CoverageScenario.DEFAULT_POSITIVE_TEST}
ONCE = {CoverageScenario.INCORRECT_TYPE, CoverageScenario.UNSPECIFIED_HTTP_METHOD}
AT_MOST = 4
for lines in ("application/x-ndjson", "application/jsonl"):
    schemathesis.serializer.alias(lines, "text/plain")

_tried: Counter[tuple[object, ...]] = Counter()


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """Whether a case is sent."""
    data = case._meta.phase.data if case._meta else None
    if not isinstance(data, CoveragePhaseData):
        return True
    if case.media_type == "application/yaml" and data.scenario not in IN_YAML:
        return False
    place = (data.parameter_location, data.parameter, data.location)
    tried: tuple[object, ...] = (case.operation.label, data.scenario, *place)
    if data.scenario == CoverageScenario.INCORRECT_TYPE:
        tried = (*tried, data.description)
    _tried[tried] += 1
    return _tried[tried] <= (1 if data.scenario in ONCE else AT_MOST)
