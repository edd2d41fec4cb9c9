"""A hook of schemathesis: of cases that prove the same, one is sent.

A body is described once, whatever it is written in: every bound is tried in JSON, and in YAML
one valid body. Where a value has the wrong type, one wrong type is tried; of the methods that an
operation does not have, one.
"""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.generation.meta import CoveragePhaseData, CoverageScenario

IN_YAML = {CoverageScenario.DEFAULT_POSITIVE_TEST}
ONCE = {CoverageScenario.INCORRECT_TYPE, CoverageScenario.UNSPECIFIED_HTTP_METHOD}
_tried: set[tuple[object, ...]] = set()


@schemathesis.hook
def filter_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> bool:
    """Whether a case is sent."""
    data = case._meta.phase.data if case._meta else None
    if not isinstance(data, CoveragePhaseData):
        return True
    if case.media_type == "application/yaml" and data.scenario not in IN_YAML:
        return False
    if data.scenario not in ONCE:
        return True
    tried: tuple[object, ...] = (case.operation.label, data.scenario)
    if data.scenario == CoverageScenario.INCORRECT_TYPE:
        place = (data.parameter_location, data.parameter, data.location)
        tried = (*tried, *place, data.description)
    if tried in _tried:
        return False
    _tried.add(tried)
    return True
