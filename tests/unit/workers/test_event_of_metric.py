from __future__ import annotations

from pricetag.attempt.event_schema import parse


def test_a_metric_keeps_its_class_and_why_it_has_no_value() -> None:
    about = {"of_class": "equivalent", "reason": "one class alone"}
    event = parse({"type": "metric", "name": "f1", "value": None, "quality": True, **about})
    fields = event.fields()
    assert {name: fields[name] for name in about} == about
